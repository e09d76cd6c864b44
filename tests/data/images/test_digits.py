import pytest
import torch

from lightning_gans.data import Digits
from lightning_gans.errors import InputError


def test_original_size():
    data = Digits(image_size=8)
    data.setup("fit")
    image, label = data.splits["train"][:]
    assert image.shape == (1437, 1, 8, 8)
    assert len(data.splits["val"]) == 360
    # the first digit, as scikit-learn's documentation prints it
    assert label[0] == 0
    row = torch.tensor([0, 0, 5, 13, 9, 1, 0, 0])
    assert image[0, 0, 0].tolist() == (row * 255 / 16).round().tolist()
    assert image.max() == 255
    assert data.splits["val"].label.bincount().tolist() == [35, 36, 35, 37, 37, 37, 37, 36, 33, 37]


def test_enlarged():
    small, large = Digits(image_size=8), Digits()
    small.setup("fit")
    large.setup("fit")
    image = large.splits["train"].image
    assert image.shape[1:] == large.image_shape == (1, 32, 32)
    block_means = torch.nn.functional.avg_pool2d(image.float(), 4)
    assert (block_means - small.splits["train"].image).abs().mean() < 25
    assert image[0, 0, 2, 14:17].tolist() == sorted(image[0, 0, 2, 14:17].tolist(), reverse=True)  # 13 to 9: no steps


def test_too_small():
    with pytest.raises(InputError, match="image_size is 7; expected a whole number of at least 8"):
        Digits(image_size=7)
