"""The order in which examples of shards are gone through: shuffled, and from few shards at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from lightning_gans.data.loading import ResumableSampler

Expect = Callable[[Iterable[int]], None]
MIXED = 16
"""Shards whose examples are shuffled together: with 64 MB each, a process has 1 GB of them in use."""


class ShardSampler(ResumableSampler):
    """A ``ResumableSampler`` that goes through shards one group after the other.

    In each epoch the shards are shuffled, and then the examples of each group of ``MIXED``. Each rank has a block of
    that order, so that it reads shards of its own, apart from those at the ends of its block. Like any shuffle here it
    is a function of the seed and the epoch, which a resumed run works out anew and takes up at its place.

    Args:
        dataset: With as many examples as the shards, or a multiple of them, each round in the order of the shards.
        ends: (S,) number of the example behind the last one of each shard.
        mixed: Shards of a group.
        expect: Is told at the beginning of each epoch which shards are needed, by number and in order.
        options: Of ``ResumableSampler``; only with ``drop_last``.
    """

    def __init__(
        self,
        dataset: Any,
        *args: Any,
        ends: np.ndarray,
        mixed: int = MIXED,
        expect: Expect | None = None,
        **options: Any,
    ) -> None:
        super().__init__(dataset, *args, **options)
        self.ends, self.mixed, self.expect = ends, mixed, expect

    def __iter__(self) -> Iterator[int]:
        order = list(super().__iter__())
        if self.expect:
            dataset: Any = self.dataset
            examples = np.array(order, np.int64) % len(dataset) % self.ends[-1]
            self.expect(dict.fromkeys(np.searchsorted(self.ends, examples, side="right").tolist()))
        return iter(order)

    def _order(self) -> list[int]:
        draw = np.random.default_rng((self.seed, self.epoch))
        starts = np.concatenate([[0], self.ends[:-1]])
        shards = draw.permutation(len(self.ends))
        dataset: Any = self.dataset
        rounds = np.arange(0, len(dataset), self.ends[-1])
        order = []
        for first in range(0, len(shards), self.mixed):
            group = [np.arange(starts[s], self.ends[s]) for s in shards[first : first + self.mixed]]
            order.append(draw.permutation(np.add.outer(rounds, np.concatenate(group)).ravel()))
        begin = self.rank * self.num_samples
        return np.concatenate(order)[begin : begin + self.num_samples].tolist()
