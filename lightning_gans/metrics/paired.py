"""What the figures of vocoders have in common: each utterance is held against the recording of its features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_gans.audio import MelConfig
from lightning_gans.errors import InputError
from lightning_gans.metrics.figure import Figure


class Paired(Figure, Metric):
    """Takes pairs of utterances, sample by sample aligned; by default the mean of one score each.

    Whole utterances give figures that do not depend on how they were cut. Sums are float64, so that processes add up.

    Args:
        mel: The vocoder's convention, for its sample rate and features.
    """

    full_state_update = False
    kind = "mel"
    references = ()
    total: Tensor
    count: Tensor

    def __init__(self, mel: MelConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mel = MelConfig.of(mel)
        self.add_sums()

    def add_sums(self) -> None:
        """Make the states, by default of a mean over utterances."""
        self.add_state("total", torch.tensor(0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, real: Tensor, fake: Tensor, label: Tensor | None = None) -> None:
        """Add recordings and what was generated from their features, (B, 1, T) in [-1, 1]; labels do not matter.

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
            self.add(*pair)

    def add(self, real: Tensor, fake: Tensor) -> None:
        """Add one pair of utterances (T,)."""
        self.total += torch.as_tensor(self.score(real, fake), dtype=torch.float64, device=self.total.device)
        self.count += 1

    def score(self, real: Tensor, fake: Tensor) -> Tensor | float:
        """The figure of one pair of utterances (T,)."""
        raise NotImplementedError

    def compute(self) -> Tensor:
        """The mean over utterances, float64.

        Raises:
            InputError: without utterances.
        """
        if not self.count:
            raise InputError(f"{type(self).__name__} got no utterances; give it a split that has some")
        return self.total / self.count
