"""Files that hold decoded data sets, written once and mapped by all processes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import numpy as np

from lightning_gans.errors import InputError, one_line
from lightning_gans.writing import written

CHUNK = 128
"""Files that are decoded before the first of them has to be written: they are in memory."""


def cache_path(kind: str, suffix: str, *key: object) -> Path:
    """The cache file of what all of ``key`` determines: in ``$LIGHTNING_GANS_CACHE/kind``, else in the user's cache.

    Args:
        kind: Sub-folder.
        suffix: Of the file, with its dot.
        key: Everything that the content depends on; of types that JSON knows.
    """
    from platformdirs import user_cache_path

    folder = Path(os.environ.get("LIGHTNING_GANS_CACHE") or user_cache_path("lightning_gans")).expanduser()
    return folder / kind / (hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32] + suffix)


def written_whole(path: Path, what: str) -> AbstractContextManager[IO[bytes]]:
    """A file to write to, which appears under its name if the block ends without an error.

    Args:
        path: Its name in the end; the folder is made.
        what: What it holds, for the message.

    Raises:
        InputError: where the cache cannot be written.
    """
    return written(path, f"for {what} set LIGHTNING_GANS_CACHE to a folder with enough space")


def decode_into(
    file: IO[bytes], what: str, names: Sequence[str], read: Callable[[str], np.ndarray]
) -> tuple[list[str], list[int], dict[str, str]]:
    """Write the arrays of many files one behind the other; they are read in threads.

    Args:
        file: Where to.
        what: For the progress bar, which appears after two seconds.
        names: Of the files.
        read: Makes the array of a file, given its name.

    Returns:
        The files that could be read; where the array of each begins, in values; why the others could not be read.
    """
    from tqdm import tqdm

    def array_or_reason(name: str) -> np.ndarray | str:
        try:
            return np.ascontiguousarray(read(name))
        except InputError:  # about all files, not this one
            raise
        except (OSError, ValueError) as error:
            return one_line(error)

    start: dict[str, int] = {}
    broken: dict[str, str] = {}
    end = 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    bar = tqdm(total=len(names), desc=what, unit="", delay=2, leave=False)
    with bar, ThreadPoolExecutor(min(16, cores)) as pool:
        for first in range(0, len(names), CHUNK):
            chunk = names[first : first + CHUNK]
            for name, array in zip(chunk, pool.map(array_or_reason, chunk), strict=True):
                if isinstance(array, str):
                    broken[name] = array
                else:
                    file.write(array.data)
                    start[name], end = end, end + array.size
                bar.update()
    return list(start), list(start.values()), broken


def packed(
    path: Path,
    what: str,
    dtype: type[np.generic],
    names: Sequence[str],
    read: Callable[[str], np.ndarray],
    facts: Callable[[list[str]], dict[str, Any]],
) -> tuple[np.ndarray, dict[str, Any]]:
    """The arrays of many files in one, or what an earlier time has written.

    Args:
        path: Of the cache; an index lies beside it as JSON.
        what: What the arrays are, for messages.
        dtype: Of their values.
        names: Of the files.
        read: Makes the array of a file, given its name.
        facts: What else the index tells, given the names of the files that could be read; asked for when all are.

    Returns:
        All values in one row, mapped, and the index: ``names``, where each begins (``start``), ``broken``, the facts.
    """
    index_path = path.with_suffix(".json")
    if not (path.is_file() and index_path.is_file()):
        with written_whole(path, what) as file, written_whole(index_path, f"an index of {what}") as index_file:
            good, start, broken = decode_into(file, f"reading {what}", names, read)
            index_file.write(json.dumps({"names": good, "start": start, "broken": broken} | facts(good)).encode())
    read_ahead(path)
    values = np.memmap(path, dtype, "r") if path.stat().st_size else np.zeros(0, dtype)  # which cannot be mapped
    return values, json.loads(index_path.read_text(encoding="utf-8"))


def read_ahead(path: Path) -> None:
    """Begin to read a file that fits into memory now, in order, not page by page as batches are drawn."""
    if not hasattr(os, "posix_fadvise"):
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if path.stat().st_size < memory / 2:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
