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


@pytest.fixture(scope="module")
def mnist(data_root):
    """The real training and test images in [-1, 1], with their labels; 220 MB."""
    from lightning_gans.data import MNIST

    data = MNIST(str(data_root), validation=False)
    data.setup("fit")
    return {name: (data.splits[name].image.float() / 127.5 - 1, data.splits[name].label) for name in ("train", "test")}


@pytest.fixture(scope="session")
def fsdd(data_root):
    """The official test part (recordings 0 to 4) at 8 kHz, padded to 1.024 s, in [-1, 1], with the digits."""
    import soundfile

    files = sorted((data_root / "fsdd" / "recordings").glob("*_[0-4].flac"))
    if not files:
        pytest.skip(f"no spoken digits in {data_root}")
    clips = torch.zeros(len(files), 1, 8_192)
    for clip, file in zip(clips, files, strict=True):
        samples = torch.from_numpy(soundfile.read(file, dtype="float32")[0])[:8_192]
        clip[0, : len(samples)] = samples
    return clips, torch.tensor([int(file.name[0]) for file in files])
