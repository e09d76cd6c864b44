"""Metrics of vocoders that compare the voice's pitch, as pYIN finds it in both (see ``audio.pitch``)."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256

import torch
from torch import Tensor

from lightning_gans.audio.pitch import pitch
from lightning_gans.metrics.paired import Paired

KEPT = 1024
"""Utterances whose pitch is remembered: two metrics ask for it, and recordings come again at each validation."""
_known: OrderedDict[tuple[bytes, int], tuple[Tensor, Tensor]] = OrderedDict()


def known_pitch(audio: Tensor, sample_rate: int) -> tuple[Tensor, Tensor]:
    """``audio.pitch`` of (T,), found once for each sound."""
    samples = audio.cpu().contiguous()
    key = sha256(samples.numpy().tobytes()).digest(), sample_rate
    if key not in _known:
        _known[key] = pitch(samples, sample_rate)
        if len(_known) > KEPT:
            _known.popitem(last=False)
    _known.move_to_end(key)
    return _known[key]


class Pitch(Paired):
    """Sums squares of pitch differences over frames voiced in both, and counts these and those voiced in either."""

    def sums(self, real: Tensor, fake: Tensor) -> Tensor:
        (f0, voiced), (other_f0, other_voiced) = (known_pitch(x, self.mel.sample_rate) for x in (real, fake))
        both = voiced & other_voiced
        cents = 1200 * torch.log2(other_f0[both] / f0[both])
        sums = [cents.square().sum(), both.sum(), (voiced | other_voiced).sum()]
        return torch.stack([x.double() for x in sums]).to(self.device)


class F0RMSE(Pitch):
    """Root mean square of the pitch's difference in cents (1200 an octave), over all frames that are voiced in both.

    NaN where there are none, as in a training's first validations. An octave that pYIN mistakes weighs most.
    """

    higher_is_better = False

    def value(self, sums: Tensor) -> Tensor:
        return (sums[..., 0] / sums[..., 1]).sqrt()


class VUVF1(Pitch):
    """F1 score in [0, 1] of the decision whether a frame is voiced, over all frames, the recording's taken as right.

    NaN where no frame is voiced in either.
    """

    higher_is_better = True

    def value(self, sums: Tensor) -> Tensor:
        """2 TP / (2 TP + FP + FN)."""
        return 2 * sums[..., 1] / (sums[..., 1] + sums[..., 2])
