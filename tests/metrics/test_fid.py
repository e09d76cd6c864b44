import numpy as np
import pytest
import torch
from torch import nn

from lightning_gans.errors import InputError
from lightning_gans.metrics import FIDInception, FIDLeNet, fid
from lightning_gans.metrics.classifiers.lenet import load_lenet
from lightning_gans.metrics.fid import FrechetDistance, rgb_bytes


class FirstPixels(nn.Module):
    """The pixels themselves as features."""

    def __init__(self, count):
        super().__init__()
        self.num_features = count

    def forward(self, images):
        return images.flatten(1)[:, : self.num_features]


def pixels(*values):
    return torch.tensor(values).reshape(len(values), -1, 1, 1)


def test_one_feature_by_hand():
    """Means 1 and 5, variances 2 and 8: 16 + 2 + 8 - 2 sqrt(16) = 18."""
    metric = FrechetDistance(feature=FirstPixels(1))
    metric.update(pixels(0.0, 2.0), pixels(3.0, 7.0))
    assert metric.compute().item() == pytest.approx(18)


def test_two_features_by_hand():
    """Equal means, covariances diag(2, 8) and diag(8, 2), as far as independent features go: 20 - 2 (4 + 4) = 4."""
    real = pixels((1.0, 2.0), (1.0, -2.0), (-1.0, 2.0), (-1.0, -2.0))
    metric = FrechetDistance(feature=FirstPixels(2))
    scale = (3 / 2) ** 0.5  # four points at +-1 have the variance 4/3
    metric.update(real * scale, real.flip(1) * scale)
    assert metric.compute().item() == pytest.approx(4, rel=1e-5)


def test_batches_add_up():
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 30, 4, 1, 1, generator=generator)
    whole, parts = (FrechetDistance(feature=FirstPixels(4)) for _ in range(2))
    whole.update(real, fake + 1)
    for index in torch.arange(30).split(7):
        parts.update(real[index], fake[index] + 1)
    assert parts.compute().item() == pytest.approx(whole.compute().item(), rel=1e-6)


def test_lenet_against_numpy(digits):
    """The formula in float64, with the symmetric root (C_r^1/2 C_f C_r^1/2)^1/2 of the same trace."""
    images = digits[0]
    real, fake = images[:600], images[600:1200].flip(3)
    metric = FIDLeNet()
    for index in torch.arange(600).split(250):
        metric.update(real[index], fake[index])

    network = load_lenet()
    a, b = (network.features(x).double().numpy() for x in (real, fake))
    values, vectors = np.linalg.eigh(np.cov(a, rowvar=False))
    root = vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ np.cov(b, rowvar=False) @ root).clip(0)).sum()
    shift = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected = shift + np.cov(a, rowvar=False).trace() + np.cov(b, rowvar=False).trace() - 2 * cross
    assert expected > 10
    assert metric.compute().item() == pytest.approx(expected, rel=1e-4)


