"""What the metrics of vocoders have in common: each utterance is held against the recording of its mel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from lightning_gans.audio import MelConfig
from lightning_gans.errors import InputError
from lightning_gans.metrics.sample_metric import SampleMetric


class Paired(SampleMetric):
    """Takes pairs of utterances, sample by sample aligned; by default the mean of one score each.

    Whole utterances give values that do not depend on how they were cut. Sums are float64, so that processes add up.

    Args:
        mel: The vocoder's convention, for its sample rate and bands.
    """

    kind = "mel"
    baseline = "griffin_lim"
    utterances: list[Tensor]

    def __init__(self, mel: MelConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mel = MelConfig.of(mel)
        self.add_state("utterances", [], dist_reduce_fx="cat")

    def update(self, real: Tensor, fake: Tensor, label: Tensor | None = None) -> None:
        """Add recordings and what was generated from their mels, (B, 1, T) in [-1, 1]; labels do not matter.

        Raises:
            InputError: for other shapes, or samples that are not finite.
        """
        if real.shape != fake.shape or real.dim() != 3 or real.shape[1] != 1:
            raise InputError(
                f"{type(self).__name__} got real audio {tuple(real.shape)} and generated audio {tuple(fake.shape)}; it"
                " compares (B, 1, T) samples of one length: cut both to whole frames"
            )
        if not fake.isfinite().all():
            raise InputError(
                f"{type(self).__name__} got generated samples that are not finite; take an earlier checkpoint"
            )
        for pair in zip(real[:, 0].detach().float(), fake[:, 0].detach().float(), strict=True):
            self.utterances.append(self.sums(*pair)[None])

    def score(self, real: Tensor, fake: Tensor) -> Tensor | float:
        """The value of one pair of utterances (T,)."""
        raise NotImplementedError

    def sums(self, real: Tensor, fake: Tensor) -> Tensor:
        """What is summed over utterances, of one pair (T,): (S,) float64; by default its score, and 1."""
        score = torch.as_tensor(self.score(real, fake), dtype=torch.float64, device=self.device)
        return torch.stack([score, torch.ones_like(score)])

    def value(self, sums: Tensor) -> Tensor:
        """The metric of sums (..., S); by default a mean."""
        return sums[..., 0] / sums[..., 1]

    def compute(self) -> Tensor:
        """The value over all utterances, float64.

        Raises:
            InputError: without utterances.
        """
        return self.value(self._all().sum(0))

    def standard_error(self) -> Tensor:
        """How far ``compute`` varies with the choice of utterances, float64; NaN for a single one.

        The jackknife, which leaves out one utterance at a time. Of a mean it is the deviation (n - 1) over sqrt(n).
        """
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            utterances = self._all()
        without = self.value(utterances.sum(0) - utterances)
        count = len(without)
        return ((count - 1) / count * (without - without.mean()).square().sum()).sqrt()

    def _all(self) -> Tensor:
        """Sums (N, S) of the utterances."""
        if not len(self.utterances):
            raise InputError(f"{type(self).__name__} got no utterances; give it a split that has some")
        return dim_zero_cat(self.utterances)
