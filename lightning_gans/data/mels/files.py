"""Precomputed mels beside the sounds, put into one file of float32 that all processes map."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lightning_gans.data.caching import cache_path, packed
from lightning_gans.data.files import Stamps
from lightning_gans.files import Damaged
from lightning_gans.files.arrays import mapped

FORMAT = 2
"""Raise it when the same files give other values, so that old caches are left alone."""
SOME = 32
"""Files that speak for all of a folder."""


@dataclass(frozen=True)
class Mels:
    """Mels of files.

    Attributes:
        names: Those that could be read.
        values: (sum of L, M) float32, mapped from the cache.
        start: (N,) where each begins.
        length: (N,) L, its frames.
        broken: Why the others could not be read.
    """

    names: list[str]
    values: np.ndarray
    start: np.ndarray
    length: np.ndarray
    broken: dict[str, str]

    def read(self, row: int, frames: np.ndarray) -> np.ndarray:
        """Frames (L,) of a file: (L, M)."""
        return self.values[self.start[row] + frames]

    def some(self, files: int = SOME) -> np.ndarray:
        """All frames (sum of L, M) of a few files, which lie at even distances in the list."""
        rows = np.unique(np.linspace(0, len(self.names) - 1, files).round().astype(np.int64))
        return np.concatenate([self.read(row, np.arange(self.length[row])) for row in rows])

    def of(self, names: Sequence[str]) -> Mels:
        """Those of some files, in this order."""
        index = {name: row for row, name in enumerate(self.names)}
        rows = np.array([index[name] for name in names], np.int64)
        return Mels(list(names), self.values, self.start[rows], self.length[rows], {})


def read_mels(root: Path, stamps: Stamps, n_mels: int) -> Mels:
    """Read ``.npy`` files of (L, M) or (M, L), or take the result of an earlier time from the cache.

    Which axis is which is told by the number of bands; where a file has as many frames, by the other files.

    Args:
        root: Their folder.
        stamps: Size and time of change by path.
        n_mels: M.

    Raises:
        InputError: for a cache that cannot be written.
    """
    listed = [(name, *stamp) for name, stamp in stamps.items()]
    path = cache_path("mel", ".float32", FORMAT, str(root.resolve()), listed, n_mels)
    length: dict[str, int] = {}

    @cache
    def most_have_frames_first() -> bool | None:
        """What most files are like whose two axes differ; None if there is none."""
        told = []
        for name in stamps:
            with suppress(Damaged):
                first, last = _load(root / name, n_mels).shape
                told += [last == n_mels] if first != last else []
        return 2 * sum(told) > len(told) if told else None

    def read(name: str) -> np.ndarray:
        mel = _load(root / name, n_mels)
        first, last = mel.shape
        frames_first = most_have_frames_first() if first == last else last == n_mels
        if frames_first is None:
            reason = f"its shape is {mel.shape}: nothing tells frames from bands"
            raise Damaged(root / name, reason, "store one more frame")
        mel = (mel if frames_first else mel.T).astype(np.float32)
        wrong = ~np.isfinite(mel).all(1)
        if wrong.any():
            raise Damaged(root / name, f"values that are not finite, first in frame {int(wrong.argmax())}")
        length[name] = len(mel)
        return mel

    def facts(names: list[str], _: dict[str, str]) -> dict[str, Any]:
        return {"length": [length[name] for name in names]}

    values, index = packed(path, "mels", np.float32, list(stamps), read, facts)
    start, frames = np.array(index["start"], np.int64) // n_mels, np.array(index["length"], np.int64)
    return Mels(index["names"], values.reshape(-1, n_mels), start, frames, index["broken"])


def _load(path: Path, n_mels: int) -> np.ndarray:
    """A file's array of two axes, mapped. Nothing is unpickled."""
    array = mapped(path)
    if array.dtype.kind != "f":
        raise Damaged(path, "not an array of floats")
    shape = array.shape
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != 2 or n_mels not in shape or 0 in shape:
        raise Damaged(path, f"its shape is {array.shape}; expected (frames, {n_mels}) or ({n_mels}, frames)")
    return array.reshape(shape)
