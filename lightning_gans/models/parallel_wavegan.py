"""Parallel WaveGAN, Yamamoto, Song & Kim 2020, https://arxiv.org/abs/1910.11480.

"A fast waveform generation model based on generative adversarial networks with multi-resolution spectrogram".

Two presets. ``paper`` is the paper's: 24 kHz, bands from 70 to 8000 Hz, the spectral convergence of each example.
``ljspeech`` is the recipe that the field shares (https://github.com/kan-bayashi/ParallelWaveGAN, parallel_wavegan.v1):
22.05 kHz, bands from 80 to 7600 Hz, gradients clipped to a norm of 10 in G and 1 in D, the spectral convergence of the
whole batch.

Not stated in the paper: taken from that code: the network in front of the conditioning, no hyperbolic tangent at the
end, D's dilations, Kaiming's initialisation, the new fake after G's update that D judges, and eps = 1e-6.

Departures from both:

- The rates are halved every 200,000 of each network's own updates, as in that code; the paper says steps.
- The statistics of the features are computed when training begins and kept with the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad
from torch.nn.utils.parametrizations import weight_norm
from torch.optim.lr_scheduler import LRScheduler, StepLR

from lightning_gans.audio import MelConfig
from lightning_gans.cpu.convolutions import runs_eagerly_on_cpu
from lightning_gans.cpu.gated_block import GatedBlock, pieces
from lightning_gans.data.batches import MelBatch
from lightning_gans.errors import InputError
from lightning_gans.losses.features import feature_matching
from lightning_gans.losses.spectral import MultiResolutionSTFTLoss
from lightning_gans.networks.waveform_discriminators import (
    DISCRIMINATORS,
    DiscriminatorName,
    build_discriminator,
    has_features,
    in_one_pass,
    kaiming,
    one_of,
    waveform_loss,
)
from lightning_gans.training.vocoder import Vocoder


class Preset(NamedTuple):
    """What the two presets differ in."""

    mel: dict[str, Any]
    upsample_scales: tuple[int, ...]
    stft_reduction: str
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


class Stretch(nn.Module):
    """Each column of (B, 1, M, L) repeated."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x.repeat_interleave(self.factor, -1)


