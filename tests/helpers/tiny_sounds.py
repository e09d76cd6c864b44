"""Clips of noise, in the order of their classes, and a WaveGAN that trains on them in milliseconds."""

from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_gans.data.batches import AudioBatch
from lightning_gans.models import ConditionalWaveGAN, WaveGAN

RATE, LENGTH, CLASSES = 8_000, 256, 3
COUNTS = {"train": 20, "val": 6, "test": 7}


def wavegan(channels: int = 1, **options: Any) -> WaveGAN | ConditionalWaveGAN:
    """With plain differences between samples, which those of fresh weights do not have; conditional with classes."""
    torch.manual_seed(0)
    sizes = dict(length=LENGTH, strides=(4, 4), width=2, latent_dim=3, sample_rate=RATE, channels=channels)
    module = (ConditionalWaveGAN if "num_classes" in options else WaveGAN)(**sizes | options)
    for parameter in module.generator.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module


class Noises(LightningDataModule):
    """Clip i of n has a mean of about i / n - 0.5."""

    sample_rate, audio_shape = RATE, (1, LENGTH)
    num_classes, class_names = CLASSES, ["hum", "hiss", "click"]

    def setup(self, stage: str) -> None:
        draw = torch.Generator().manual_seed(0)
        self.splits = {}
        for split, count in COUNTS.items():
            level = (torch.arange(count) / count - 0.5)[:, None, None]
            noise = level + 0.2 * torch.rand(count, 1, LENGTH, generator=draw)
            self.splits[split] = AudioBatch(noise, torch.arange(count) * CLASSES // count)

    def audio(self, split: str) -> Tensor:
        return self.splits[split].audio

    def _loader(self, split: str) -> DataLoader:
        audio, label = self.splits[split]
        items = [AudioBatch(*pair) for pair in zip(audio, label, strict=True)]
        return DataLoader(items, batch_size=4, shuffle=False)

    def train_dataloader(self) -> DataLoader:
        return self._loader("train")

    def val_dataloader(self) -> DataLoader:
        return self._loader("val")

    def test_dataloader(self) -> DataLoader:
        return self._loader("test")

    def predict_dataloader(self) -> DataLoader:
        return self._loader("test")

    def reference_dataloader(self) -> DataLoader:
        return self._loader("train")
