"""Parallel WaveGAN, Yamamoto, Song & Kim 2020, https://arxiv.org/abs/1910.11480.

"A fast waveform generation model based on generative adversarial networks with multi-resolution spectrogram".

Two presets. ``paper`` is the paper's: 24 kHz, bands from 70 to 8000 Hz, the spectral convergence of each example.
``ljspeech`` is the recipe that the field shares (https://github.com/kan-bayashi/ParallelWaveGAN, parallel_wavegan.v1):
22.05 kHz, bands from 80 to 7600 Hz, gradients clipped to a norm of 10 in G and 1 in D, the spectral convergence of the
whole batch.

Not stated in the paper: taken from that code: the network in front of the conditioning, no hyperbolic tangent at the
end, D's dilations, Kaiming's initialization, the new fake after G's update that D judges, and eps = 1e-6.

Departures from both:

- The rates are halved every 200,000 of each network's own updates, as in that code; the paper says steps.
- The statistics of the features are computed when training begins and kept with the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, StepLR

from lightning_gans.audio import MelConfig
from lightning_gans.data.batches import MelBatch
from lightning_gans.errors import InputError, check_choice
from lightning_gans.losses.adversarial import least_squares_d, least_squares_g
from lightning_gans.losses.spectral import MultiResolutionSTFTLoss
from lightning_gans.networks.norms import weight_norm
from lightning_gans.networks.upsampling import Upsample, check_ratios
from lightning_gans.networks.waveform_discriminators import SampleDiscriminator, kaiming
from lightning_gans.ranges import NonNegativeFloat, NonNegativeInt, PositiveInt
from lightning_gans.training.vocoder import Vocoder


class Preset(NamedTuple):
    """What the two presets differ in."""

    mel: dict[str, Any]
    upsample_scales: tuple[int, ...]
    stft_reduction: Literal["batch", "example"]
    clip_norm_g: float | None
    clip_norm_d: float | None


PRESETS = {
    "paper": Preset(
        dict(
            name="parallel_wavegan",
            sample_rate=24000,
            n_fft=2048,
            hop_length=300,
            win_length=1200,
            f_min=70,
            f_max=8000,
        ),
        (4, 5, 3, 5),
        "example",
        None,
        None,
    ),
    "ljspeech": Preset(dict(name="parallel_wavegan"), (4, 4, 4, 4), "batch", 10.0, 1.0),
}


class ConditionNetwork(nn.Module):
    """A convolution over the context, then upsampling: (B, M, L + 2 * context) to (B, M, T)."""

    def __init__(self, n_mels: int, scales: tuple[int, ...], context: int) -> None:
        super().__init__()
        self.conv_in = weight_norm(kaiming(nn.Conv1d(n_mels, n_mels, 2 * context + 1, bias=False)))
        self.upsample = Upsample(scales)

    def forward(self, mel: Tensor) -> Tensor:
        return self.upsample(self.conv_in(mel))


class ResidualBlock(nn.Module):
    """A gated, dilated convolution as in WaveNet, but not causal, conditioned on features."""

    def __init__(self, dilation: int, kernel: int, residual: int, gate: int, skip: int, aux: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.conv = weight_norm(
            kaiming(nn.Conv1d(residual, gate, kernel, padding=kernel // 2 * dilation, dilation=dilation))
        )
        self.conv1x1_aux = weight_norm(kaiming(nn.Conv1d(aux, gate, 1, bias=False)))
        self.conv1x1_out = weight_norm(kaiming(nn.Conv1d(gate // 2, residual, 1)))
        self.conv1x1_skip = weight_norm(kaiming(nn.Conv1d(gate // 2, skip, 1)))

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Input (B, C, T) and condition (B, M, T) to the next block's input and the skip output."""
        a, b = (self.conv(x) + self.conv1x1_aux(condition)).chunk(2, 1)
        g = a.tanh() * b.sigmoid()
        return (self.conv1x1_out(g) + x) * math.sqrt(0.5), self.conv1x1_skip(g)


