"""Arrays of NumPy: ``.npy``, which is mapped, and small ones in ``.npz``. Nothing is unpickled."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from lightning_gans.files.archives import require_bounded
from lightning_gans.files.reading import AGAIN, Damaged, opened, reading, regular


def mapped(path: Path, way_out: str = AGAIN) -> np.ndarray:
    """The array of a ``.npy`` file, whose values are read as they are used; a header that promises more is refused.

    What is written to the array changes no file.

    Raises:
        Damaged: for a file that cannot be read, and for anything else than one whole array of plain values.
    """
    with reading(regular(path, way_out), "a .npy array of plain values", way_out):
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise Damaged(path, "several arrays, where one .npy is expected", way_out)
    return array


def named(path: Path, names: tuple[str, ...], way_out: str = AGAIN) -> list[np.ndarray]:
    """Some of the arrays of a ``.npz`` file.

    Raises:
        Damaged: as ``mapped``; for a name that is not there, and for what unpacks to gigabytes.
    """
    with opened(path, way_out) as file, reading(path, ".npz arrays of plain values", way_out):
        with zipfile.ZipFile(file) as archive:
            require_bounded(path, archive.infolist(), way_out)
        with np.load(path, allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
