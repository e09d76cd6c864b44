"""BigVGAN, Lee, Ping, Ginsburg, Catanzaro & Yoon 2023, https://arxiv.org/abs/2206.04658.

"BigVGAN: A universal neural vocoder with large-scale training", and its second version, which the authors have released
in 2024 without a paper (https://github.com/NVIDIA/BigVGAN). Presets are called as their models are: ``base`` is the
small one, ``v2`` the second version, which

- is judged by constant-Q spectra (Gu et al. 2024) in place of magnitudes,
- is held to log-mels of seven resolutions at weight 15, in place of one at weight 45,
- clips gradients at 500 in place of 1,000,
- ends in a clamp, after a convolution without bias, in place of a hyperbolic tangent.

Not stated in the paper: taken from that code: the filter's design, the logarithmic scales of the activation, the
rectangular window of the magnitudes, the rates' decay by 0.9999996 in each update.

Departures from that code:

- The two discriminators have an optimizer each. AdamW treats each parameter alone, so that nothing changes.
- A kernel of the transposed convolutions takes two strides, as in all of the authors' models.
- What is matched of the real audio is judged without gradient, which D would not have used.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any, ClassVar, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler

from lightning_gans.audio import MelConfig
from lightning_gans.data.batches import MelBatch
from lightning_gans.errors import check_choice
from lightning_gans.losses.adversarial import least_squares_d, least_squares_g
from lightning_gans.losses.features import feature_matching
from lightning_gans.losses.mel import mel_distance, multi_scale
from lightning_gans.models.hifigan import REACH, check_sizes, same
from lightning_gans.networks import alias_free
from lightning_gans.networks.alias_free import AliasFree, Snake
from lightning_gans.networks.multi_period_discriminator import MultiPeriodDiscriminator
from lightning_gans.networks.multi_resolution_discriminator import MultiResolutionDiscriminator
from lightning_gans.networks.norms import weight_norm
from lightning_gans.networks.sub_band_cqt_discriminator import MultiScaleSubBandCQTDiscriminator
from lightning_gans.networks.upsampling import check_ratios
from lightning_gans.networks.waveform_discriminators import in_one_pass
from lightning_gans.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from lightning_gans.training.vocoder import Vocoder

Spectra = Literal["magnitude", "cqt"]
MelLoss = Literal["single", "multi_scale"]
Final = Literal["tanh", "clamp"]


V1: dict[str, Any] = dict(spectra="magnitude", spectra_width=32, mel_loss="single", mel_weight=45.0, clip_norm=1000.0)
V1 |= dict(final="tanh", final_bias=True)
V2: dict[str, Any] = dict(spectra="cqt", spectra_width=128, mel_loss="multi_scale", mel_weight=15.0, clip_norm=500.0)
V2 |= dict(final="clamp", final_bias=False)
"""What the two versions differ in."""


class Preset(NamedTuple):
    """A released model: its features, its generator's size, and its version."""

    mel: dict[str, Any]
    width: int
    upsample_rates: tuple[int, ...]
    version: dict[str, Any]


