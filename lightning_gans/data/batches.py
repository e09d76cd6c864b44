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


class MelBatch(NamedTuple):
    """Sounds with their log-mel spectrograms.

    Attributes:
        mel: (B, M, L + 2 * context) in the data set's convention, not normalized by any statistics. The L frames in the
            middle belong to the audio, the others lie beside it; beyond an end of the utterance, its outermost frame is
            repeated.
        audio: (B, 1, T), T = L * hop_length, in [-1, 1] once on the device (int16 while on its way there).
    """

    mel: Tensor
    audio: Tensor


class MelSource(NamedTuple):
    """What a ``MelBatch`` is made of on the device.

    Attributes:
        audio: (B, 1, T + 2 * around) int16: with the samples that the frames beside it see.
        gain: (B,) to be multiplied with.
        frame: (B, L + 2 * context) which of the audio's frames stands where.
    """

    audio: Tensor
    gain: Tensor
    frame: Tensor
