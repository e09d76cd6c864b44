"""What every metric says of itself, for those who feed it."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor
from torchmetrics import Metric


class SampleMetric(Metric):
    """Base of the metrics that judge samples; the values here are those of most image metrics.

    Attributes:
        kind: What it judges. An audio metric is made with ``sample_rate``, one of vocoders with ``mel``, an image
            metric without arguments.
        baseline: What takes the place of the samples in a test, logged under the metric's name with this behind it:
            ``real``, the test examples; ``real_train``, training examples, for a distance from the test examples;
            ``griffin_lim``, sounds made of the same mels without a network.
        calibration: The split whose batches go to ``calibrate`` before the first ``update``; None without one.
        one_per_example: The value depends on the number of samples, so that there must be as many as test examples.
    """

    full_state_update = False
    kind: ClassVar[Literal["image", "audio", "mel"]] = "image"
    baseline: ClassVar[Literal["real", "real_train", "griffin_lim"]] = "real_train"
    calibration: ClassVar[Literal["train", "val"] | None] = None
    one_per_example: ClassVar[bool] = False

    def calibrate(self, real: Tensor) -> None:
        """Add this process's share of the examples of the split ``calibration``, (B, ...) in [-1, 1]."""
        raise NotImplementedError

    def standard_error(self) -> Tensor | None:
        """How far ``compute`` varies with the choice of samples, float64; None where that is not known."""
        return None
