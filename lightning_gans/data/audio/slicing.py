"""Clips cut from sounds: which ones there are, and the data set that hands them out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lightning_gans.data.audio.sounds import Sounds
from lightning_gans.data.batches import AudioBatch

Slicing = Literal["first", "random", "consecutive"]
FIT_SHARE = 0.9
"""From this share of files that fit into a clip on, the rest may be cut off."""
LONG_SHARE = 0.5


def choose_slicing(length: np.ndarray, clip_length: int) -> tuple[Slicing, str]:
    """Which clips to take of files of these lengths, and why.

    Args:
        length: (N,) samples.
        clip_length: T, samples of an example.
    """
    fit, long = float(np.mean(length <= clip_length)), float(np.mean(length >= 2 * clip_length))
    if fit >= FIT_SHARE:
        return "first", f"{100 * fit:.0f} % of the files fit into a clip"
    if long >= LONG_SHARE:
        return "consecutive", f"{100 * long:.0f} % of the files hold two clips or more"
    return "random", f"only {100 * fit:.0f} % of the files fit into a clip, and {100 * long:.0f} % hold two or more"


def clips_per_file(length: np.ndarray, clip_length: int, hop: int, pad_end: bool) -> np.ndarray:
    """How many consecutive clips each file gives.

    Args:
        length: (N,) samples.
        clip_length: T, samples of an example.
        hop: Samples from one clip to the next.
        pad_end: Fill up the last clip with zeros, so that no sample is lost; without it a short tail is.
    """
    beyond = length - clip_length
    if pad_end:
        return 1 + -(-np.maximum(beyond, 0) // hop)
    return np.where(beyond >= 0, 1 + beyond // hop, 0)


class AudioClips(Dataset):
    """Clips cut from decoded files, as int16; hands out whole batches.

    Indices of ``len`` and more stand for later epochs: ``epoch * len + index`` (see ``ResumableSampler``).

    Args:
        sounds: Decoded files.
        rows: (N,) which of them.
        label: (N,) their classes.
        clip_length: T, samples of an example; shorter files are followed by zeros.
        slicing: ``first`` has one example per file, its beginning. ``random`` has one per file, whose place is a
            function of the seed, the epoch and the example. ``consecutive`` has all clips a hop apart.
        hop: Samples from one consecutive clip to the next; T when not given.
        pad_end: Of consecutive clips, fill up the last with zeros, so that no sample is lost.
        seed: Of the random clips.
    """

    draws = True

    def __init__(
        self,
        sounds: Sounds,
        rows: np.ndarray,
        label: Tensor,
        clip_length: int,
        slicing: Slicing = "first",
        hop: int | None = None,
        pad_end: bool = False,
        seed: int = 0,
    ) -> None:
        self.sounds, self.clip_length, self.slicing, self.seed = sounds, clip_length, slicing, seed
        length, hop = sounds.length[rows], clip_length if hop is None else hop
        count = clips_per_file(length, clip_length, hop, pad_end) if slicing == "consecutive" else np.ones_like(length)
        example = np.repeat(np.arange(len(rows)), count)
        self.file = rows[example]
        self.label = label[torch.from_numpy(example)]
        self.begin = hop * (np.arange(len(example)) - np.repeat(np.cumsum(count) - count, count))

    def content(self) -> Iterator[bytes]:
        """What tells these clips from others, see ``fingerprint``."""
        yield from self.sounds.content(np.unique(self.file))
        yield self.label.numpy().tobytes()

    def __len__(self) -> int:
        return len(self.file)

    def __getitem__(self, index: int | slice) -> AudioBatch:
        if isinstance(index, slice):
            return self.__getitems__(range(len(self))[index])
        return AudioBatch(*(part[0] for part in self.__getitems__([index])))

    def __getitems__(self, indices: Sequence[int]) -> AudioBatch:
        audio = np.zeros((len(indices), self.sounds.channels, self.clip_length), np.int16)
        epochs, examples = np.divmod(np.asarray(indices, np.int64), len(self))
        for row, (epoch, example) in enumerate(zip(epochs, examples, strict=True)):
            file, begin = self.file[example], self.begin[example]
            if self.slicing == "random":
                # a generator of its own for each: no state to save, and the same clips on any rank and in any process
                generator = np.random.default_rng((self.seed, epoch, example))
                begin = generator.integers(max(self.sounds.length[file] - self.clip_length, 0), endpoint=True)
            clip = self.sounds[file][:, begin : begin + self.clip_length]
            audio[row, :, : clip.shape[1]] = clip
        return AudioBatch(torch.from_numpy(audio), self.label[torch.from_numpy(examples)])
