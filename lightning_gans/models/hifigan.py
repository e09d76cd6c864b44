"""HiFi-GAN, Kong, Kim & Bae 2020, https://arxiv.org/abs/2010.05646.

"HiFi-GAN: Generative Adversarial Networks for Efficient and High Fidelity Speech Synthesis". Its three generators are
the presets ``v1``, ``v2`` and ``v3``.

Not stated there: taken from the authors' code (https://github.com/jik876/hifi-gan): the slope of 0.01 before the last
layer, features of the input up to 8 kHz and of the loss over the whole band, the widths of the multi-scale
discriminator, its spectral norm and its pooling, the logits among the matched features, torch's initialization.

Departures from that code:

- D judges real and generated audio in one pass in its own update, so that the spectral norm takes three steps of its
  power iteration with each batch, not four.
- The mel of a crop is cut from that of the whole utterance; there, each crop's ends are reflected.
- The rate is that of the epoch, also where an interrupted run goes on.
- An upsampling by an odd factor makes no sample more than that, as in https://github.com/kan-bayashi/ParallelWaveGAN.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, cast

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn.functional import l1_loss, leaky_relu

from lightning_gans.audio import MelConfig, log_mel
from lightning_gans.data.batches import MelBatch
from lightning_gans.errors import InputError, check_choice
from lightning_gans.losses.adversarial import least_squares_d, least_squares_g
from lightning_gans.losses.features import Outputs, feature_matching
from lightning_gans.networks.multi_period_discriminator import MultiPeriodDiscriminator
from lightning_gans.networks.multi_scale_discriminator import STRIDES, MultiScaleDiscriminator
from lightning_gans.networks.norms import weight_norm
from lightning_gans.networks.upsampling import check_ratios
from lightning_gans.networks.waveform_discriminators import in_one_pass
from lightning_gans.ranges import NonNegativeFloat, PositiveFloat, PositiveInt
from lightning_gans.training.vocoder import Vocoder

SLOPE, LAST_SLOPE = 0.1, 0.01
"""Of G's leaky rectifiers, and of the one before its last layer."""
REACH = 3
"""Samples on either side that the first and the last layer see."""


class Preset(NamedTuple):
    """The size of a generator."""

    width: int
    upsample_rates: tuple[int, ...]
    resblock: Literal[1, 2]
    resblock_kernels: tuple[int, ...]
    resblock_dilations: tuple[tuple[int, ...], ...]


PRESETS = {
    "v1": Preset(512, (8, 8, 2, 2), 1, (3, 7, 11), ((1, 3, 5),) * 3),
    "v2": Preset(128, (8, 8, 2, 2), 1, (3, 7, 11), ((1, 3, 5),) * 3),
    "v3": Preset(256, (8, 8, 4), 2, (3, 5, 7), ((1, 2), (2, 6), (3, 12))),
}


