"""What an independent classifier makes of generated digits: are they clear, and are they all there?

All metrics here look at ``SpeechClassifier``'s p(y|x), the probabilities of the ten digits.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.special import entr

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
    """Sums over clips, in float64, from which the metrics follow; so that processes add up.

    Args:
        sample_rate: Of the clips, in Hz.

    Attributes:
        weights: Start of the SHA-256 of the classifier's weights, to stand beside published values.
    """

    kind = "audio"
    baseline = "real"
    weights: ClassVar[str] = SHA256[:8]
    probabilities: Tensor
    entropies: Tensor
    confident: Tensor
    total: Tensor

    def __init__(self, sample_rate: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sample_rate = sample_rate
        classifier_on(torch.device("cpu"))  # complain of its file now, not after hours of training
        self.add_state("probabilities", torch.zeros(10, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("entropies", torch.tensor(0, dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("confident", "total"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, real: Tensor | None, fake: Tensor, label: Tensor | None = None) -> None:
        """Add fakes (B, C, T) in [-1, 1]; the real clips and the labels do not matter."""
        p = digit_probabilities(speech_clips(fake, self.sample_rate)).double()
        self.probabilities += p.sum(0)
        self.entropies += entr(p).sum()
        self.confident += (p.amax(1) > CONFIDENT).sum()
        self.total += len(p)


class ClassifierScore(DigitPredictions):
    """exp of the mean Kullback-Leibler divergence of p(y|x) from p(y), which is its mean over all clips.

    The form of the Inception Score (Salimans et al. 2016, section 4), and **not** the score of the WaveGAN paper: the
    classifier is another one, trained on other recordings, and there is one score of all clips instead of the mean of
    ten parts. 1 if the digit cannot be told, 10 if each can be told for certain and all are equally frequent.
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """The score, float64."""
        return (entr(self.probabilities / self.total).sum() - self.entropies / self.total).exp()


class LabelEntropy(DigitPredictions):
    """Entropy of the mean p(y) in nats: 0 if all clips are one digit, log 10 = 2.303 if all ten are equally frequent.

    Clips that are no digits at all also make it high: it only means something beside ``confident_fsdd``.
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """The entropy, float64."""
        return entr(self.probabilities / self.total).sum()


class Confident(DigitPredictions):
    """Share of clips, in [0, 1], of which the classifier is sure: the highest probability is above 0.9."""

    higher_is_better = True

    def compute(self) -> Tensor:
        """The share, float64."""
        return self.confident.double() / self.total


class DigitAsked(DigitPredictions):
    """Share of clips, in [0, 1], whose most probable digit is the one that they were made for.

    Like ``label_accuracy`` it says nothing of variety, nor whether the digit is clear: see ``confident_fsdd``.
    """

    higher_is_better = True
    asked: Tensor

    def __init__(self, sample_rate: int, **kwargs: Any) -> None:
        super().__init__(sample_rate, **kwargs)
        self.add_state("asked", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, real: Tensor | None, fake: Tensor, label: Tensor | None = None) -> None:
        """Add fakes (B, C, T) in [-1, 1] with their labels (B,) in 0 to 9; the real clips do not matter.

        Raises:
            InputError: without labels, or for one that is no digit.
        """
        if label is None or label.shape != fake.shape[:1] or not ((0 <= label) & (label <= 9)).all():
            raise InputError(
                "label_accuracy_fsdd takes one digit, 0 to 9, for each clip; leave it out for data without such labels"
            )
        super().update(real, fake, label)
        p = digit_probabilities(speech_clips(fake, self.sample_rate))  # known from the line before
        self.asked += (p.argmax(1) == label).sum()

    def compute(self) -> Tensor:
        """The share, float64."""
        return self.asked.double() / self.total
