"""Figures of vocoders that compare the voice's pitch, as pYIN finds it in both (see ``audio.pitch``)."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256

import torch
from torch import Tensor

from lightning_gans.audio.pitch import pitch
from lightning_gans.metrics.paired import Paired

KEPT = 1024
"""Utterances whose pitch is remembered: two figures ask for it, and recordings come again at each validation."""
_known: OrderedDict[tuple[bytes, int], tuple[Tensor, Tensor]] = OrderedDict()


def known_pitch(audio: Tensor, sample_rate: int) -> tuple[Tensor, Tensor]:
    """``audio.pitch`` of (T,), found once for each sound."""
    samples = audio.cpu().contiguous()
    key = sha256(samples.numpy()).digest(), sample_rate
    if key not in _known:
        _known[key] = pitch(samples, sample_rate)
        if len(_known) > KEPT:
            _known.popitem(last=False)
    _known.move_to_end(key)
    return _known[key]


class Pitch(Paired):
    """Counts frames by voice, and sums squares of pitch differences over those that are voiced in both."""

    squares: Tensor
    both: Tensor
    either: Tensor

    def add_sums(self) -> None:
        self.add_state("squares", torch.tensor(0, dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("both", "either"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def add(self, real: Tensor, fake: Tensor) -> None:
        (f0, voiced), (other_f0, other_voiced) = (known_pitch(x, self.mel.sample_rate) for x in (real, fake))
        both = voiced & other_voiced
        cents = 1200 * torch.log2(other_f0[both] / f0[both])
        self.squares += cents.square().sum().to(self.squares.device)
        self.both += both.sum().to(self.both.device)
        self.either += (voiced | other_voiced).sum().to(self.either.device)


class F0RMSE(Pitch):
    """Root mean square of the pitch's difference in cents (1200 an octave), over all frames that are voiced in both.

    NaN as long as there are none, as in a training's first validations. An octave that pYIN mistakes weighs most.
    """

    higher_is_better = False

    def compute(self) -> Tensor:
        """The root mean square, float64."""
        return (self.squares / self.both).sqrt()


class VUVF1(Pitch):
    """F1 score in [0, 1] of the decision whether a frame is voiced, over all frames, the recording's taken as right.

    NaN where no frame is voiced in either.
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """2 TP / (2 TP + FP + FN), float64."""
        return 2 * self.both.double() / (self.both + self.either)
