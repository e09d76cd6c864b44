"""What a model takes against what a data set has."""

from types import SimpleNamespace

import pytest
from helpers.tiny_runs import TinyClips, TinyImages, build

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
