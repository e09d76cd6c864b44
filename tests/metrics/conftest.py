import pytest
import torch
from torch.nn.functional import interpolate, pad


@pytest.fixture(scope="session")
def digits():
    """All 1,797 digits of scikit-learn, drawn as MNIST draws them: 20x20 in the middle of 28x28, in [-1, 1]."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = torch.from_numpy(data.images).float()[:, None] / 8 - 1
    images = interpolate(images, (20, 20), mode="bilinear", antialias=True)
    return pad(images, (4,) * 4, value=-1), torch.from_numpy(data.target).long()


@pytest.fixture(scope="session")
def mnist(data_root):
    """The real training and test images in [-1, 1], with their labels."""
    from lightning_gans.data import MNIST

    data = MNIST(str(data_root), validation=False)
    data.setup("fit")
    return {name: (data.splits[name].image.float() / 127.5 - 1, data.splits[name].label) for name in ("train", "test")}
