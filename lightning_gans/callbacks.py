"""Metrics, pictures, speed, and the safety of a run: what happens around a paper's training step."""

from __future__ import annotations

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torchmetrics import Metric

from lightning_gans.metrics import IMAGE_METRICS, ImageMetricName


class EvaluateImages(Callback):
    """Compares what the generator makes with the images of the validation or test set.

    While testing, each figure comes with that of real training images in place of the generated ones
    (``test/fid_lenet_real``): what a perfect generator would get.

    Args:
        metrics: Names of the figures, logged as ``val/NAME`` and ``test/NAME``.
    """

    def __init__(self, metrics: list[ImageMetricName] = []) -> None:  # noqa: B006 (jsonargparse shows it)
        self.names = list(metrics)
        self.metrics: dict[str, Metric] = {}
        self.history: list[tuple[int, dict[str, float]]] = []

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.metrics = {name: IMAGE_METRICS[name]().to(module.device) for name in self.names}

    on_test_start = on_validation_start

    def on_validation_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        for metric in self.metrics.values():
            metric.update(batch.image, outputs, batch.label)

    on_test_batch_end = on_validation_batch_end

    def on_validation_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        values = {name: metric.compute().float() for name, metric in self.metrics.items()}
        self.history.append((trainer.global_step, {name: float(value) for name, value in values.items()}))
        self.log_dict({f"val/{name}": value for name, value in values.items()}, sync_dist=True, prog_bar=True)
