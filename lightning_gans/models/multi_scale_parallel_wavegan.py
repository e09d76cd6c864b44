"""Parallel WaveGAN (https://arxiv.org/abs/1910.11480) with MelGAN's discriminator (https://arxiv.org/abs/1910.06711).

Not a paper, but parallel_wavegan.v3 of the recipes that the field shares
(https://github.com/kan-bayashi/ParallelWaveGAN): the generator of Yamamoto et al. 2020, with a wider kernel, and the
discriminator and feature matching of Kumar et al. 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler, StepLR

from lightning_gans.audio import MelConfig
from lightning_gans.data.batches import MelBatch
from lightning_gans.losses.adversarial import least_squares_d, least_squares_g
from lightning_gans.losses.features import feature_matching
from lightning_gans.losses.spectral import MultiResolutionSTFTLoss
from lightning_gans.models.parallel_wavegan import Generator
from lightning_gans.networks.upsampling import check_ratios
from lightning_gans.networks.waveform_discriminators import MultiScaleDiscriminator, in_one_pass
from lightning_gans.ranges import NonNegativeFloat, NonNegativeInt, PositiveInt
from lightning_gans.training.vocoder import Vocoder


class MultiScaleParallelWaveGAN(Vocoder):
    """Parallel WaveGAN's generator, which learns from spectra first, then also from MelGAN's discriminator.

    A batch is an update of G, then one of D. Until ``discriminator_start`` updates of G are done, G learns from the
    spectra alone and D is neither asked nor trained; the update after that is the first with D.

    Args:
        mel: The convention of the features, see ``MelConfig.of``.
        upsample_scales: Of the conditioning; their product is the hop.
        layers: Residual blocks.
        stacks: Runs of dilations 1, 2, 4, ...; as many as divide ``layers``.
        kernel: Of the dilated convolutions.
        residual_channels: Of the blocks.
        gate_channels: Of the dilated convolutions, half for the tangent, half for the gate.
        skip_channels: Of the blocks' sum.
        aux_context: Frames on either side of each that the conditioning sees.
        feature_weight: Of matching D's features, averaged over layers and scales.
        adversarial_weight: lambda_adv, of D's judgement, averaged over scales, and of the features.
        stft_reduction: ``batch`` or ``example``, see ``MultiResolutionSTFTLoss``.
        discriminator_start: Generator updates before D joins.
        recompute_fake: D judges what G makes after its update, not before.
        lr_g: Learning rate of G.
        lr_d: Learning rate of D.
        lr_decay_steps: Updates of a network after which its rate is halved, again and again.
        clip_norm_g: Largest gradient norm of G; 0 does not clip.
        clip_norm_d: Largest gradient norm of D; 0 does not clip.
    """

    takes_noise = True

    def __init__(
        self,
        mel: str | dict[str, Any] = "parallel_wavegan",
        upsample_scales: tuple[PositiveInt, ...] = (4, 4, 4, 4),
        layers: PositiveInt = 30,
        stacks: PositiveInt = 3,
        kernel: PositiveInt = 5,
        residual_channels: PositiveInt = 64,
        gate_channels: PositiveInt = 128,
        skip_channels: PositiveInt = 64,
        aux_context: NonNegativeInt = 2,
        feature_weight: NonNegativeFloat = 25.0,
        adversarial_weight: NonNegativeFloat = 4.0,
        stft_reduction: Literal["batch", "example"] = "batch",
        discriminator_start: NonNegativeInt = 100_000,
        recompute_fake: bool = True,
        lr_g: NonNegativeFloat = 1e-4,
        lr_d: NonNegativeFloat = 5e-5,
        lr_decay_steps: PositiveInt = 3_000_000,
        clip_norm_g: NonNegativeFloat = 10.0,
        clip_norm_d: NonNegativeFloat = 1.0,
    ) -> None:
        mel, upsample_scales = MelConfig.of(mel).hparams(), tuple(upsample_scales)  # a checkpoint names every field
        super().__init__(mel, normalize=True)
        self.save_hyperparameters()
        check_ratios("upsample_scales", upsample_scales, self.mel_config)
        self.context = aux_context
        self.generator = Generator(
            self.mel_config.n_mels,
            upsample_scales,
            aux_context,
            layers,
            stacks,
            kernel,
            residual_channels,
            gate_channels,
            skip_channels,
        )
        self.discriminator = MultiScaleDiscriminator(std=0.02)
        self.stft_loss = MultiResolutionSTFTLoss(reduction=stft_reduction)
        self.receptive_frames = self.generator.receptive_frames

    @classmethod
    def data_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        return {"mel": options["mel"], "context": options["aux_context"]}

    def forward(self, mel: Tensor, noise: Tensor | None = None) -> Tensor:
        """Log-mel (B, M, L + 2 * context) and noise (B, 1, T), new where not given, to audio (B, 1, T)."""
        return self.generator(self.fresh_noise(mel) if noise is None else noise, self.normalized(mel))

    def training_step(self, batch: MelBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        scheduler_g, scheduler_d = cast(list[LRScheduler], self.lr_schedulers())
        h, real = self.hparams, batch.audio
        noise = torch.randn_like(real)
        d_trains = self.global_step >= h.discriminator_start
        losses: dict[str, Tensor] = {}

        with self.toggled_optimizer(optimizer_g):
            fake = self(batch.mel, noise)
            loss_g = losses["train/loss_g_stft"] = torch.stack(self.stft_loss(fake, real)).sum()
            if d_trains:
                of_fake = self.discriminator(fake)
                adversarial = torch.stack([2 * least_squares_g(logits) for logits, _ in of_fake]).mean()
                losses["train/loss_g_adversarial"] = adversarial
                if h.feature_weight:
                    with torch.no_grad():
                        of_real = self.discriminator(real)
                    features = losses["train/loss_g_features"] = feature_matching(of_real, of_fake, "mean")
                    adversarial = adversarial + h.feature_weight * features
                loss_g = loss_g + h.adversarial_weight * adversarial
            if self.update(optimizer_g, loss_g, h.clip_norm_g or None):
                scheduler_g.step()
        losses["train/loss_g"] = loss_g

        if d_trains:
            if h.recompute_fake:
                with torch.no_grad():
                    fake = self(batch.mel, noise)
            with self.toggled_optimizer(optimizer_d):
                scales = zip(*in_one_pass(self.discriminator, real, fake.detach()), strict=True)
                loss_d = torch.stack([2 * least_squares_d(r, f) for (r, _), (f, _) in scales]).mean()
                losses["train/loss_d"] = loss_d
                if self.update(optimizer_d, loss_d, h.clip_norm_d or None):
                    scheduler_d.step()
        self.log_dict(losses, prog_bar=True)

    def configure_optimizers(self) -> tuple[list[torch.optim.Optimizer], list[LRScheduler]]:
        h = self.hparams
        optimizers: list[torch.optim.Optimizer] = [
            torch.optim.RAdam(network.parameters(), lr, eps=1e-6)
            for network, lr in ((self.generator, h.lr_g), (self.discriminator, h.lr_d))
        ]
        return optimizers, [StepLR(optimizer, h.lr_decay_steps, gamma=0.5) for optimizer in optimizers]
