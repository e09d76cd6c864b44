"""Noise that is a function of the seed, the rank and the batch: nothing that was drawn before changes it."""

from __future__ import annotations

import os
import secrets

import numpy as np
import torch
from lightning.pytorch.strategies import Strategy

TRAINING, EVALUATION = 0, 1
"""Streams: validation draws the same latents every time, whatever training has drawn before."""

WORDS = slice(24, 24 + 8 * 624)
"""Where the state of torch's CPU generator has the 624 words of the Mersenne twister."""


def seeded(seed: int | None) -> torch.Generator:
    """A generator on the CPU, where a seed means the same everywhere; None is a seed by chance."""
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(int(seed))  # numpy's numbers, too
    return generator


class NoiseStream:
    """Sets torch's global generators anew for each batch, differently on each rank.

    A resumed run so draws what the uninterrupted one does, dropout included.

    Attributes:
        seed: Of the run; None before a fit begins or a checkpoint is loaded.
    """

    def __init__(self) -> None:
        self.seed: int | None = None

    def begin(self, strategy: Strategy) -> None:
        """Choose the seed: a checkpoint's, else that of ``seed_everything``, else one by chance, equal on all ranks."""
        if self.seed is None:
            given = os.environ.get("PL_GLOBAL_SEED")
            self.seed = strategy.broadcast(secrets.randbits(63) if given is None else int(given))

    def reseed(self, stream: int, index: int, rank: int, device: torch.device) -> None:
        """Set the generators for one batch of one stream on one rank."""
        seed = int(os.environ.get("PL_GLOBAL_SEED", 0)) if self.seed is None else self.seed
        place = np.array([seed, rank, stream, index], np.uint64).view(np.uint32)
        bits = np.random.SFC64(np.random.SeedSequence(place))
        if device.type != "cpu":  # without other devices their generators take ten times as long
            torch.manual_seed(int(bits.random_raw()))
        # Of a seed's 64 bits torch's CPU generator takes 32, with which two of 65,000 batches have the same noise.
        state = torch.Generator().manual_seed(0).get_state()
        state.numpy()[WORDS].view(np.uint64)[:] = bits.random_raw(312).view(np.uint32)
        torch.default_generator.set_state(state)
