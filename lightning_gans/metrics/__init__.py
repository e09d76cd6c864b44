"""Figures of merit as torchmetrics.Metric: equal under one process and several.

An image metric takes ``update(real, fake, label)``: (B, C, H, W) in [-1, 1] and the labels that the fakes were made
for.
"""

from __future__ import annotations

from typing import Literal

from torchmetrics import Metric

from lightning_gans.metrics.parzen import ParzenLogLikelihood

ImageMetricName = Literal["parzen_ll"]

IMAGE_METRICS: dict[str, type[Metric]] = {
    "parzen_ll": ParzenLogLikelihood,
}

__all__ = ["IMAGE_METRICS", "ImageMetricName", "ParzenLogLikelihood"]