class Generator(nn.Module):
    """Noise (B, 1, T) and mel (B, M, L + 2 * context) to audio (B, 1, T), which nothing bounds.

    The last block's ``conv1x1_out`` has no part in the output, and so no gradient. It stays, as weights that others
    have trained hold it.
    """

    def __init__(
        self,
        n_mels: int,
        scales: tuple[int, ...],
        context: int,
        layers: int,
        stacks: int,
        kernel: int,
        residual: int,
        gate: int,
        skip: int,
    ) -> None:
        super().__init__()
        if stacks < 1 or layers < 1 or layers % stacks:
            raise InputError(f"{layers} layers cannot be cut into {stacks} stacks; use {max(stacks, 1) * 10} layers")
        for name, value, remainder, kind in (("kernel", kernel, 1, "odd"), ("gate_channels", gate, 0, "even")):
            if value % 2 != remainder:
                raise InputError(f"{name} is {value}; expected an {kind} number")
        self.first_conv = weight_norm(kaiming(nn.Conv1d(1, residual, 1)))
        self.upsample_net = ConditionNetwork(n_mels, scales, context)
        dilations = [2 ** (i % (layers // stacks)) for i in range(layers)]
        self.conv_layers = nn.ModuleList(ResidualBlock(d, kernel, residual, gate, skip, n_mels) for d in dilations)
        self.reach = kernel // 2 * sum(dilations)
        """Samples on either side whose noise a sample depends on."""
        self.last_conv_layers = nn.Sequential(
            nn.ReLU(inplace=True),
            weight_norm(kaiming(nn.Conv1d(skip, skip, 1))),
            nn.ReLU(inplace=True),
            weight_norm(kaiming(nn.Conv1d(skip, 1, 1))),
        )

    def forward(self, noise: Tensor, mel: Tensor) -> Tensor:
        condition, x, skips = self.upsample_net(mel), self.first_conv(noise), noise.new_zeros(())
        for layer in self.conv_layers:
            x, skip = layer(x, condition)
            skips = skips + skip
        return self.last_conv_layers(skips * math.sqrt(1 / len(self.conv_layers)))

    @property
    def receptive_frames(self) -> int:
        """Frames on either side, beside the context, that a frame's samples depend on."""
        upsample = self.upsample_net.upsample
        return -(-(self.reach + upsample.faded) // upsample.hop)


class ParallelWaveGAN(Vocoder):
    """The vocoder that starts from noise, one value per sample, and learns from spectra first.

    A batch is an update of G, then one of D. Until ``discriminator_start`` updates of G are done, G learns from the
    spectra alone and D is neither asked nor trained; the update after that is the first with D.

    Args:
        preset: ``paper`` or ``ljspeech``, see the head of this file. It gives what is None below.
        mel: The convention of the features, see ``MelConfig.of``.
        upsample_scales: Of the conditioning; their product is the hop.
        layers: Residual blocks.
        stacks: Runs of dilations 1, 2, 4, ...; as many as divide ``layers``.
        kernel: Of the dilated convolutions.
        residual_channels: Of the blocks.
        gate_channels: Of the dilated convolutions, half for the tangent, half for the gate.
        skip_channels: Of the blocks' sum.
        aux_context: Frames on either side of each that the conditioning sees.
        adversarial_weight: lambda_adv, of D's judgement.
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
        preset: Literal["paper", "ljspeech"] = "paper",
        mel: str | dict[str, Any] | None = None,
        upsample_scales: tuple[PositiveInt, ...] | None = None,
        layers: PositiveInt = 30,
        stacks: PositiveInt = 3,
        kernel: PositiveInt = 3,
        residual_channels: PositiveInt = 64,
        gate_channels: PositiveInt = 128,
        skip_channels: PositiveInt = 64,
        aux_context: NonNegativeInt = 2,
        adversarial_weight: NonNegativeFloat = 4.0,
        stft_reduction: Literal["batch", "example"] | None = None,
        discriminator_start: NonNegativeInt = 100_000,
        recompute_fake: bool = True,
        lr_g: NonNegativeFloat = 1e-4,
        lr_d: NonNegativeFloat = 5e-5,
        lr_decay_steps: PositiveInt = 200_000,
        clip_norm_g: NonNegativeFloat | None = None,
        clip_norm_d: NonNegativeFloat | None = None,
    ) -> None:
        check_choice("preset", preset, PRESETS)
        values = PRESETS[preset]
        # A checkpoint names every value, so that it does not depend on what the preset says later.
        mel = MelConfig.of(values.mel if mel is None else mel).hparams()
        upsample_scales = tuple(values.upsample_scales if upsample_scales is None else upsample_scales)
        stft_reduction = values.stft_reduction if stft_reduction is None else stft_reduction
        clip_norm_g = values.clip_norm_g if clip_norm_g is None else clip_norm_g
        clip_norm_d = values.clip_norm_d if clip_norm_d is None else clip_norm_d
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
        self.discriminator = SampleDiscriminator()
        self.stft_loss = MultiResolutionSTFTLoss(reduction=stft_reduction)
        self.receptive_frames = self.generator.receptive_frames

    @classmethod
    def data_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        mel = options["mel"] if options["mel"] is not None else PRESETS[options["preset"]].mel
        return {"mel": mel, "context": options["aux_context"]}

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
                logits = self.discriminator(fake)[0][0]  # its feature maps are not kept
                losses["train/loss_g_adversarial"] = 2 * least_squares_g(logits)
                loss_g = loss_g + h.adversarial_weight * losses["train/loss_g_adversarial"]
            if self.update(optimizer_g, loss_g, h.clip_norm_g or None):
                scheduler_g.step()
        losses["train/loss_g"] = loss_g

        if d_trains:
            if h.recompute_fake:
                with torch.no_grad():
                    fake = self(batch.mel, noise)
            with self.toggled_optimizer(optimizer_d):
                logits = self.discriminator(torch.cat([real, fake.detach()]))[0][0]  # in one pass
                losses["train/loss_d"] = 2 * least_squares_d(*logits.chunk(2))
                if self.update(optimizer_d, losses["train/loss_d"], h.clip_norm_d or None):
                    scheduler_d.step()
        self.log_dict(losses, prog_bar=True)

    def configure_optimizers(self) -> tuple[list[torch.optim.Optimizer], list[LRScheduler]]:
        h = self.hparams
        optimizers: list[torch.optim.Optimizer] = [
            torch.optim.RAdam(network.parameters(), lr, eps=1e-6)
            for network, lr in ((self.generator, h.lr_g), (self.discriminator, h.lr_d))
        ]
        return optimizers, [StepLR(optimizer, h.lr_decay_steps, gamma=0.5) for optimizer in optimizers]
