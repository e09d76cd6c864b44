"""What an independent classifier makes of generated digits: are they clear, and are they all there?

All metrics here look at ``SpeechClassifier``'s p(y|x), the probabilities of the ten digits.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.special import entr, xlogy
from torchmetrics.utilities import dim_zero_cat

from lightning_gans.errors import InputError
from lightning_gans.metrics.classifiers.speech_classifier import (
    SHA256,
    classifier_on,
    digit_probabilities,
    speech_clips,
)
from lightning_gans.metrics.sample_metric import SampleMetric

CONFIDENT = 0.9


class DigitPredictions(SampleMetric):
    """Keeps the probabilities of each clip, in float64: ten numbers.

    Args:
        sample_rate: Of the clips, in Hz.

    Attributes:
        weights: Start of the SHA-256 of the classifier's weights, to stand beside published values.
    """

    higher_is_better = True
    kind = "audio"
    baseline = "real"
    weights: ClassVar[str] = SHA256[:8]
    probabilities: list[Tensor]

    def __init__(self, sample_rate: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sample_rate = sample_rate
        classifier_on(torch.device("cpu"))  # complain of its file now, not after hours of training
        self.add_state("probabilities", [], dist_reduce_fx="cat")

    def update(self, real: Tensor | None, fake: Tensor, label: Tensor | None = None) -> None:
        """Add fakes (B, C, T) in [-1, 1]; the real clips and the labels do not matter."""
        self.probabilities.append(digit_probabilities(speech_clips(fake, self.sample_rate)).double())

    def clips(self) -> Tensor:
        """p(y|x) of each clip, (N, 10)."""
        if not len(self.probabilities):
            raise InputError(f"{type(self).__name__} got no clips; give it a split that has some")
        return dim_zero_cat(self.probabilities)

    def influence(self, p: Tensor) -> Tensor:
        """How each clip (N, 10) moves the value, up to a constant: (N,). Of a mean it is what the mean is of."""
        raise NotImplementedError

    def standard_error(self) -> Tensor:
        """The deviation of ``influence`` over sqrt(n), which for a share is sqrt(p (1 - p) / (n - 1))."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            moves = self.influence(self.clips())
        return moves.std() / len(moves) ** 0.5


class ClassifierScore(DigitPredictions):
    """exp of the mean Kullback-Leibler divergence of p(y|x) from p(y), which is its mean over all clips.

    The form of the Inception Score (Salimans et al. 2016, section 4), and **not** the score of the WaveGAN paper: the
    classifier is another one, trained on other recordings, and there is one score of all clips instead of the mean of
    ten parts. 1 if the digit cannot be told, 10 if each can be told for certain and all are equally frequent.
    """

    def compute(self) -> Tensor:
        """The score, float64."""
        return self.score(self.clips())

    def score(self, p: Tensor) -> Tensor:
        """Of p(y|x) (N, 10)."""
        return (entr(p.mean(0)).sum() - entr(p).sum(1).mean()).exp()

    def influence(self, p: Tensor) -> Tensor:
        return self.score(p) * (-xlogy(p, p.mean(0)).sum(1) - entr(p).sum(1))


class LabelEntropy(DigitPredictions):
    """Entropy of the mean p(y) in nats: 0 if all clips are one digit, log 10 = 2.303 if all ten are equally frequent.

    Clips that are no digits at all also make it high: it only means something beside ``confident_fsdd``.
    """

    def compute(self) -> Tensor:
        """The entropy, float64."""
        return entr(self.clips().mean(0)).sum()

    def influence(self, p: Tensor) -> Tensor:
        return -xlogy(p, p.mean(0)).sum(1)


class Confident(DigitPredictions):
    """Share of clips, in [0, 1], of which the classifier is sure: the highest probability is above 0.9."""

    def compute(self) -> Tensor:
        """The share, float64."""
        return self.influence(self.clips()).mean()

    def influence(self, p: Tensor) -> Tensor:
        return (p.amax(1) > CONFIDENT).double()


class DigitAsked(DigitPredictions):
    """Share of clips, in [0, 1], whose most probable digit is the one that they were made for.

    Like ``label_accuracy`` it says nothing of variety, nor whether the digit is clear: see ``confident_fsdd``.
    """

    asked: list[Tensor]

    def __init__(self, sample_rate: int, **kwargs: Any) -> None:
        super().__init__(sample_rate, **kwargs)
        self.add_state("asked", [], dist_reduce_fx="cat")

    def update(self, real: Tensor | None, fake: Tensor, label: Tensor | None = None) -> None:
        """Add fakes (B, C, T) in [-1, 1] with their labels (B,) in 0 to 9; the real clips do not matter.

        Raises:
            InputError: without labels, or for one that is no digit.
        """
        if label is None or label.shape != fake.shape[:1] or not ((label >= 0) & (label <= 9)).all():
            raise InputError(
                "label_accuracy_fsdd takes one digit, 0 to 9, for each clip; leave it out for data without such labels"
            )
        super().update(real, fake, label)
        self.asked.append(label)

    def compute(self) -> Tensor:
        """The share, float64."""
        return self.influence(self.clips()).mean()

    def influence(self, p: Tensor) -> Tensor:
        return (p.argmax(1) == dim_zero_cat(self.asked)).double()
