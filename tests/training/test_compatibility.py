"""What a model takes against what a data set has."""

import math
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from helpers.tiny_runs import TinyClips, TinyImages, build, fit
from lightning import Trainer
from torch import nn
from torch.utils.data import DataLoader

from lightning_gans.data.batches import AudioBatch, ImageBatch, MelBatch
from lightning_gans.errors import InputError
from lightning_gans.models import WaveGAN
from lightning_gans.training.compatibility import check_data


class ColorImages(TinyImages):
    """With an option for the size, as the data sets of the package have it."""

    def __init__(self, image_size: int) -> None:
        super().__init__(size=image_size, channels=3)


@pytest.mark.parametrize(
    "name, data, message",
    [
        ("gan", TinyImages(), None),
        ("gan", None, None),
        ("gan", SimpleNamespace(), None),
        ("wavegan_labels", TinyClips(), None),
        (
            "gan",
            ColorImages(16),
            "ColorImages has channels 3 and image_size 16, and GAN takes channels 1 and image_size 32; use"
            " --model.image_shape [3,16,16] and --data.image_size 32 or --model.image_shape [3,16,16]",
        ),
        (
            "dcgan_torch",
            ColorImages(16),
            "ColorImages has channels 3 and image_size 16, and DCGAN takes channels 1 and image_size 32; use"
            " --model.channels 3 and --data.image_size 32 or --model.image_size 16",
        ),
        (
            "wavegan",
            TinyClips(length=512),
            "TinyClips has length 512, and WaveGAN takes length 256; use --data.length 256 or --model.length 512",
        ),
        ("cgan", SimpleNamespace(num_classes=None, image_shape=(1, 32, 32)), "CGAN needs labels"),
        (
            "wavegan",
            TinyImages(),
            "TinyImages is a data set of images, and WaveGAN makes audio; give --data or --model",
        ),
        ("gan", TinyClips(), "TinyClips is a data set of audio, and GAN makes images; give --data or --model"),
    ],
)
def test_sizes(name, data, message):
    if message is None:
        return check_data(build(name), data)
    with pytest.raises(InputError) as refused:
        check_data(build(name), data)
    assert str(refused.value).startswith(message)


def test_rates_and_shapes_that_are_not_square():
    with pytest.raises(InputError, match="TinyClips has sample_rate 16000, and WaveGAN takes sample_rate 8000; use"):
        check_data(WaveGAN(length=256, latent_dim=4, width=4, sample_rate=8000), TinyClips())
    wide = TinyImages()
    wide.image_shape = (1, 32, 48)
    with pytest.raises(
        InputError, match=r"has image_size \(32, 48\), and DCGAN takes image_size 32; use --model.image"
    ):
        check_data(build("dcgan_torch"), wide)


# ---- batches of anybody's loader


def images(count: int, channels: int, size: int, low: float = -1.0, high: float = 1.0) -> ImageBatch:
    x = torch.linspace(low, high, count * channels * size**2).view(count, channels, size, size)
    return ImageBatch(x, torch.zeros(count, dtype=torch.long))


def mels(frames: int, samples: int, bands: int = 8) -> MelBatch:
    return MelBatch(torch.full((2, bands, frames), -3.0), torch.zeros(2, 1, samples))


class Other(NamedTuple):
    """A user's own batch."""

    image: torch.Tensor


@pytest.mark.parametrize(
    "name, batch, told",
    [
        ("dcgan_torch", images(2, 1, 32), None),
        ("dcgan_torch", Other(images(2, 1, 32).image), None),
        ("dcgan_torch", images(2, 1, 64), ["(2, 1, 64, 64)", "ImageBatch", "(B, 1, 32, 32)"]),
        ("gan", images(2, 3, 32), ["(2, 3, 32, 32)", "(B, 1, 32, 32)"]),
        ("dcgan_torch", images(2, 1, 32, 0, 255), ["from 0 to 255", "[-1, 1]"]),
        ("dcgan_torch", images(2, 1, 32, -2.1, 2.6), ["from -2.1 to 2.6", "[-1, 1]"]),
        ("dcgan_torch", images(2, 1, 32, math.nan), ["nan"]),
        ("dcgan_torch", tuple(images(2, 1, 32)), ["without image", "ImageBatch"]),
        ("cgan", Other(images(2, 1, 32).image), ["Other without label", "ImageBatch"]),
        ("dcgan_torch", [images(2, 1, 32).image], ["list without image", "ImageBatch"]),
        (
            "dcgan_torch",
            ImageBatch(torch.zeros(2, 1, 32, dtype=torch.uint8), torch.zeros(2)),
            ["uint8", "DataModule"],
        ),
        ("wavegan", AudioBatch(torch.zeros(2, 1, 256), torch.zeros(2)), None),
        ("wavegan", AudioBatch(1.3 * torch.ones(2, 1, 256), torch.zeros(2)), None),
        ("wavegan", AudioBatch(torch.zeros(2, 256), torch.zeros(2)), ["(2, 256)", "AudioBatch", "(B, 1, 256)"]),
        ("wavegan", AudioBatch(9000 * torch.ones(2, 1, 256), torch.zeros(2)), ["9000", "[-1, 1]"]),
        ("melgan", mels(10, 160), None),
        ("melgan", mels(10, 160, bands=9), ["(2, 9, 10)", "MelBatch", "(B, 8, L)"]),
        ("melgan", mels(10, 161), ["(2, 1, 161)", "(B, 1, 16 L)"]),
        ("parallel_wavegan", mels(10, 160), ["2 frames of context"]),
        ("melgan", mels(3, 48), ["3 frames", "at least 4", "--data.crop", "64"]),
    ],
)
def test_the_first_batch(name, batch, told):
    if told is None:
        fit(build(name), DataLoader([batch], batch_size=None), max_steps=1)
        return
    module = build(name)
    if name == "parallel_wavegan":
        module.mel_scale.fill_(2.0)  # as if measured, which takes a DataModule
    with pytest.raises(InputError) as refused:
        fit(module, DataLoader([batch], batch_size=None), max_steps=1)
    assert all(part in str(refused.value) for part in told), str(refused.value)


def test_images_from_0_to_1_are_told():
    with pytest.warns(UserWarning, match=r"in \[0, 1\].*black is -1"):
        fit(build("dcgan_torch"), DataLoader([images(2, 1, 32, 0, 1)], batch_size=None), max_steps=1)


def test_a_mel_of_another_convention_is_told():
    batch = mels(10, 160)
    with pytest.warns(UserWarning, match="the mel has values"):
        fit(build("melgan"), DataLoader([batch._replace(mel=batch.mel - 10)], batch_size=None), max_steps=1)


def test_validation_has_a_loader_of_its_own():
    good, bad = (DataLoader([images(2, 1, size)], batch_size=None) for size in (32, 64))
    with pytest.raises(InputError, match=r"\(2, 1, 64, 64\)"):
        Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, max_steps=1).fit(
            build("dcgan_torch"), good, bad
        )


def test_one_example_and_batch_norm():
    module = build("cgan")
    module.generator.norm = nn.BatchNorm1d(4)
    with pytest.raises(InputError, match=r"one example.*batch_size"):
        fit(module, DataLoader([images(1, 1, 32)], batch_size=None), max_steps=1)
