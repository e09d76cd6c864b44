"""MelGAN (https://arxiv.org/abs/1910.06711) with the multi-resolution STFT loss (https://arxiv.org/abs/1910.11480).

Not a paper, but how most public checkpoints of MelGAN were trained: its generator learns from spectra, at first from
them alone, and from a discriminator with least squares, as the full-band MelGAN of Yang et al. 2020 does
(https://arxiv.org/abs/2005.05106). The defaults are those of melgan.v1 of
https://github.com/kan-bayashi/ParallelWaveGAN; melgan.v3 of the same project has ``multi_scale`` and
``feature_weight``, and https://github.com/seungwonpark/melgan has these and no ``stft_weight``.

Departures from those recipes: D is updated before G, both with Adam at one constant rate, without clipped gradients.
The weights of MelGAN's discriminator have torch's deviations, where melgan.v3 draws them from N(0, 0.02).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from lightning_gans.audio import MelConfig
from lightning_gans.data.batches import MelBatch
from lightning_gans.errors import InputError, check_choice
from lightning_gans.losses.adversarial import hinge_d, least_squares_d, least_squares_g, wasserstein_g
from lightning_gans.losses.features import feature_matching
from lightning_gans.losses.spectral import MultiResolutionSTFTLoss
from lightning_gans.models.melgan import Generator
from lightning_gans.networks.upsampling import check_ratios
from lightning_gans.networks.waveform_discriminators import MultiScaleDiscriminator, SampleDiscriminator, in_one_pass
from lightning_gans.ranges import NonNegativeFloat, NonNegativeInt, PositiveInt
from lightning_gans.training.vocoder import Vocoder


class STFTMelGAN(Vocoder):
    """MelGAN's generator, which learns from spectra first.

    A batch is an update of D, then of G, from one pass of G. Until ``discriminator_start`` updates of G are done, D is
    neither asked nor trained.

    Args:
        mel: The convention of the features, see ``MelConfig.of``.
        ratios: Upsampling factors of G; their product is the hop.
        width: Channels of G's layer nearest to the samples.
        blocks: Residual blocks behind each upsampling.
        normalize: Take each band's mean and deviation in the training set out of the features. They are measured when
            training begins, unless they came with the weights.
        multi_scale: MelGAN's discriminator; Parallel WaveGAN's, which judges each sample, when False.
        loss: ``least_squares`` (without the halves of Mao et al. 2017), or MelGAN's ``hinge``; summed over D's scales.
        adversarial_weight: Of D's judgement in G's loss.
        feature_weight: Of matching D's feature maps, summed over maps and scales; 0 leaves it out.
        stft_weight: Of the multi-resolution STFT loss; 0 leaves it out.
        discriminator_start: Generator updates before D joins.
        lr: Learning rate of both networks.
    """

    def __init__(
        self,
        mel: str | dict[str, Any] = "parallel_wavegan",
        ratios: tuple[PositiveInt, ...] = (8, 8, 2, 2),
        width: PositiveInt = 32,
        blocks: PositiveInt = 3,
        normalize: bool = True,
        multi_scale: bool = False,
        loss: Literal["least_squares", "hinge"] = "least_squares",
        adversarial_weight: NonNegativeFloat = 4.0,
        feature_weight: NonNegativeFloat = 0.0,
        stft_weight: NonNegativeFloat = 1.0,
        discriminator_start: NonNegativeInt = 100_000,
        lr: NonNegativeFloat = 1e-4,
    ) -> None:
        mel, ratios = MelConfig.of(mel).hparams(), tuple(ratios)  # a checkpoint names every field
        super().__init__(mel, normalize)
        self.save_hyperparameters()
        check_ratios("ratios", ratios, self.mel_config)
        check_choice("loss", loss, ("least_squares", "hinge"))
        if discriminator_start and not stft_weight:
            raise InputError(
                f"discriminator_start is {discriminator_start}, and before it nothing would train without stft_weight;"
                " give discriminator_start 0, or a stft_weight such as 1"
            )
        self.generator = Generator(self.mel_config.n_mels, ratios, width, blocks)
        self.discriminator = MultiScaleDiscriminator() if multi_scale else SampleDiscriminator()
        self.receptive_frames, self.min_frames = self.generator.reach, self.generator.min_frames
        self.stft_loss = MultiResolutionSTFTLoss()

    def forward(self, mel: Tensor) -> Tensor:
        """Log-mel (B, M, L) to audio (B, 1, T) in (-1, 1)."""
        return self.generator(self.normalized(mel))

    def training_step(self, batch: MelBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        h, real, fake = self.hparams, batch.audio, self(batch.mel)
        d_trains = self.global_step >= h.discriminator_start
        losses: dict[str, Tensor] = {}

        if d_trains:
            with self.toggled_optimizer(optimizer_d):
                of_real, of_fake = in_one_pass(self.discriminator, real, fake.detach())
                scales = zip(of_real, of_fake, strict=True)
                losses["train/loss_d"] = torch.stack([self.loss_d(r, f) for (r, _), (f, _) in scales]).sum()
                self.update(optimizer_d, losses["train/loss_d"])

        with self.toggled_optimizer(optimizer_g):
            loss_g = fake.new_zeros(())
            if h.stft_weight:
                losses["train/loss_g_stft"] = torch.stack(self.stft_loss(fake, real)).sum()
                loss_g = loss_g + h.stft_weight * losses["train/loss_g_stft"]
            if d_trains:
                of_fake = self.discriminator(fake)  # of the D that has just been updated
                losses["train/loss_g_adversarial"] = torch.stack([self.loss_g(logits) for logits, _ in of_fake]).sum()
                loss_g = loss_g + h.adversarial_weight * losses["train/loss_g_adversarial"]
                if h.feature_weight:
                    losses["train/loss_g_features"] = feature_matching(of_real, of_fake)
                    loss_g = loss_g + h.feature_weight * losses["train/loss_g_features"]
            self.update(optimizer_g, loss_g)
        losses["train/loss_g"] = loss_g
        self.log_dict(losses, prog_bar=True)

    def loss_d(self, real: Tensor, fake: Tensor) -> Tensor:
        """The loss of D's logits of one scale."""
        return hinge_d(real, fake) if self.hparams.loss == "hinge" else 2 * least_squares_d(real, fake)

    def loss_g(self, fake: Tensor) -> Tensor:
        """The adversarial loss of G from D's logits of one scale."""
        return wasserstein_g(fake) if self.hparams.loss == "hinge" else 2 * least_squares_g(fake)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [
            torch.optim.Adam(network.parameters(), self.hparams.lr, (0.5, 0.9), fused=True)
            for network in (self.generator, self.discriminator)
        ]