def features(sample_rate: int, n_mels: int, f_max: float | None, n_fft: int = 1024) -> dict[str, Any]:
    """A preset's mel convention; the hop is a quarter of a frame."""
    sizes = dict(n_fft=n_fft, win_length=n_fft, hop_length=n_fft // 4, n_mels=n_mels, f_max=f_max)
    return dict(name="bigvgan", sample_rate=sample_rate, **sizes)


SMALL, LARGE, LONG_HOP = (512, (8, 8, 2, 2)), (1536, (4, 4, 2, 2, 2, 2)), (1536, (8, 4, 2, 2, 2, 2))
PRESETS = {
    "base_24khz_100band": Preset(features(24000, 100, None), *SMALL, V1),
    "base_22khz_80band": Preset(features(22050, 80, 8000), *SMALL, V1),
    "24khz_100band": Preset(features(24000, 100, None), *LARGE, V1),
    "22khz_80band": Preset(features(22050, 80, 8000), *LARGE, V1),
    "v2_24khz_100band_256x": Preset(features(24000, 100, None), *LARGE, V2),
    "v2_22khz_80band_256x": Preset(features(22050, 80, None), *LARGE, V2),
    "v2_22khz_80band_fmax8k_256x": Preset(features(22050, 80, 8000), *LARGE, V2),
    "v2_44khz_128band_256x": Preset(features(44100, 128, None), *LARGE, V2),
    "v2_44khz_128band_512x": Preset(features(44100, 128, None, 2048), *LONG_HOP, V2),
}


class AMPBlock(nn.Module):
    """Anti-aliased multi-periodicity (section 3.3): (B, C, T) to (B, C, T).

    For each dilation a dilated and a plain convolution, each behind an activation, beside a shortcut.
    """

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(same(channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(same(channels, kernel) for _ in dilations)
        self.activations = nn.ModuleList(AliasFree(Snake(channels)) for _ in range(2 * len(dilations)))
        self.reach = kernel // 2 * (sum(dilations) + len(dilations)) + alias_free.REACH * len(self.activations)

    def forward(self, x: Tensor) -> Tensor:
        firsts, seconds = self.activations[::2], self.activations[1::2]
        for conv1, conv2, first, second in zip(self.convs1, self.convs2, firsts, seconds, strict=True):
            x = conv2(second(conv1(first(x)))) + x
        return x


class Generator(nn.Module):
    """Log-mel (B, M, L) to audio (B, 1, T) in [-1, 1], T = L times the product of the rates.

    Args:
        n_mels: M.
        width: Channels of the first layer; each upsampling halves them.
        rates: Upsampling factors from the frames on.
        resblock_kernels: Odd numbers, of the blocks behind each upsampling, whose mean is taken.
        resblock_dilations: For each of them.
        final: What bounds the output.
        final_bias: Whether the last convolution has a bias.
    """

    def __init__(
        self,
        n_mels: int,
        width: int,
        rates: tuple[int, ...],
        resblock_kernels: tuple[int, ...],
        resblock_dilations: tuple[tuple[int, ...], ...],
        final: Final,
        final_bias: bool,
    ) -> None:
        super().__init__()
        self.rates, self.final = rates, final
        self.conv_pre = weight_norm(nn.Conv1d(n_mels, width, 2 * REACH + 1, padding=REACH))
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for rate in rates:
            up = nn.ConvTranspose1d(width, width // 2, 2 * rate, rate, (rate + 1) // 2, output_padding=rate % 2)
            self.ups.append(weight_norm(up))
            width //= 2
            sizes = zip(resblock_kernels, resblock_dilations, strict=True)
            self.resblocks.extend(AMPBlock(width, kernel, dilations) for kernel, dilations in sizes)
        self.activation_post = AliasFree(Snake(width))
        self.conv_post = weight_norm(nn.Conv1d(width, 1, 2 * REACH + 1, padding=REACH, bias=final_bias))

    def forward(self, mel: Tensor) -> Tensor:
        x = self.conv_pre(mel)
        for up, blocks in self.stages():
            x = up(x)
            x = reduce(torch.add, [block(x) for block in blocks]) / len(blocks)
        return self.bounded(self.conv_post(self.activation_post(x)))

    def bounded(self, audio: Tensor) -> Tensor:
        """Within [-1, 1]."""
        return audio.tanh() if self.final == "tanh" else audio.clamp(-1, 1)

    def stages(self) -> list[tuple[nn.Module, list[AMPBlock]]]:
        """Each upsampling with the blocks behind it."""
        blocks, each = cast(list[AMPBlock], list(self.resblocks)), len(self.resblocks) // len(self.ups)
        return [(up, blocks[i * each : (i + 1) * each]) for i, up in enumerate(self.ups)]

    @property
    def receptive_frames(self) -> int:
        """Frames on either side that a frame's samples depend on."""
        reach = REACH + alias_free.REACH
        for rate, (_, blocks) in reversed(list(zip(self.rates, self.stages(), strict=True))):
            reach = (reach + max(block.reach for block in blocks) + rate - 1 + (rate + 1) // 2) // rate
        return reach + REACH


class BigVGAN(Vocoder):
    """The vocoder whose activations are periodic, and kept from aliasing.

    A batch is an update of each D, then of G, from one pass of G. Until ``discriminator_start`` updates of G are done,
    G learns from the mels alone, and no D is asked or trained.

    Args:
        preset: One of the authors' models, see the head of this file. It gives what is None below.
        mel: The convention of the features, see ``MelConfig.of``.
        width: Channels of G's first layer.
        upsample_rates: Upsampling factors of G; their product is the hop.
        resblock_kernels: One for each block behind an upsampling.
        resblock_dilations: For each of them.
        final: What bounds the output: ``tanh`` or ``clamp``.
        final_bias: Whether the last convolution has a bias.
        spectra: What the second D sees: ``magnitude`` or ``cqt``.
        spectra_width: Its channels.
        period_width: Factor of the first D's channels.
        mel_loss: ``single`` compares natural logarithms of the model's own bands up to half the sample rate,
            ``multi_scale`` is ``losses.mel.multi_scale``.
        mel_weight: lambda_mel.
        feature_weight: lambda_fm.
        discriminator_start: Generator updates before the Ds join.
        lr: Learning rate of all networks.
        lr_decay: Factor of a network's rate in each of its updates.
        clip_norm: Largest gradient norm of each network; 0 does not clip.
    """

    networks: ClassVar[dict[str, str]] = {
        "g": "generator",
        "d_periods": "period_discriminator",
        "d_spectra": "spectral_discriminator",
    }

    def __init__(
        self,
        preset: str = "base_24khz_100band",
        mel: str | dict[str, Any] | None = None,
        width: PositiveInt | None = None,
        upsample_rates: tuple[PositiveInt, ...] | None = None,
        resblock_kernels: tuple[PositiveInt, ...] = (3, 7, 11),
        resblock_dilations: tuple[tuple[PositiveInt, ...], ...] = ((1, 3, 5),) * 3,
        final: Final | None = None,
        final_bias: bool | None = None,
        spectra: Spectra | None = None,
        spectra_width: PositiveInt | None = None,
        period_width: PositiveFloat = 1.0,
        mel_loss: MelLoss | None = None,
        mel_weight: NonNegativeFloat | None = None,
        feature_weight: NonNegativeFloat = 2.0,
        discriminator_start: NonNegativeInt = 0,
        lr: NonNegativeFloat = 1e-4,
        lr_decay: PositiveFloat = 0.9999996,
        clip_norm: NonNegativeFloat | None = None,
    ) -> None:
        check_choice("preset", preset, PRESETS)
        values, version = PRESETS[preset], PRESETS[preset].version
        # A checkpoint names every value, so that it does not depend on what the preset says later.
        mel = MelConfig.of(values.mel if mel is None else mel).hparams()
        width = values.width if width is None else width
        upsample_rates = tuple(values.upsample_rates if upsample_rates is None else upsample_rates)
        resblock_kernels, resblock_dilations = tuple(resblock_kernels), tuple(map(tuple, resblock_dilations))
        final = version["final"] if final is None else final
        final_bias = version["final_bias"] if final_bias is None else final_bias
        spectra = version["spectra"] if spectra is None else spectra
        spectra_width = version["spectra_width"] if spectra_width is None else spectra_width
        mel_loss = version["mel_loss"] if mel_loss is None else mel_loss
        mel_weight = version["mel_weight"] if mel_weight is None else mel_weight
        clip_norm = version["clip_norm"] if clip_norm is None else clip_norm
        super().__init__(mel)
        self.save_hyperparameters()
        check_ratios("upsample_rates", upsample_rates, self.mel_config)
        kernels = tuple(2 * rate for rate in upsample_rates)
        check_sizes(width, upsample_rates, kernels, 1, resblock_kernels, resblock_dilations)
        check_choice("final", final, ("tanh", "clamp"))
        check_choice("spectra", spectra, ("magnitude", "cqt"))
        check_choice("mel_loss", mel_loss, ("single", "multi_scale"))
        sizes = (self.mel_config.n_mels, width, upsample_rates, resblock_kernels, resblock_dilations)
        self.generator = Generator(*sizes, final, final_bias)
        self.period_discriminator = MultiPeriodDiscriminator(width=period_width)
        self.spectral_discriminator = (
            MultiResolutionDiscriminator(width=spectra_width)
            if spectra == "magnitude"
            else MultiScaleSubBandCQTDiscriminator(self.sample_rate, width=spectra_width)
        )
        whole_band = MelConfig.of({**mel, "f_max": None})
        self.mels = (whole_band,) if mel_loss == "single" else multi_scale(self.sample_rate)
        self.receptive_frames = self.generator.receptive_frames

    @classmethod
    def data_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        mel = options["mel"] if options["mel"] is not None else PRESETS[options["preset"]].mel
        return {"mel": mel, "context": cls.context}

    def forward(self, mel: Tensor) -> Tensor:
        """Log-mel (B, M, L) to audio (B, 1, T) in [-1, 1]."""
        return self.generator(self.normalized(mel))

    def training_step(self, batch: MelBatch, batch_idx: int) -> None:
        optimizer_g, *optimizers_d = self.optimizers()
        scheduler_g, *schedulers_d = cast(list[LRScheduler], self.lr_schedulers())
        h, real, fake = self.hparams, batch.audio, self(batch.mel)
        judges = [self.period_discriminator, self.spectral_discriminator]
        d_trains, losses = self.global_step >= h.discriminator_start, dict[str, Tensor]()

        if d_trains:
            keys = list(self.networks)[1:]
            for key, judge, optimizer, scheduler in zip(keys, judges, optimizers_d, schedulers_d, strict=True):
                with self.toggled_optimizer(optimizer):
                    pairs = zip(*in_one_pass(judge, real, fake.detach()), strict=True)
                    loss = 2 * torch.stack([least_squares_d(r, f) for (r, _), (f, _) in pairs]).sum()
                    if self.update(optimizer, loss, h.clip_norm or None):
                        scheduler.step()
                losses[f"train/loss_{key}"] = loss
            losses["train/loss_d"] = torch.stack(list(losses.values())).sum()

        with self.toggled_optimizer(optimizer_g):
            losses["train/loss_g_mel"] = mel_distance(fake, real, self.mels)
            loss_g = h.mel_weight * losses["train/loss_g_mel"]
            if d_trains:
                adversarial, features = [], []
                for judge, with_logits in zip(judges, (True, h.spectra == "magnitude"), strict=True):
                    with torch.no_grad():
                        of_real = judge(real)
                    of_fake = judge(fake)
                    adversarial += [2 * least_squares_g(logits) for logits, _ in of_fake]
                    features.append(feature_matching(of_real, of_fake, with_logits=with_logits))
                losses["train/loss_g_adversarial"] = torch.stack(adversarial).sum()
                losses["train/loss_g_features"] = torch.stack(features).sum()
                loss_g = loss_g + losses["train/loss_g_adversarial"]
                loss_g = loss_g + h.feature_weight * losses["train/loss_g_features"]
            if self.update(optimizer_g, loss_g, h.clip_norm or None):
                scheduler_g.step()
        self.log_dict(losses | {"train/loss_g": loss_g}, prog_bar=True)

    def configure_optimizers(self) -> tuple[list[torch.optim.Optimizer], list[LRScheduler]]:
        optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(getattr(self, network).parameters(), self.hparams.lr, (0.8, 0.99), fused=True)
            for network in self.networks.values()
        ]
        return optimizers, [ExponentialLR(optimizer, self.hparams.lr_decay) for optimizer in optimizers]
