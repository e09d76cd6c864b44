"""What the loaders hand to the papers."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class ImageBatch(NamedTuple):
    """Images with their labels.

    Attributes:
        image: (B, C, H, W), in [-1, 1] once on the device (uint8 in [0, 255] while on its way there).
        label: (B,) class indices, or (B, K) attributes in {0, 1}.
    """

    image: Tensor
    label: Tensor


class AudioBatch(NamedTuple):
    """Clips with their labels.

    Attributes:
        audio: (B, C, T), in [-1, 1] once on the device (int16 while on its way there).
        label: (B,) class indices; zeros where there are none.
    """

    audio: Tensor
    label: Tensor
