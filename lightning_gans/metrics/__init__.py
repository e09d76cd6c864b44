"""Figures of merit as torchmetrics.Metric: equal under one process and several.

An image metric is made without arguments and takes ``update(real, fake, label)``: (B, C, H, W) in [-1, 1] and the
labels that the fakes were made for, (B,) classes or (B, K) rows, or None where the metric needs none.
"""

from __future__ import annotations

from typing import Literal

from torchmetrics import Metric

from lightning_gans.metrics.fid import FIDInception, FIDLeNet
from lightning_gans.metrics.label_accuracy import LabelAccuracy
from lightning_gans.metrics.parzen import ParzenLogLikelihood
from lightning_gans.metrics.sliced_wasserstein import SlicedWasserstein

ImageMetricName = Literal["fid_inception", "fid_lenet", "label_accuracy", "parzen_ll", "sliced_wasserstein"]

IMAGE_METRICS: dict[str, type[Metric]] = {
    "fid_inception": FIDInception,
    "fid_lenet": FIDLeNet,
    "label_accuracy": LabelAccuracy,
    "parzen_ll": ParzenLogLikelihood,
    "sliced_wasserstein": SlicedWasserstein,
}

__all__ = [
    "IMAGE_METRICS",
    "FIDInception",
    "FIDLeNet",
    "ImageMetricName",
    "LabelAccuracy",
    "ParzenLogLikelihood",
    "SlicedWasserstein",
]
