"""Frechet distances between the features of real and of generated images (Heusel et al. 2017, eq. 6).

||mu_r - mu_f||^2 + trace(C_r + C_f - 2 (C_r C_f)^(1/2)), where the means and unbiased covariances belong to the
features of some network. A value means something beside others by the same network and the same number of images only.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance  # the package above exports it with torch-fidelity only

from lightning_gans.errors import InputError
from lightning_gans.files import sha256
from lightning_gans.metrics.classifiers.lenet import SHA256, LeNet, load_lenet
from lightning_gans.metrics.sample_metric import SampleMetric

INCEPTION_VARIABLE = "LIGHTNING_GANS_INCEPTION"
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION_SHA256 = "6726825d"
"""First digits of the hash, which the file's authors put into its name."""
INCEPTION_URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{INCEPTION_FILE}"


class LeNetFeatures(nn.Module):
    """The classifier up to its last hidden layer, as torchmetrics calls feature networks."""

    num_features = LeNet.num_features

    def __init__(self) -> None:
        super().__init__()
        self.lenet = load_lenet()

    def forward(self, images: Tensor) -> Tensor:
        return self.lenet.features(images)


class FrechetDistance(SampleMetric, FrechetInceptionDistance):
    """torchmetrics' class with the package's ``update``; its sums are float64, so that two processes and one agree."""

    def prepare(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] as the feature network takes them."""
        return images

    # type: the interface of this package's metrics in place of torchmetrics'
    def update(self, real: Tensor, fake: Tensor, label: Tensor | None = None) -> None:  # type: ignore[override]
        """Add real and fake images (B, C, H, W) in [-1, 1]; labels do not matter."""
        with torch.autocast(real.device.type, enabled=False):
            super().update(self.prepare(real), real=True)
            super().update(self.prepare(fake), real=False)

    def compute(self) -> Tensor:
        """The distance, at least 0.

        Raises:
            InputError: with fewer than two images of a kind, which have no covariance.
        """
        count = int(min(self.real_features_num_samples, self.fake_features_num_samples))
        if count < 2:
            raise InputError(
                f"a Frechet distance got {count} image(s); it takes at least 2, and thousands to mean much"
            )
        return super().compute().clamp_min(0)  # rounding can take it below


class FIDLeNet(FrechetDistance):
    """Frechet distance of 128 features of our digit classifier: for digits of 28x28 or 32x32, without any download.

    Its values are not those of the Inception network.

    Attributes:
        weights: Start of the SHA-256 of the classifier's weights, to stand beside published values.
    """

    weights: ClassVar[str] = SHA256[:8]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(feature=LeNetFeatures(), **kwargs)


class FIDInception(FrechetDistance):
    """Frechet distance of the 2,048 Inception features of the papers, resized as their TensorFlow code does.

    It downloads nothing: the weights (91 MB) are looked for at ``$LIGHTNING_GANS_INCEPTION``. Gray images become RGB.

    Raises:
        InputError: where the file or the package torch-fidelity is missing, or the file is another one.
    """

    def __init__(self, **kwargs: Any) -> None:
        path = inception_weights()
        try:
            super().__init__(feature_extractor_weights_path=str(path), antialias=False, **kwargs)
        except ModuleNotFoundError as error:
            raise InputError("fid_inception needs torch-fidelity: pip install 'lightning-gans[metrics]'") from error

    def prepare(self, images: Tensor) -> Tensor:
        return rgb_bytes(images)


def rgb_bytes(images: Tensor) -> Tensor:
    """Images (B, 1 or 3, H, W) in [-1, 1] to the nearest uint8 (B, 3, H, W)."""
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise InputError(f"fid_inception got images {tuple(images.shape)}; it takes (B, 1 or 3, H, W)")
    return images.float().add(1).mul(127.5).round().clamp(0, 255).byte().expand(-1, 3, -1, -1)


def inception_weights() -> Path:
    """The weights file that the user gave, its hash checked."""
    way_out = f"download {INCEPTION_URL} and set {INCEPTION_VARIABLE} to the file"
    given = os.environ.get(INCEPTION_VARIABLE)
    if not given:
        raise InputError(f"fid_inception needs the Inception weights, and {INCEPTION_VARIABLE} is not set; {way_out}")
    path = Path(given).expanduser()
    digest = sha256(path, way_out)
    if not digest.startswith(INCEPTION_SHA256):
        raise InputError(f"{path} has the SHA-256 {digest[:8]}..., expected {INCEPTION_SHA256}...; {way_out}")
    return path
