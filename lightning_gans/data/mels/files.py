"""Precomputed mels beside the sounds, put into one file of float32 that all processes map."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from lightning_gans.data.audio.sounds import each
from lightning_gans.data.caching import cache_path, read_ahead, written_whole

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
    index = path.with_suffix(".json")
    if not (path.is_file() and index.is_file()):
        _fill(path, index, root, list(stamps), n_mels)
    read_ahead(path)
    table = json.loads(index.read_text(encoding="utf-8"))
    return Mels(
        names=table["names"],
        values=_mapped(path, n_mels, "r"),
        start=np.array(table["start"], np.int64),
        length=np.array(table["length"], np.int64),
        broken=table["broken"],
    )


def _fill(path: Path, index: Path, root: Path, names: list[str], n_mels: int) -> None:
    """Write the values and then their index."""
    broken: dict[str, str] = {}
    shapes: dict[str, tuple[int, int]] = {}

    def look(name: str) -> None:
        shapes[name] = _shape(_load(root / name), n_mels)

    each("measuring mels", names, look, broken)
    frames_first = [shape[1] == n_mels for shape in shapes.values() if shape[0] != shape[1]]
    for name, shape in shapes.items():
        if shape[0] == shape[1] and not frames_first:
            broken[name] = f"its shape is {shape}: nothing tells frames from bands; store one more frame"
    by_others = sum(frames_first) * 2 > len(frames_first)
    good = [name for name in names if name in shapes and name not in broken]
    transposed = {name: not by_others if (s := shapes[name])[0] == s[1] else s[1] != n_mels for name in good}
    length = {name: shapes[name][1 if transposed[name] else 0] for name in good}
    start = dict(zip(good, accumulate([length[name] for name in good][:-1], initial=0), strict=False))
    total = sum(length.values())
    with written_whole(path, 4 * total * n_mels, "mels") as temporary:
        values = _mapped(temporary, n_mels, "r+")

        def work(name: str) -> None:
            mel = _load(root / name).astype(np.float32).reshape(shapes[name])
            mel = mel.T if transposed[name] else mel
            wrong = ~np.isfinite(mel).all(1)
            if wrong.any():
                raise ValueError(f"values that are not finite, first in frame {int(wrong.argmax())}")
            values[start[name] : start[name] + len(mel)] = mel

        each("reading mels", good, work, broken)
    good = [name for name in good if name not in broken]
    table = {
        "names": good,
        "start": [start[name] for name in good],
        "length": [length[name] for name in good],
        "broken": broken,
    }
    content = json.dumps(table).encode()
    with written_whole(index, len(content), "mels") as temporary:
        temporary.write_bytes(content)


def _load(path: Path) -> np.ndarray:
    """A file's array, mapped. Nothing is unpickled."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"not a complete .npy array: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise ValueError("not an array of floats")
    return array


def _shape(array: np.ndarray, n_mels: int) -> tuple[int, int]:
    """Its two axes, without those of 1 in front."""
    shape = array.shape
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != 2 or n_mels not in shape or 0 in shape:
        raise ValueError(f"its shape is {array.shape}; expected (frames, {n_mels}) or ({n_mels}, frames)")
    return shape


def _mapped(path: Path, n_mels: int, mode: str) -> np.ndarray:
    empty = not path.stat().st_size
    return np.zeros((0, n_mels), np.float32) if empty else np.memmap(path, np.float32, mode).reshape(-1, n_mels)
