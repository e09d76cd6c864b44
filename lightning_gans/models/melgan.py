"""MelGAN, Kumar et al. 2019, https://arxiv.org/abs/1910.06711.

"MelGAN: Generative Adversarial Networks for Conditional Waveform Synthesis", with what the authors' code adds
(https://github.com/descriptinc/melgan-neurips):

- Feature matching is weighted by 4 / (layers + 1) / scales = 0.2667 before the paper's 10; ``fm_scale: paper`` leaves
  that factor out.
- D's feature maps of the real audio are taken once, before its update, and matched after it.
- Weights keep torch's initialisation. The code draws them from N(0, 0.02) after weight norm was attached, which
  computes them anew and so undoes it; where it took effect, the first output would be 100,000 times weaker.

Options that other papers train this generator with: the discriminator of Parallel WaveGAN, least squares, and the
multi-resolution STFT loss (Yamamoto et al. 2020).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad
from torch.nn.utils.parametrizations import weight_norm

from lightning_gans.audio import MelConfig
from lightning_gans.cpu.convolutions import as_image, convolve_image, convolve_transposed_image, runs_eagerly_on_cpu
from lightning_gans.data.batches import MelBatch
from lightning_gans.errors import InputError
from lightning_gans.losses.features import feature_matching
from lightning_gans.losses.spectral import MultiResolutionSTFTLoss
from lightning_gans.networks.waveform_discriminators import (
    DISCRIMINATORS,
    SLOPE,
    DiscriminatorName,
    build_discriminator,
    has_features,
    in_one_pass,
    one_of,
    waveform_loss,
)
from lightning_gans.training.vocoder import Vocoder

PADDING = 3
"""Frames and samples that are reflected at the ends of the mel and of the last layer."""
CACHED_FRAMES = 400
"""Frames of all examples together that CPUs work on at a time, where nothing is kept for gradients: the activations of
more are slow to come by, and with fewer the weights' way to the cache weighs more."""


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

    def of_image(self, x: Tensor) -> Tensor:
        """The same of (B, C, 1, T), see ``as_image``."""
        _, reflect, dilated, _, one = self.block
        h = pad(leaky_relu(x, SLOPE), (*reflect.padding, 0, 0), mode="reflect")
        h = leaky_relu(convolve_image(dilated, h), SLOPE, inplace=True)
        return convolve_image(self.shortcut, x) + convolve_image(one, h)


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
        if not runs_eagerly_on_cpu(mel):
            return self.model(mel)
        if torch.is_grad_enabled():
            return self.of_image(mel)
        parts = mel.split(max(1, CACHED_FRAMES // mel.shape[-1]))
        return torch.cat([self.of_image(part) for part in parts])

    def of_image(self, mel: Tensor) -> Tensor:
        """``model(mel)``, the channels of a sample side by side in memory, which is faster on CPUs."""
        x = as_image(mel)
        for layer in self.model:
            if isinstance(layer, ResidualBlock):
                x = layer.of_image(x)
            elif isinstance(layer, nn.ReflectionPad1d):
                x = pad(x, (*layer.padding, 0, 0), mode="reflect")
            elif isinstance(layer, nn.ConvTranspose1d):
                x = convolve_transposed_image(layer, x)
            else:
                x = convolve_image(layer, x) if isinstance(layer, nn.Conv1d) else layer(x)
        return x[:, :, 0]

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
        normalize: Take each band's mean and deviation in the training set out of the features. They are measured when
            training begins, unless they came with the weights.
        discriminator: ``multi_scale`` is the paper's; ``parallel_wavegan`` has no features to match.
        loss: ``hinge``, or ``least_squares``; summed over the scales.
        adversarial_weight: Of D's judgement in G's loss.
        feature_weight: lambda of feature matching.
        fm_scale: ``official`` or ``paper``, see the head of this file.
        aux_loss: ``stft`` adds the multi-resolution STFT loss.
        aux_weight: Of that loss.
        discriminator_start: Generator updates before D judges and is trained; needs an ``aux_loss``.
        lr: Learning rate of both networks.
    """

    chunk_frames_on_cpu = CACHED_FRAMES

    def __init__(
        self,
        mel: str | dict[str, Any] = "melgan",
        ratios: tuple[int, ...] = (8, 8, 2, 2),
        width: int = 32,
        blocks: int = 3,
        normalize: bool = False,
        discriminator: DiscriminatorName = "multi_scale",
        loss: Literal["hinge", "least_squares"] = "hinge",
        adversarial_weight: float = 1.0,
        feature_weight: float = 10.0,
        fm_scale: Literal["official", "paper"] = "official",
        aux_loss: Literal["none", "stft"] = "none",
        aux_weight: float = 1.0,
        discriminator_start: int = 0,
        lr: float = 1e-4,
    ) -> None:
        mel, ratios = MelConfig.of(mel).hparams(), tuple(ratios)  # a checkpoint names every field
        super().__init__(mel, ratios)
        self.save_hyperparameters()
        one_of("discriminator", discriminator, DISCRIMINATORS)
        one_of("fm_scale", fm_scale, ("official", "paper"))
        one_of("aux_loss", aux_loss, ("none", "stft"))
        self.loss = waveform_loss(loss)
        if feature_weight and not has_features(discriminator):
            raise InputError(
                f"feature_weight is {feature_weight:g}, and the discriminator {discriminator} has no features to match;"
                " give feature_weight 0, or the discriminator multi_scale"
            )
        if discriminator_start and aux_loss == "none":
            raise InputError(
                f"discriminator_start is {discriminator_start}, and before it nothing would train; give aux_loss stft"
            )
        self.generator = Generator(self.mel_config.n_mels, ratios, width, blocks)
        self.discriminator = build_discriminator(discriminator)
        self.receptive_frames, self.min_frames = self.generator.reach, self.generator.min_frames
        self.stft_loss = MultiResolutionSTFTLoss() if aux_loss == "stft" else None

    def on_fit_start(self) -> None:
        """Measure the features, unless their statistics came with the weights."""
        super().on_fit_start()
        if self.hparams.normalize and not self.is_measured:
            self.measure()

    def forward(self, mel: Tensor, noise: None = None) -> Tensor:
        """Log-mel (B, M, L) to audio (B, 1, T) in (-1, 1)."""
        return self.generator(self.normalized(mel))

    def training_step(self, batch: MelBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        h, real, fake = self.hparams, batch.audio, self(batch.mel)
        judged = self.global_step >= h.discriminator_start
        losses = {}

        if judged:
            with self.toggled_optimizer(optimizer_d):
                of_real, of_fake = in_one_pass(self.discriminator, real, fake.detach())
                loss_d = sum(self.loss.discriminator(r[-1], f[-1]) for r, f in zip(of_real, of_fake, strict=True))
                self.update(optimizer_d, loss_d)
            losses["train/loss_d"] = loss_d

        with self.toggled_optimizer(optimizer_g):
            loss_g = 0.0
            if judged:
                of_fake = self.discriminator(fake)  # of the D that has just been updated
                adversarial = sum(self.loss.generator(f[-1]) for f in of_fake)
                loss_g = h.adversarial_weight * adversarial
                losses["train/loss_g_adversarial"] = adversarial
            if judged and h.feature_weight:
                # The targets are from before the update, as in the authors' code, which spares a pass.
                features = feature_matching(of_real, of_fake, h.fm_scale)
                loss_g = loss_g + h.feature_weight * features
                losses["train/loss_g_features"] = features
            if self.stft_loss is not None:
                stft = sum(self.stft_loss(fake, real))
                loss_g = loss_g + h.aux_weight * stft
                losses["train/loss_g_stft"] = stft
            self.update(optimizer_g, loss_g)
        self.log_dict(losses | {"train/loss_g": loss_g}, prog_bar=True)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [
            torch.optim.Adam(network.parameters(), self.hparams.lr, (0.5, 0.9), fused=True)
            for network in (self.generator, self.discriminator)
        ]
