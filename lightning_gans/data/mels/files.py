"""Precomputed mels beside the sounds, put into one file of float32 that all processes map."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightning_gans.data.caching import cache_path, decode_into, mapped, written_whole
from lightning_gans.errors import one_line

FORMAT = 1
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


def read_mels(root: Path, stamps: dict[str, tuple[int, int]], n_mels: int) -> Mels:
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
    index_path = path.with_suffix(".json")
    if not (path.is_file() and index_path.is_file()):
        shapes, unusable = _shapes(root, list(stamps), n_mels)
        told = [shape[1] == n_mels for shape in shapes.values() if shape[0] != shape[1]]
        most = sum(told) * 2 > len(told)
        length: dict[str, int] = {}

        def read(name: str) -> np.ndarray:
            shape = shapes[name]
            if shape[0] == shape[1] and not told:
                raise ValueError(f"its shape is {shape}: nothing tells frames from bands; store one more frame")
            frames_first = most if shape[0] == shape[1] else shape[1] == n_mels
            mel = _load(root / name).astype(np.float32).reshape(shape)
            mel = mel if frames_first else mel.T
            wrong = ~np.isfinite(mel).all(1)
            if wrong.any():
                raise ValueError(f"values that are not finite, first in frame {int(wrong.argmax())}")
            length[name] = len(mel)
            return mel

        with written_whole(path, "mels") as file, written_whole(index_path, "an index of mels") as index:
            names, start, broken = decode_into(file, "reading mels", list(shapes), read)
            rows = {"start": [s // n_mels for s in start], "length": [length[name] for name in names]}
            index.write(json.dumps({"names": names, **rows, "broken": unusable | broken}).encode())
    table = json.loads(index_path.read_text(encoding="utf-8"))
    table |= {key: np.array(table[key], np.int64) for key in ("start", "length")}
    return Mels(values=mapped(path, np.float32).reshape(-1, n_mels), **table)


def _shapes(root: Path, names: list[str], n_mels: int) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """The two axes of each file, without those of 1 in front; why other files cannot be used."""
    shapes: dict[str, tuple[int, int]] = {}
    unusable: dict[str, str] = {}
    for name in names:
        try:
            full = shape = _load(root / name).shape
            while len(shape) > 2 and shape[0] == 1:
                shape = shape[1:]
            if len(shape) != 2 or n_mels not in shape or 0 in shape:
                raise ValueError(f"its shape is {full}; expected (frames, {n_mels}) or ({n_mels}, frames)")
            shapes[name] = shape
        except (OSError, ValueError) as error:
            unusable[name] = one_line(error)
    return shapes, unusable


def _load(path: Path) -> np.ndarray:
    """A file's array, mapped. Nothing is unpickled."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"not a complete .npy array: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise ValueError("not an array of floats")
    return array
