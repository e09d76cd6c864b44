"""MelGAN, Kumar et al. 2019, https://arxiv.org/abs/1910.06711.

"MelGAN: Generative Adversarial Networks for Conditional Waveform Synthesis", with what the authors' code adds
(https://github.com/descriptinc/melgan-neurips):

- Feature matching is weighted by 4 / (layers + 1) / scales = 0.2667 before the paper's 10; ``fm_scale: paper`` leaves
  that factor out.
- D's feature maps of the real audio are taken once, before its update, and matched after it.
- Weights keep torch's initialization. The code draws them from N(0, 0.02) after weight norm was attached, which
  computes them anew and so undoes it; where it took effect, the first output would be 100,000 times weaker.

With a loss of spectra, as others train this generator, it is ``STFTMelGAN``.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightning_gans.audio import MelConfig
from lightning_gans.data.batches import MelBatch
from lightning_gans.errors import check_choice
from lightning_gans.losses.adversarial import hinge_d, wasserstein_g
from lightning_gans.losses.features import feature_matching
from lightning_gans.networks.norms import weight_norm
from lightning_gans.networks.upsampling import check_ratios
from lightning_gans.networks.waveform_discriminators import SLOPE, MultiScaleDiscriminator, in_one_pass
from lightning_gans.ranges import NonNegativeFloat, PositiveInt
from lightning_gans.training.vocoder import Vocoder

PADDING = 3
"""Frames and samples that are reflected at the ends of the mel and of the last layer."""


class ResidualBlock(nn.Module):
    """A dilated and a 1x1 convolution, beside a shortcut with weights of its own: (B, C, T) to (B, C, T)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.LeakyReLU(SLOPE),
            nn.ReflectionPad1d(dilation),
            weight_norm(nn.Conv1d(channels, channels, 3, dilation=dilation)),
            nn.LeakyReLU(SLOPE, inplace=True),
            weight_norm(nn.Conv1d(channels, channels, 1)),
        )
        self.shortcut = weight_norm(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.block(x)


class Generator(nn.Module):
    """Log-mel (B, M, L) to audio (B, 1, T) in (-1, 1), T = L times the product of the ratios; 4 frames at least.

    Args:
        n_mels: M.
        ratios: Upsampling factors from the frames on.
        width: Channels of the layer nearest to the samples.
        blocks: Residual blocks behind each upsampling, with dilations 1, 3, 9, ...
    """

    def __init__(self, n_mels: int, ratios: tuple[int, ...], width: int, blocks: int) -> None:
        super().__init__()
        self.ratios, self.dilations = ratios, [3**j for j in range(blocks)]
        c = width * 2 ** len(ratios)
        layers: list[nn.Module] = [nn.ReflectionPad1d(PADDING), weight_norm(nn.Conv1d(n_mels, c, 2 * PADDING + 1))]
        for ratio in ratios:
            up = nn.ConvTranspose1d(c, c // 2, 2 * ratio, ratio, padding(ratio), output_padding=ratio % 2)
            layers += [nn.LeakyReLU(SLOPE, inplace=True), weight_norm(up)]
            c //= 2
            layers += [ResidualBlock(c, dilation) for dilation in self.dilations]
        layers += [nn.LeakyReLU(SLOPE, inplace=True), nn.ReflectionPad1d(PADDING)]
        self.model = nn.Sequential(*layers, weight_norm(nn.Conv1d(c, 1, 2 * PADDING + 1)), nn.Tanh())

    def forward(self, mel: Tensor) -> Tensor:
        return self.model(mel)

    @property
    def min_frames(self) -> int:
        """Fewest frames: a reflection takes less than what it pads."""
        return max(PADDING, max(self.dilations, default=0) // self.ratios[0]) + 1

    @property
    def reach(self) -> int:
        """Frames on either side that a frame's samples depend on."""
        reach = PADDING
        for ratio in reversed(self.ratios):
            reach = (reach + sum(self.dilations) + ratio - 1 + padding(ratio)) // ratio
        return reach + PADDING


def padding(ratio: int) -> int:
    """Of a transposed convolution with a kernel of two strides, so that its output is just ``ratio`` times longer."""
    return ratio // 2 + ratio % 2


class MelGAN(Vocoder):
    """The vocoder that is trained by its discriminators alone.

    A batch is an update of D, then of G, from one pass of G.

    Args:
        mel: The convention of the features, see ``MelConfig.of``.
        ratios: Upsampling factors of G; their product is the hop.
        width: Channels of G's layer nearest to the samples.
        blocks: Residual blocks behind each upsampling.
        feature_weight: lambda of feature matching.
        fm_scale: ``official`` or ``paper``, see the head of this file.
        lr: Learning rate of both networks.
    """

    def __init__(
        self,
        mel: str | dict[str, Any] = "melgan",
        ratios: tuple[PositiveInt, ...] = (8, 8, 2, 2),
        width: PositiveInt = 32,
        blocks: PositiveInt = 3,
        feature_weight: NonNegativeFloat = 10.0,
        fm_scale: Literal["official", "paper"] = "official",
        lr: NonNegativeFloat = 1e-4,
    ) -> None:
        mel, ratios = MelConfig.of(mel).hparams(), tuple(ratios)  # a checkpoint names every field
        super().__init__(mel)
        self.save_hyperparameters()
        check_ratios("ratios", ratios, self.mel_config)
        check_choice("fm_scale", fm_scale, ("official", "paper"))
        self.generator = Generator(self.mel_config.n_mels, ratios, width, blocks)
        self.discriminator = MultiScaleDiscriminator()
        self.receptive_frames, self.min_frames = self.generator.reach, self.generator.min_frames

    def forward(self, mel: Tensor) -> Tensor:
        """Log-mel (B, M, L) to audio (B, 1, T) in (-1, 1)."""
        return self.generator(self.normalized(mel))

    def training_step(self, batch: MelBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        h, real, fake = self.hparams, batch.audio, self(batch.mel)

        with self.toggled_optimizer(optimizer_d):
            of_real, of_fake = in_one_pass(self.discriminator, real, fake.detach())
            loss_d = torch.stack([hinge_d(r, f) for (r, _), (f, _) in zip(of_real, of_fake, strict=True)]).sum()
            self.update(optimizer_d, loss_d)

        with self.toggled_optimizer(optimizer_g):
            of_fake = self.discriminator(fake)  # of the D that has just been updated
            adversarial = torch.stack([wasserstein_g(logits) for logits, _ in of_fake]).sum()
            # The targets are from before the update, as in the authors' code, which spares a pass.
            features = feature_matching(of_real, of_fake, "official" if h.fm_scale == "official" else "sum")
            loss_g = adversarial + h.feature_weight * features
            self.update(optimizer_g, loss_g)

        losses = {"loss_d": loss_d, "loss_g": loss_g, "loss_g_adversarial": adversarial, "loss_g_features": features}
        self.log_dict({f"train/{name}": loss for name, loss in losses.items()}, prog_bar=True)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [
            torch.optim.Adam(network.parameters(), self.hparams.lr, (0.5, 0.9), fused=True)
            for network in (self.generator, self.discriminator)
        ]
