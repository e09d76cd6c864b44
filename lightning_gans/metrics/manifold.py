"""Precision, recall, density and coverage: are samples like real data, and is there all of it among them?

Kynkaanniemi et al. 2019 (https://arxiv.org/abs/1904.06991) take the set of real data for the union of balls around the
features of each example, which reach to its k-th neighbor, and the set of samples likewise. Naeem et al. 2020
(https://arxiv.org/abs/2002.09797) count with the real balls only, since one far sample has a ball in which much lies.

A value belongs to its features, to k and to the number of examples: compare with what a test prints beside it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from lightning_gans.errors import InputError
from lightning_gans.metrics.classifiers import lenet, speech_classifier
from lightning_gans.metrics.sample_metric import SampleMetric

NEIGHBORS = 5
"""k, of Naeem et al. 2020."""
ROWS = 1_000
"""Compared with all others at a time."""


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances (N, M) of rows (N, D) and (M, D), of float64."""
    return (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T).clamp(min=0)


def radii(x: Tensor, k: int = NEIGHBORS) -> Tensor:
    """Squared distances (N,) of rows (N, D) to their k-th nearest other one."""
    return torch.cat([distances(part, x).kthvalue(k + 1, dim=1).values for part in x.split(ROWS)])


def inside(centers: Tensor, squares: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """In how many balls, of centers (N, D) and squared radii (N,), each row (M, D) lies, and how many lie in each."""
    parts = [distances(part, centers) <= squares for part in x.split(ROWS)]
    return torch.cat([part.sum(1) for part in parts]), torch.stack([part.sum(0) for part in parts]).sum(0)


class Manifold(SampleMetric):
    """Keeps the features of all examples of both kinds."""

    higher_is_better = True
    baseline = "real_train"
    one_per_example = True
    weights: ClassVar[str]
    of_real: list[Tensor]
    of_fake: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("of_real", [], dist_reduce_fx="cat")
        self.add_state("of_fake", [], dist_reduce_fx="cat")

    def features(self, examples: Tensor) -> Tensor:
        """(N, D) of images or sounds."""
        raise NotImplementedError

    def update(self, real: Tensor, fake: Tensor, label: Tensor | None = None) -> None:
        """Add real examples and fakes, as many of each in the end; labels do not matter."""
        self.of_real.append(self.features(real))
        self.of_fake.append(self.features(fake))

    def compute(self) -> Tensor:
        """The value, float64.

        Raises:
            InputError: with no more than k examples of a kind.
        """
        count = min(sum(map(len, state)) for state in (self.of_real, self.of_fake))
        if count <= NEIGHBORS:
            raise InputError(
                f"{type(self).__name__} got {count} examples; it takes more than {NEIGHBORS}, and hundreds to mean much"
            )
        return self.value(*(dim_zero_cat(state).double() for state in (self.of_real, self.of_fake)))

    def value(self, real: Tensor, fake: Tensor) -> Tensor:
        """The value for features (N, D) of both kinds."""
        raise NotImplementedError


class Precision(Manifold):
    """Share of samples that lie in the ball of some real example."""

    def value(self, real: Tensor, fake: Tensor) -> Tensor:
        return (inside(real, radii(real), fake)[0] > 0).double().mean()


class Recall(Manifold):
    """Share of real examples that lie in the ball of some sample."""

    def value(self, real: Tensor, fake: Tensor) -> Tensor:
        return (inside(fake, radii(fake), real)[0] > 0).double().mean()


class Density(Manifold):
    """In how many real balls a sample lies, over k. About 1 for real data; more where samples crowd in the middle."""

    def value(self, real: Tensor, fake: Tensor) -> Tensor:
        return inside(real, radii(real), fake)[0].double().mean() / NEIGHBORS


class Coverage(Manifold):
    """Share of real examples in whose ball there is a sample."""

    def value(self, real: Tensor, fake: Tensor) -> Tensor:
        return (inside(real, radii(real), fake)[1] > 0).double().mean()


class OfLeNet(Manifold):
    """By 128 features of our digit classifier: for digits of 28x28 or 32x32."""

    weights = lenet.SHA256[:8]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classifier = lenet.load_lenet()

    def features(self, examples: Tensor) -> Tensor:
        return self.classifier.features(examples)


class OfSpeech(Manifold):
    """By 96 features of our classifier of spoken digits, its last maps averaged over time and frequency.

    Of the maps themselves noise is a neighbor; of the averages it is not. These do not know the order of sounds:
    precision takes digits played backwards for digits, coverage does not.

    Args:
        sample_rate: Of the clips, in Hz.
    """

    kind = "audio"
    weights = speech_classifier.SHA256[:8]

    def __init__(self, sample_rate: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sample_rate = sample_rate

    def features(self, examples: Tensor) -> Tensor:
        clips = speech_classifier.speech_clips(examples, self.sample_rate)
        return speech_classifier.digit_features(clips).mean((2, 3))


class PrecisionLeNet(OfLeNet, Precision):
    """Precision of digits as images."""


class RecallLeNet(OfLeNet, Recall):
    """Recall of digits as images."""


class DensityLeNet(OfLeNet, Density):
    """Density of digits as images."""


class CoverageLeNet(OfLeNet, Coverage):
    """Coverage of digits as images."""


class PrecisionFSDD(OfSpeech, Precision):
    """Precision of spoken digits."""


class RecallFSDD(OfSpeech, Recall):
    """Recall of spoken digits."""


class DensityFSDD(OfSpeech, Density):
    """Density of spoken digits."""


class CoverageFSDD(OfSpeech, Coverage):
    """Coverage of spoken digits."""
