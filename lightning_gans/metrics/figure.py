"""What a figure of merit says of itself, for those who feed it."""

from __future__ import annotations

from typing import ClassVar, Literal


class Figure:
    """Mixed into every metric; the values here are those of most image metrics.

    Attributes:
        kind: What it judges. An audio metric is made with ``sample_rate``, one of vocoders with ``mel``, an image
            metric without arguments.
        calibration: The split whose batches go to ``calibrate``, where a metric has one, before the first ``update``.
        references: The splits which take the place of the fakes while testing, to tell what real data gets.
        one_per_example: The value depends on the number of fakes, so that there must be as many as real test examples.
    """

    kind: ClassVar[Literal["image", "audio", "mel"]] = "image"
    calibration: ClassVar[Literal["train", "val"]] = "val"
    references: ClassVar[tuple[str, ...]] = ("train",)
    one_per_example: ClassVar[bool] = False


def spread(total: int, count: int) -> list[int]:
    """The numbers of ``count`` of ``total`` examples at even distances; all of them if there are fewer.

    Data sets lie in the order of their classes or speakers, of which the first examples would show a few.
    """
    count = min(count, total)
    return [(2 * i + 1) * total // (2 * count) for i in range(count)]