def test_lenet_orders_fakes(digits):
    """Equal sets 0; other digits of the same hands near; noise far."""
    images = digits[0]
    noise = torch.rand(600, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def distance(fake):
        metric = FIDLeNet()
        metric.update(images[:600], fake)
        return metric.compute().item()

    same, others, far = distance(images[:600]), distance(images[600:1200]), distance(noise)
    assert same == pytest.approx(0, abs=1e-3)
    assert 1 < others < far / 10


def test_lenet_ignores_autocast_and_resets(digits):
    images = digits[0]
    metric = FIDLeNet()
    metric.update(images[:200], images[200:400])
    expected = metric.compute()
    metric.reset()
    with torch.autocast("cpu", torch.bfloat16):
        metric.update(images[:200], images[200:400])
    assert metric.compute() == expected


def test_lenet_names_its_weights():
    assert load_lenet(sha256=None) and FIDLeNet.weights == "1c9843cc"


def test_too_few_images(digits):
    metric = FIDLeNet()
    metric.update(digits[0][:1], digits[0][:1])
    with pytest.raises(InputError, match=r"got 1 image\(s\); it takes at least 2"):
        metric.compute()


def test_real_training_against_real_test_images(mnist):
    """What a perfect generator would get with 2,500 images; the bias of small sets is large, with 10,000 it is 3.05."""
    metric = FIDLeNet()
    for real, fake in zip(mnist["test"][0][::4].split(500), mnist["train"][0][:10_000:4].split(500), strict=True):
        metric.update(real, fake)
    assert metric.compute().item() == pytest.approx(15.38, abs=0.02)


def test_bytes_are_the_nearest():
    """Every byte comes back after scaling to [-1, 1]; grey becomes three equal channels."""
    values = torch.arange(256, dtype=torch.uint8)
    images = (values.float() / 127.5 - 1).reshape(256, 1, 1, 1)
    assert torch.equal(rgb_bytes(images)[:, :, 0, 0], values[:, None].expand(-1, 3))
    colour = torch.tensor([-1.0, 0.2, 1.0]).reshape(1, 3, 1, 1)
    assert rgb_bytes(colour).flatten().tolist() == [0, 153, 255]
    with pytest.raises(InputError, match="takes \\(B, 1 or 3, H, W\\)"):
        rgb_bytes(torch.zeros(2, 2, 8, 8))


class StandIn(nn.Module):
    """Takes what torchmetrics gives its Inception network; its first feature is the mean of the bytes."""

    def __init__(self, **arguments):
        super().__init__()
        self.arguments = arguments

    def forward(self, images):
        assert images.dtype == torch.uint8 and images.shape[1] == 3
        return torch.nn.functional.pad(images.float().mean((1, 2, 3))[:, None], (0, 2047))


@pytest.fixture
def inception_file(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"weights")
    monkeypatch.setenv("LIGHTNING_GANS_INCEPTION", str(path))
    monkeypatch.setattr(fid, "INCEPTION_SHA256", "9a12")
    return path


def test_inception_needs_its_file(tmp_path, monkeypatch):
    monkeypatch.delenv("LIGHTNING_GANS_INCEPTION", raising=False)
    with pytest.raises(InputError, match=r"LIGHTNING_GANS_INCEPTION is not set; download https://.*6726825d\.pth"):
        FIDInception()
    path = tmp_path / "other.pth"
    monkeypatch.setenv("LIGHTNING_GANS_INCEPTION", str(path))
    with pytest.raises(InputError, match=r"no file .*other\.pth; download"):
        FIDInception()
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"has the SHA-256 [0-9a-f]{8}\.\.\., expected 6726825d"):
        FIDInception()


def test_inception_needs_torch_fidelity(inception_file, monkeypatch):
    monkeypatch.setattr("torchmetrics.image.fid._TORCH_FIDELITY_AVAILABLE", False)
    with pytest.raises(InputError, match=r"pip install 'lightning-gans\[metrics\]'"):
        FIDInception()


def test_inception_by_hand(inception_file, monkeypatch):
    """A stand-in network sees bytes: means 51 and 204, no variance, (204 - 51)^2 = 23,409."""
    monkeypatch.setattr("torchmetrics.image.fid._TORCH_FIDELITY_AVAILABLE", True)
    monkeypatch.setattr("torchmetrics.image.fid.NoTrainInceptionV3", StandIn)
    metric = FIDInception()
    assert metric.inception.arguments == {
        "name": "inception-v3-compat",
        "features_list": ["2048"],
        "feature_extractor_weights_path": str(inception_file),
        "antialias": False,
    }
    metric.update(torch.full((3, 1, 8, 8), -0.6), torch.full((3, 3, 8, 8), 0.6))
    assert metric.real_features_sum[0] == 3 * 51 and metric.fake_features_sum[0] == 3 * 204
    monkeypatch.setattr("torchmetrics.image.fid._compute_fid", lambda mu1, _c1, mu2, _c2: (mu1 - mu2).square().sum())
    assert metric.compute().item() == pytest.approx(153**2)
