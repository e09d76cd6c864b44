"""Are samples copies of training sounds? By their waveforms, wherever they begin and however loud they are."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torchaudio.functional import fftconvolve

from lightning_gans.metrics.classifiers.speech_classifier import speech_clips
from lightning_gans.metrics.nearest import NearestTrain, spread

MATCHED_CLIPS = 100
AT_ONCE = 8
"""Training clips that all others are correlated with together."""


def best_matches(clips: Tensor, parts: Iterable[Tensor]) -> Tensor:
    """The largest normalized cross-correlation of each clip with any other, over all shifts, sign apart.

    Args:
        clips: (N, T), of any level; silence matches nothing.
        parts: The others, as several (M, T).

    Returns:
        (N,) in [0, 1]: 1 for a copy.
    """
    own, best = normalize(clips.float())[:, None], clips.new_zeros(len(clips), dtype=torch.float32)
    for part in parts:
        for others in part.split(AT_ONCE):
            correlation = fftconvolve(own, normalize(others.float()).flip(1)[None])
            best = best.maximum(correlation.abs().amax((1, 2)))
    return best


class MatchTrain(NearestTrain):
    """Mean correlation of a clip with the training clip that it matches best: 1 where all are copies.

    What real clips get, which are no copies, is the value to compare with: low tones of one pitch match each other.
    Of all clips, 100 are judged, evenly spread.
    """

    name = "match_train"

    def kept(self, audio: Tensor) -> Tensor:
        """The clips themselves, (B, 16384), float16."""
        return speech_clips(audio, self.sample_rate).half()

    def compute(self) -> Tensor:
        """The mean correlation."""
        parts, clips = self.training_parts(), self.chosen()
        return best_matches(clips[spread(len(clips), MATCHED_CLIPS)], parts).mean()
