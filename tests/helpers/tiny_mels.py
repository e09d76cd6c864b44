"""Vocoders that train in milliseconds, and mels of generated speech for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from lightning_gans.audio import MelConfig, log_mel
from lightning_gans.data.batches import MelBatch
from lightning_gans.models import (
    BigVGAN,
    HiFiGAN,
    MelGAN,
    MultiScaleParallelWaveGAN,
    ParallelWaveGAN,
    STFTMelGAN,
    Vocos,
)
from lightning_gans.networks.waveform_discriminators import SampleDiscriminator, ScaleDiscriminator
from lightning_gans.training.vocoder import Vocoder

MEL = dict(name="melgan", sample_rate=8000, n_fft=64, hop_length=16, win_length=64, n_mels=8)
FRAMES = 72
"""Of a crop: a little more than half a frame of the largest STFT."""
_melgan = dict(mel=MEL, ratios=(8, 2), width=2, blocks=2)
_parallel = dict(
    mel=MEL,
    upsample_scales=(4, 4),
    layers=4,
    stacks=2,
    residual_channels=4,
    gate_channels=8,
    skip_channels=4,
    discriminator_start=1,
)


_hifigan = dict(
    mel=MEL,
    width=8,
    upsample_rates=(8, 2),
    resblock_kernels=(3, 5),
    resblock_dilations=((1, 3), (1, 2)),
    discriminator_width=1 / 32,
)


_bigvgan = dict(
    mel=MEL,
    width=8,
    upsample_rates=(8, 2),
    resblock_kernels=(3,),
    resblock_dilations=((1, 3),),
    period_width=1 / 32,
    spectra_width=3,
)


@contextmanager
def small_discriminators() -> Iterator[None]:
    """Those of MelGAN and Parallel WaveGAN, which no option makes smaller: 0.5 million parameters in place of 17."""
    with (
        mock.patch.object(ScaleDiscriminator.__init__, "__defaults__", (16, 4, 128, None)),
        mock.patch.object(SampleDiscriminator.__init__, "__defaults__", (10, 8)),
    ):
        yield


@small_discriminators()
def tiny_melgan(**options: Any) -> MelGAN:
    torch.manual_seed(0)
    return MelGAN(**_melgan | options)


@small_discriminators()
def tiny_stft_melgan(**options: Any) -> STFTMelGAN:
    torch.manual_seed(0)
    return STFTMelGAN(**_melgan | dict(discriminator_start=0) | options)


def tiny_hifigan(preset: str = "v1", **options: Any) -> HiFiGAN:
    torch.manual_seed(0)
    return HiFiGAN(preset, **_hifigan | options)


def tiny_bigvgan(preset: str = "base_22khz_80band", **options: Any) -> BigVGAN:
    torch.manual_seed(0)
    return BigVGAN(preset, **_bigvgan | options)


@small_discriminators()
def tiny_parallel_wavegan(**options: Any) -> ParallelWaveGAN:
    torch.manual_seed(0)
    return ParallelWaveGAN("ljspeech", **_parallel | options)


@small_discriminators()
def tiny_multi_scale(**options: Any) -> MultiScaleParallelWaveGAN:
    torch.manual_seed(0)
    return MultiScaleParallelWaveGAN(**_parallel | dict(kernel=3) | options)


def tiny_vocos(**options: Any) -> Vocos:
    """With larger weights than it begins with, from which a frame hardly sees its neighbors."""
    torch.manual_seed(0)
    small = dict(mel=MEL, dim=8, intermediate_dim=12, num_layers=2, period_width=1 / 32, band_width=2)
    model = Vocos(**small | options)
    for parameter in model.generator.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def sounds(count: int, frames: int, hop: int = 16) -> torch.Tensor:
    """Tones with noise (N, 1, T), the same at each call."""
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(frames * hop) / 8000
    pitch = 200 + 300 * torch.rand(count, 1, 1, generator=generator)
    noise = torch.randn(count, 1, frames * hop, generator=generator)
    return 0.4 * torch.sin(2 * torch.pi * pitch * time) + 0.02 * noise


def stacked(rows: list[tuple[torch.Tensor, torch.Tensor]]) -> MelBatch:
    return MelBatch(*map(torch.stack, zip(*rows, strict=True)))


class TinyMels(LightningDataModule):
    """Crops of ``sounds`` with their features, which repeat the first and the last frame as context."""

    audio_kind = "mel"

    def __init__(
        self, module: Vocoder, count: int = 16, batch_size: int = 4, frames: int = FRAMES, **differing: Any
    ) -> None:
        super().__init__()
        self.mel = MelConfig.of({**module.mel_config.hparams(), **differing})
        self.sample_rate, self.context, self.batch_size = self.mel.sample_rate, module.context, batch_size
        audio = sounds(count, frames)
        mel = log_mel(audio, self.mel)[:, 0, :, :frames]
        mel = torch.nn.functional.pad(mel, (self.context, self.context), mode="replicate")
        self.examples = list(zip(mel, audio, strict=True))

    def loader(self, batch_size: int) -> DataLoader:
        return DataLoader(self.examples, batch_size, collate_fn=stacked)

    def train_dataloader(self) -> DataLoader:
        return self.loader(self.batch_size)

    def val_dataloader(self) -> DataLoader:
        return self.loader(1)

    reference_dataloader = val_dataloader
