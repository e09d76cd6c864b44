"""Does a conditional generator make what it was asked for?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lightning_gans.errors import InputError
from lightning_gans.metrics.classifiers.lenet import load_lenet
from lightning_gans.metrics.sample_metric import SampleMetric


class LabelAccuracy(SampleMetric):
    """Share of generated digits that an independent classifier (``LeNet``) takes for the label they were made for.

    The mean over all images, in [0, 1]. It says nothing of variety: one good image per class scores 1.
    """

    baseline = "real"
    higher_is_better = True
    correct: Tensor
    total: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classifier = load_lenet()
        for name in ("correct", "total"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, real: Tensor, fake: Tensor, label: Tensor | None = None) -> None:
        """Add fakes (B, C, H, W) in [-1, 1] with their labels (B,) in 0 to 9; the real images do not matter.

        Raises:
            InputError: without labels, for rows of attributes, for a label that is no digit.
        """
        if label is None or label.dim() != 1 or len(label) != len(fake):
            given = "none" if label is None else f"{tuple(label.shape)}"
            raise InputError(
                f"label_accuracy got labels {given} for {len(fake)} images; it takes one digit per image, as a"
                " conditional model on MNIST or digits has: leave it out for other data"
            )
        low, high = label.aminmax()
        if low < 0 or high > 9:
            raise InputError(f"label_accuracy got labels from {low} to {high}; it takes the digits 0 to 9")
        self.correct += (self.classifier(fake).argmax(1) == label).sum()
        self.total += len(fake)

    def compute(self) -> Tensor:
        """Share in [0, 1], float64."""
        return self.correct.double() / self.total
