"""A quiet Trainer for one epoch, images of noise for it, GANs of them, and what their steps generate."""

from pathlib import Path

import numpy as np
import soundfile
import torch
from lightning import Callback, Trainer
from torch import Tensor

from lightning_gans.data.images.base import ImageDataModule
from lightning_gans.data.loading import ImagesInMemory
from lightning_gans.models import GAN


class Noise(ImageDataModule):
    """Images of 4x4 pixels: 40 to train with, 20 to validate, 30 to test."""

    num_classes = 10

    def __init__(self, eval_batch_size: int = 8) -> None:
        super().__init__(batch_size=8, eval_batch_size=eval_batch_size, image_size=4)
        self.image_shape = (1, 4, 4)

    def setup(self, stage: str) -> None:
        draw = torch.Generator().manual_seed(0)
        self.splits = {
            name: ImagesInMemory(
                torch.randint(low, high, (num, 1, 4, 4), generator=draw, dtype=torch.uint8), torch.arange(num) % 10
            )
            for name, num, low, high in (("train", 40, 0, 256), ("val", 20, 100, 156), ("test", 30, 240, 256))
        }


def scaled(data: Noise, split: str) -> Tensor:
    return data.splits[split].image / 127.5 - 1


def trainer(*extra, **options) -> Trainer:
    defaults = dict(accelerator="cpu", enable_progress_bar=False, enable_model_summary=False, logger=False)
    defaults |= dict(enable_checkpointing=False, num_sanity_val_steps=0, max_epochs=1, log_every_n_steps=1)
    return Trainer(**(defaults | options), callbacks=list(extra))


def tiny(image_shape=(1, 4, 4), **options) -> GAN:
    torch.manual_seed(0)
    return varied(GAN(image_shape, latent_dim=3, hidden=8, units=4, **options))


def varied(model):
    """With plain differences between samples, which those of fresh weights do not have."""
    for parameter in model.generator.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


class Keep(Callback):
    """Notes what was generated, batch by batch."""

    def __init__(self) -> None:
        self.fakes: list[Tensor] = []

    def on_validation_batch_end(self, trainer, module, outputs, *_) -> None:
        self.fakes.append(outputs)

    on_test_batch_end = on_validation_batch_end


def as_16_bit(audio: Tensor) -> np.ndarray:
    """What a file holds of clips (N, 1, T), none of which is silent."""
    assert (audio.std(-1) > 0).all()
    return (audio[:, 0].clamp(-1, 1) * 32767).round().short().numpy()


def wav_files(folder: Path, rate: int = 8000) -> np.ndarray:
    """The files of a folder in order, (N, T) as 16-bit numbers; all at that rate."""
    read = [soundfile.read(path, dtype="int16") for path in sorted(folder.glob("*.wav"))]
    assert {found for _, found in read} == {rate}
    return np.stack([samples for samples, _ in read])