class Upsample(nn.Module):
    """Stretching and smoothing in turn, alike for each row: (B, M, L) to (B, M, L * product of the scales).

    The smoothing starts as a moving average. Beyond the ends are zeros, at each stage, which weakens the conditioning
    of the first and last ``faded`` samples.
    """

    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__()
        self.scales, self.hop = scales, math.prod(scales)
        self.up_layers = nn.Sequential()
        for scale in scales:
            conv = nn.Conv2d(1, 1, (1, 2 * scale + 1), padding=(0, scale), bias=False)
            nn.init.constant_(conv.weight, 1 / (2 * scale + 1))
            self.up_layers.append(Stretch(scale))
            self.up_layers.append(weight_norm(conv))

    def forward(self, c: Tensor) -> Tensor:
        return self.up_layers(c[:, None])[:, 0]

    @property
    def faded(self) -> int:
        """Samples at either end that the zeros beyond it reach: each stage sees one step of its input to each side."""
        return sum(math.prod(self.scales[i:]) for i in range(len(self.scales)))

    @property
    def edge(self) -> int:
        """The same in frames, and the frames on either side that a frame's samples depend on."""
        return -(-self.faded // self.hop)

    def kernels(self, c: Tensor) -> Tensor:
        """The upsampling of (B, L, M) as matrices, which its linearity allows: (L, hop, 2 * edge + 1).

        ``kernels[l, p, r]`` is what the frame ``l + r - edge`` contributes to sample p of frame l. In the middle they
        are equal, so that of many frames only those at the ends and one in the middle are computed.
        """
        edge, frames = self.edge, c.shape[1]
        count = min(frames, 4 * edge + 1)
        answers = self(torch.eye(count, dtype=c.dtype, device=c.device)[None])[0]  # (N, N * hop)
        answers = pad(answers.unflatten(1, (count, self.hop)), (0, 0, 0, 0, edge, edge))  # from frame, to frame, sample
        kernels = torch.stack([answers[i : i + 2 * edge + 1, i].T for i in range(count)])
        frame, last = torch.arange(frames, device=c.device), max(frames - 1 - 2 * edge, 2 * edge)
        return kernels[frame.clamp(max=2 * edge) + (frame - last).clamp(min=0)]


class ConditionNetwork(nn.Module):
    """A convolution over the context, then upsampling: (B, M, L + 2 * context) to (B, M, T)."""

    def __init__(self, n_mels: int, scales: tuple[int, ...], context: int) -> None:
        super().__init__()
        self.conv_in = weight_norm(kaiming(nn.Conv1d(n_mels, n_mels, 2 * context + 1, bias=False)))
        self.upsample = Upsample(scales)

    def forward(self, mel: Tensor) -> Tensor:
        return self.upsample(self.conv_in(mel))


class ResidualBlock(nn.Module):
    """A gated, dilated convolution (section 3.1 of the paper), conditioned on features."""

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
        self.first_conv = weight_norm(kaiming(nn.Conv1d(1, residual, 1)))
        self.upsample_net = ConditionNetwork(n_mels, scales, context)
        self.conv_layers = nn.ModuleList(
            ResidualBlock(2 ** (i % (layers // stacks)), kernel, residual, gate, skip, n_mels) for i in range(layers)
        )
        self.last_conv_layers = nn.Sequential(
            nn.ReLU(inplace=True),
            weight_norm(kaiming(nn.Conv1d(skip, skip, 1))),
            nn.ReLU(inplace=True),
            weight_norm(kaiming(nn.Conv1d(skip, 1, 1))),
        )

    def forward(self, noise: Tensor, mel: Tensor) -> Tensor:
        if prefers_pieces(mel):
            dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else mel.dtype
            with torch.autocast("cpu", enabled=False):
                skip = self.in_pieces(noise, mel, dtype)
        else:
            skip = self.in_convolutions(noise, mel)
        return self.last_conv_layers(skip * math.sqrt(1 / len(self.conv_layers)))

    def in_convolutions(self, noise: Tensor, mel: Tensor) -> Tensor:
        """The sum (B, S, T) of the skip outputs, layer by layer: what is exported, and runs on accelerators."""
        condition = self.upsample_net(mel)
        x, total = self.first_conv(noise), 0.0
        for layer in self.conv_layers:
            x, skip = layer(x, condition)
            total = total + skip
        return total

    def in_pieces(self, noise: Tensor, mel: Tensor, dtype: torch.dtype) -> Tensor:
        """The same for CPUs, with the blocks' products in ``dtype``.

        The conditioning's 1x1 convolutions run at the frame rate, as they commute with the upsampling, which acts
        alike on each channel.
        """
        upsample, layers = self.upsample_net.upsample, self.conv_layers
        c = self.upsample_net.conv_in(mel).mT  # (B, L, M)
        kernels, hop = upsample.kernels(c), upsample.hop
        cut = pieces(c.shape[1], hop)
        gate = layers[0].conv.out_channels // 2
        doubled = c.new_ones(2 * gate)
        doubled[:gate] = 2  # what GatedBlock takes of the half that goes through the tangent
        aux = torch.stack([layer.conv1x1_aux.weight[..., 0] for layer in layers]) * doubled[:, None]  # (N, 2 G, M)
        conditions = pad(c[:, None] @ aux.mT, (0, 0, upsample.edge, upsample.edge)).unbind(
            1
        )  # N of (B, L + 2 edge, 2 G)
        x = linear(noise.mT, self.first_conv.weight[..., 0], self.first_conv.bias)  # (B, T, C)
        margin = max(layer.conv.padding[0] for layer in layers)
        xs = pad(x, (0, 0, margin, margin)).unbind()
        skips = [x.new_zeros(x.shape[1], layers[0].conv1x1_skip.out_channels) for _ in xs]
        for layer, condition in zip(layers, conditions, strict=True):
            weight = (layer.conv.weight * doubled[:, None, None])[:, :, None]
            output, output_bias = layer.conv1x1_skip.weight[..., 0], layer.conv1x1_skip.bias
            if layer is not layers[-1]:
                output = torch.cat([output, layer.conv1x1_out.weight[..., 0] * math.sqrt(0.5)])
                output_bias = torch.cat([output_bias, layer.conv1x1_out.bias * math.sqrt(0.5)])
            fixed = (weight, layer.conv.bias * doubled, output, output_bias, kernels, cut, hop, layer.dilation, dtype)
            done = [GatedBlock.apply(*inputs, *fixed) for inputs in zip(xs, skips, condition, strict=True)]
            skips, xs = zip(*done, strict=True)
        return torch.stack(skips).mT

    @property
    def reach(self) -> int:
        """Samples on either side that a sample depends on, as far as the noise goes."""
        return sum(layer.conv.padding[0] for layer in self.conv_layers)


def prefers_pieces(x: Tensor) -> bool:
    """Whether ``GatedBlock`` is faster here, and knows the precision."""
    known = not torch.is_autocast_enabled("cpu") or torch.get_autocast_dtype("cpu") == torch.bfloat16
    return known and runs_eagerly_on_cpu(x)


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
        discriminator: ``parallel_wavegan`` is the paper's, ``multi_scale`` is MelGAN's (parallel_wavegan.v3).
        feature_weight: Of matching D's features, averaged over layers and scales; 25 with MelGAN's D.
        adversarial_weight: lambda_adv, of D's judgement and of the features.
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
        upsample_scales: tuple[int, ...] | None = None,
        layers: int = 30,
        stacks: int = 3,
        kernel: int = 3,
        residual_channels: int = 64,
        gate_channels: int = 128,
        skip_channels: int = 64,
        aux_context: int = 2,
        discriminator: DiscriminatorName = "parallel_wavegan",
        feature_weight: float = 0.0,
        adversarial_weight: float = 4.0,
        stft_reduction: Literal["batch", "example"] | None = None,
        discriminator_start: int = 100_000,
        recompute_fake: bool = True,
        lr_g: float = 1e-4,
        lr_d: float = 5e-5,
        lr_decay_steps: int = 200_000,
        clip_norm_g: float | None = None,
        clip_norm_d: float | None = None,
    ) -> None:
        one_of("preset", preset, tuple(PRESETS))
        values = PRESETS[preset]
        # A checkpoint names every value, so that it does not depend on what the preset says later.
        mel = MelConfig.of(values.mel if mel is None else mel).hparams()
        upsample_scales = tuple(upsample_scales or values.upsample_scales)
        stft_reduction = stft_reduction or values.stft_reduction
        clip_norm_g = values.clip_norm_g if clip_norm_g is None else clip_norm_g
        clip_norm_d = values.clip_norm_d if clip_norm_d is None else clip_norm_d
        super().__init__(mel, upsample_scales, "upsample_scales")
        self.save_hyperparameters()
        if stacks < 1 or layers < 1 or layers % stacks:
            raise InputError(f"{layers} layers cannot be cut into {stacks} stacks; use {max(stacks, 1) * 10} layers")
        for name, value, remainder, kind in (("kernel", kernel, 1, "odd"), ("gate_channels", gate_channels, 0, "even")):
            if value % 2 != remainder:
                raise InputError(f"{name} is {value}; expected an {kind} number")
        one_of("discriminator", discriminator, DISCRIMINATORS)
        if feature_weight and not has_features(discriminator):
            raise InputError(
                f"feature_weight is {feature_weight:g}, and the discriminator {discriminator} has no features to match;"
                " give feature_weight 0, or the discriminator multi_scale"
            )
        self.loss = waveform_loss("least_squares")
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
        self.discriminator = build_discriminator(discriminator)
        self.stft_loss = MultiResolutionSTFTLoss(reduction=stft_reduction)
        reach = self.generator.reach + self.generator.upsample_net.upsample.faded
        self.receptive_frames = -(-reach // self.mel_config.hop_length)

    @classmethod
    def data_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        mel = options["mel"] if options["mel"] is not None else PRESETS[options["preset"]].mel
        return {"mel": mel, "context": options["aux_context"]}

    def on_fit_start(self) -> None:
        """Measure the features, unless their statistics came with the weights."""
        super().on_fit_start()
        if not self.is_measured:
            self.measure()

    def forward(self, mel: Tensor, noise: Tensor | None = None) -> Tensor:
        """Log-mel (B, M, L + 2 * context) and noise (B, 1, T), new where not given, to audio (B, 1, T)."""
        if noise is None:
            frames = mel.shape[-1] - 2 * self.context
            noise = torch.randn(len(mel), 1, frames * self.mel_config.hop_length, device=mel.device)
        return self.generator(noise, self.normalized(mel))

    def training_step(self, batch: MelBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        scheduler_g, scheduler_d = self.lr_schedulers()
        h, real = self.hparams, batch.audio
        noise = torch.randn_like(real)
        judged = self.global_step >= h.discriminator_start
        losses = {}

        with self.toggled_optimizer(optimizer_g):
            fake = self(batch.mel, noise)
            loss_g = losses["train/loss_g_stft"] = sum(self.stft_loss(fake, real))
            if judged:
                of_fake = self.discriminator(fake)
                adversarial = sum(self.loss.generator(maps[-1]) for maps in of_fake) / len(of_fake)
                losses["train/loss_g_adversarial"] = adversarial
                if h.feature_weight:
                    with torch.no_grad():
                        of_real = self.discriminator(real)
                    features = feature_matching(of_real, of_fake, "paper") / sum(len(maps) - 1 for maps in of_real)
                    losses["train/loss_g_features"] = features
                    adversarial = adversarial + h.feature_weight * features
                loss_g = loss_g + h.adversarial_weight * adversarial
            if self.update(optimizer_g, loss_g, h.clip_norm_g or None):
                scheduler_g.step()
        losses["train/loss_g"] = loss_g

        if judged:
            if h.recompute_fake:
                with torch.no_grad():
                    fake = self(batch.mel, noise)
            with self.toggled_optimizer(optimizer_d):
                of_real, of_fake = in_one_pass(self.discriminator, real, fake.detach())
                per_scale = [self.loss.discriminator(r[-1], f[-1]) for r, f in zip(of_real, of_fake, strict=True)]
                loss_d = sum(per_scale) / len(per_scale)
                if self.update(optimizer_d, loss_d, h.clip_norm_d or None):
                    scheduler_d.step()
            losses["train/loss_d"] = loss_d
        self.log_dict(losses, prog_bar=True)

    def configure_optimizers(self) -> tuple[list[torch.optim.Optimizer], list[LRScheduler]]:
        h = self.hparams
        optimizers = [
            torch.optim.RAdam(network.parameters(), lr, eps=1e-6)
            for network, lr in ((self.generator, h.lr_g), (self.discriminator, h.lr_d))
        ]
        return optimizers, [StepLR(optimizer, h.lr_decay_steps, gamma=0.5) for optimizer in optimizers]