def same(channels: int, kernel: int, dilation: int = 1) -> nn.Module:
    """A convolution (B, C, T) to (B, C, T) with zeros beyond the ends."""
    return weight_norm(nn.Conv1d(channels, channels, kernel, padding=kernel // 2 * dilation, dilation=dilation))


class ResBlock1(nn.Module):
    """For each dilation a dilated and a plain convolution, beside a shortcut: (B, C, T) to (B, C, T)."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(same(channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(same(channels, kernel) for _ in dilations)
        self.reach = kernel // 2 * (sum(dilations) + len(dilations))

    def forward(self, x: Tensor) -> Tensor:
        for conv1, conv2 in zip(self.convs1, self.convs2, strict=True):
            x = conv2(leaky_relu(conv1(leaky_relu(x, SLOPE)), SLOPE)) + x
        return x


class ResBlock2(nn.Module):
    """For each dilation a convolution, beside a shortcut: (B, C, T) to (B, C, T)."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(same(channels, kernel, dilation) for dilation in dilations)
        self.reach = kernel // 2 * sum(dilations)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = conv(leaky_relu(x, SLOPE)) + x
        return x


class Generator(nn.Module):
    """Log-mel (B, M, L) to audio (B, 1, T) in (-1, 1), T = L times the product of the rates.

    Behind each upsampling stands a multi-receptive field fusion: the mean of residual blocks of several kernels.

    Args:
        n_mels: M.
        width: Channels of the first layer; each upsampling halves them.
        rates: Upsampling factors from the frames on.
        kernels: Of the transposed convolutions.
        resblock: 1 or 2, the kind of residual block.
        resblock_kernels: Odd numbers.
        resblock_dilations: For each of them.
    """

    def __init__(
        self,
        n_mels: int,
        width: int,
        rates: tuple[int, ...],
        kernels: tuple[int, ...],
        resblock: Literal[1, 2],
        resblock_kernels: tuple[int, ...],
        resblock_dilations: tuple[tuple[int, ...], ...],
    ) -> None:
        super().__init__()
        block = ResBlock1 if resblock == 1 else ResBlock2
        self.conv_pre = weight_norm(nn.Conv1d(n_mels, width, 2 * REACH + 1, padding=REACH))
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in zip(rates, kernels, strict=True):
            rest = kernel - rate
            up = nn.ConvTranspose1d(width, width // 2, kernel, rate, (rest + 1) // 2, output_padding=rest % 2)
            self.ups.append(weight_norm(up))
            width //= 2
            self.resblocks.extend(
                block(width, *sizes) for sizes in zip(resblock_kernels, resblock_dilations, strict=True)
            )
        self.conv_post = weight_norm(nn.Conv1d(width, 1, 2 * REACH + 1, padding=REACH))

    def forward(self, mel: Tensor) -> Tensor:
        x = self.conv_pre(mel)
        for up, blocks in self.stages():
            x = up(leaky_relu(x, SLOPE))
            total = blocks[0](x)
            for block in blocks[1:]:
                total = total + block(x)
            x = total / len(blocks)
        return self.conv_post(leaky_relu(x, LAST_SLOPE)).tanh()

    def stages(self) -> list[tuple[nn.Module, list[nn.Module]]]:
        """Each upsampling with the blocks behind it."""
        blocks, each = list(self.resblocks), len(self.resblocks) // len(self.ups)
        return [(up, blocks[i * each : (i + 1) * each]) for i, up in enumerate(self.ups)]

    @property
    def receptive_frames(self) -> int:
        """Frames on either side that a frame's samples depend on."""
        reach = REACH
        for up, blocks in reversed(self.stages()):
            reach += max(cast(int, block.reach) for block in blocks)
            conv = cast(nn.ConvTranspose1d, up)
            (rate,), (kernel,), padding = conv.stride, conv.kernel_size, int(conv.padding[0])
            reach = max(reach + rate - 1 + padding, reach + kernel - 1 - padding) // rate
        return reach + REACH


class Discriminator(nn.Module):
    """Audio (B, 1, T) to the outputs of the multi-period, then of the multi-scale discriminators."""

    def __init__(
        self, periods: tuple[int, ...], period_last_kernel: int, scale_strides: tuple[int, ...], width: float
    ) -> None:
        super().__init__()
        self.mpd = MultiPeriodDiscriminator(periods, width, period_last_kernel)
        self.msd = MultiScaleDiscriminator(scale_strides, width)

    def forward(self, audio: Tensor) -> Outputs:
        return [*self.mpd(audio), *self.msd(audio)]


def check_sizes(
    width: int,
    rates: tuple[int, ...],
    kernels: tuple[int, ...],
    resblock: int,
    resblock_kernels: tuple[int, ...],
    resblock_dilations: tuple[tuple[int, ...], ...],
) -> None:
    """Raise ``InputError`` for sizes of a generator that do not go together."""
    stages = len(rates)
    for wrong, message in (
        (
            width % 2**stages,
            f"width {width} cannot be halved {stages} times; use a multiple of {2**stages}",
        ),
        (
            len(kernels) != stages,
            f"there are {len(kernels)} upsample_kernels for {stages} upsample_rates; give as many",
        ),
        (
            any(kernel < rate for kernel, rate in zip(kernels, rates)),  # noqa: B905
            f"upsample_kernels {kernels} are below upsample_rates {rates}, which leaves samples out; use twice as many",
        ),
        (resblock not in (1, 2), f"resblock is {resblock!r}; expected 1 or 2"),
        (
            len(resblock_kernels) != len(resblock_dilations),
            f"there are {len(resblock_dilations)} resblock_dilations for {len(resblock_kernels)} resblock_kernels; give"
            " as many",
        ),
        (
            not resblock_kernels or any(kernel % 2 == 0 for kernel in resblock_kernels),
            f"resblock_kernels are {resblock_kernels}; expected odd numbers",
        ),
    ):
        if wrong:
            raise InputError(message)


class HiFiGAN(Vocoder):
    """The vocoder whose discriminators look at a waveform's periods and scales.

    A batch is an update of D, then of G, from one pass of G.

    Args:
        preset: ``v1``, ``v2`` or ``v3``. It gives what is None below, but for ``loss_mel`` and ``upsample_kernels``.
        mel: The convention of the features, see ``MelConfig.of``.
        loss_mel: The convention of the mel loss; when not given, that of ``mel`` up to half the sample rate.
        width: Channels of G's first layer.
        upsample_rates: Upsampling factors of G; their product is the hop.
        upsample_kernels: Of its transposed convolutions; twice the rates when not given.
        resblock: 1 or 2, the kind of G's residual blocks.
        resblock_kernels: One for each block behind an upsampling.
        resblock_dilations: For each of them.
        periods: Of the multi-period discriminator.
        period_last_kernel: Of its last layers; https://github.com/kan-bayashi/ParallelWaveGAN has 2.
        scale_strides: Of the multi-scale discriminator; most recipes of that project have 4, 4, 4, 4, 1.
        discriminator_width: Factor of the channels of both discriminators.
        feature_weight: lambda_fm, of feature matching, summed over maps.
        mel_weight: lambda_mel, of the mean absolute distance of mels.
        lr: Learning rate of both networks in the first epoch.
        lr_decay: Its factor from one epoch to the next.
    """

    def __init__(
        self,
        preset: Literal["v1", "v2", "v3"] = "v1",
        mel: str | dict[str, Any] = "hifigan",
        loss_mel: str | dict[str, Any] | None = None,
        width: PositiveInt | None = None,
        upsample_rates: tuple[PositiveInt, ...] | None = None,
        upsample_kernels: tuple[PositiveInt, ...] | None = None,
        resblock: Literal[1, 2] | None = None,
        resblock_kernels: tuple[PositiveInt, ...] | None = None,
        resblock_dilations: tuple[tuple[PositiveInt, ...], ...] | None = None,
        periods: tuple[PositiveInt, ...] = (2, 3, 5, 7, 11),
        period_last_kernel: PositiveInt = 3,
        scale_strides: tuple[PositiveInt, ...] = STRIDES,
        discriminator_width: PositiveFloat = 1.0,
        feature_weight: NonNegativeFloat = 2.0,
        mel_weight: NonNegativeFloat = 45.0,
        lr: NonNegativeFloat = 2e-4,
        lr_decay: PositiveFloat = 0.999,
    ) -> None:
        check_choice("preset", preset, PRESETS)
        values = PRESETS[preset]
        # A checkpoint names every value, so that it does not depend on what the preset says later.
        mel = MelConfig.of(mel).hparams()
        loss_mel = MelConfig.of(mel | {"f_max": None} if loss_mel is None else loss_mel).hparams()
        width = values.width if width is None else width
        upsample_rates = tuple(values.upsample_rates if upsample_rates is None else upsample_rates)
        upsample_kernels = tuple(
            [2 * rate for rate in upsample_rates] if upsample_kernels is None else upsample_kernels
        )
        resblock = values.resblock if resblock is None else resblock
        resblock_kernels = tuple(values.resblock_kernels if resblock_kernels is None else resblock_kernels)
        dilations = values.resblock_dilations if resblock_dilations is None else resblock_dilations
        resblock_dilations, periods, scale_strides = tuple(map(tuple, dilations)), tuple(periods), tuple(scale_strides)
        super().__init__(mel)
        self.save_hyperparameters()
        self.loss_mel = MelConfig.of(loss_mel)
        if self.loss_mel.sample_rate != self.sample_rate:
            raise InputError(
                f"loss_mel has a sample_rate of {self.loss_mel.sample_rate}, and mel one of {self.sample_rate}; give"
                " both the same"
            )
        check_ratios("upsample_rates", upsample_rates, self.mel_config)
        check_sizes(width, upsample_rates, upsample_kernels, resblock, resblock_kernels, resblock_dilations)
        self.generator = Generator(
            self.mel_config.n_mels,
            width,
            upsample_rates,
            upsample_kernels,
            resblock,
            resblock_kernels,
            resblock_dilations,
        )
        self.discriminator = Discriminator(periods, period_last_kernel, scale_strides, discriminator_width)
        self.receptive_frames = self.generator.receptive_frames

    def forward(self, mel: Tensor) -> Tensor:
        """Log-mel (B, M, L) to audio (B, 1, T) in (-1, 1)."""
        return self.generator(self.normalized(mel))

    def on_train_batch_start(self, batch: MelBatch, batch_idx: int) -> None:
        """Set the rates by the number of the epoch, whose start is passed over where a run goes on at it."""
        super().on_train_batch_start(batch, batch_idx)
        for optimizer in cast(list[LightningOptimizer], self.optimizers()):
            for group in optimizer.param_groups:
                group["lr"] = self.hparams.lr * self.hparams.lr_decay**self.current_epoch

    def training_step(self, batch: MelBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        h, real, fake = self.hparams, batch.audio, self(batch.mel)

        with self.toggled_optimizer(optimizer_d):
            parts = zip(*in_one_pass(self.discriminator, real, fake.detach()), strict=True)
            loss_d = torch.stack([2 * least_squares_d(r, f) for (r, _), (f, _) in parts]).sum()
            self.update(optimizer_d, loss_d)

        with self.toggled_optimizer(optimizer_g):
            mel_l1 = l1_loss(log_mel(fake, self.loss_mel), log_mel(real, self.loss_mel))
            with torch.no_grad():
                of_real = self.discriminator(real)
            of_fake = self.discriminator(fake)
            adversarial = torch.stack([2 * least_squares_g(logits) for logits, _ in of_fake]).sum()
            features = feature_matching(of_real, of_fake, with_logits=True)
            loss_g = adversarial + h.feature_weight * features + h.mel_weight * mel_l1
            self.update(optimizer_g, loss_g)

        losses = {"loss_d": loss_d, "loss_g": loss_g, "loss_g_adversarial": adversarial}
        losses |= {"loss_g_features": features, "loss_g_mel": mel_l1}
        self.log_dict({f"train/{name}": loss for name, loss in losses.items()}, prog_bar=True)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [
            torch.optim.AdamW(network.parameters(), self.hparams.lr, (0.8, 0.99), fused=True)
            for network in (self.generator, self.discriminator)
        ]
