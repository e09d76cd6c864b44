"""Files that hold decoded data sets, written once and mapped by all processes."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from mmap import ALLOCATIONGRANULARITY
from pathlib import Path
from typing import IO, Any

import google_crc32c
import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_gans.errors import one_line
from lightning_gans.files import Damaged, opened, reading, there
from lightning_gans.files.documents import read_json
from lightning_gans.files.records import typed
from lightning_gans.files.writing import written

CHUNK = 128
"""Files that are decoded before the first of them has to be written: they are in memory."""
PAGE, PAGES = 4096, 512
"""Bytes of a page, and how many of them are looked at when a cache is opened."""
INDEX = 2**31
"""Bytes that an index has at most: a million files make 100 MB."""


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
        read: Makes the array of a file, given its name; raises ``Damaged`` for one that cannot be used.

    Returns:
        The files that could be read; where the array of each begins, in values; why the others could not be read.
    """
    from tqdm import tqdm

    def array_or_reason(name: str) -> np.ndarray | str:
        try:
            return np.ascontiguousarray(read(name))
        except Damaged as error:  # other errors are about all files, not this one
            return one_line(ValueError(error.reason))

    start: dict[str, int] = {}
    broken: dict[str, str] = {}
    end = 0
    often = 0.1 if sys.stderr.isatty() else 30.0  # seconds; a log keeps every line
    bar = tqdm(total=len(names), desc=what, unit="", delay=2, leave=False, mininterval=often)
    with bar, ThreadPoolExecutor(cores()) as pool:
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


def cores() -> int:
    """Threads that read and encode files: as many as this process has cores, up to 16."""
    return min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


class Mapped(np.memmap):
    """A file, mapped, and any part of it: its pickle says where it lies, and holds no values.

    Workers that are spawned map it again.
    """

    def __reduce__(self) -> Any:
        if not self.flags.c_contiguous or self.filename is None:
            return super().__reduce__()
        begin = address(self) - address(np.frombuffer(self._mmap, np.uint8))  # type: ignore[attr-defined]
        begin += self.offset - self.offset % ALLOCATIONGRANULARITY  # where the mapping begins
        return type(self), (self.filename, self.dtype, self.mode, begin, self.shape)


def address(array: np.ndarray) -> int:
    """Where its first value lies in memory."""
    begin: int = array.__array_interface__["data"][0]
    return begin


@dataclass(frozen=True)
class Index:
    """What lies beside a cache file.

    Attributes:
        size: Of the file, in bytes.
        sample: CRC-32C of pages of the file, see ``sampled``.
        checksum: SHA-256 of the entries.
        entries: What is known of the arrays.
    """

    size: int
    sample: int
    checksum: str
    entries: dict[str, Any]


def packed(
    path: Path,
    what: str,
    dtype: type[np.generic],
    names: Sequence[str],
    read: Callable[[str], np.ndarray],
    facts: Callable[[list[str], dict[str, str]], dict[str, Any]],
) -> tuple[np.ndarray, dict[str, Any]]:
    """The arrays of many files in one, or what an earlier time has written, if it is whole.

    Files that could not be used then are tried again: if one can be now, all are read anew.

    Args:
        path: Of the cache; an index lies beside it as JSON.
        what: What the arrays are, for messages.
        dtype: Of their values.
        names: Of the files.
        read: Makes the array of a file, given its name.
        facts: What else the index tells, given the names of the files that could be read, and the reasons of the
            others; asked for when all are. What it raises leaves no cache.

    Returns:
        All values in one row, mapped, where what is written stays in memory; and the entries of the index: ``names``,
        where each begins (``start``), ``broken``, the facts.

    Raises:
        InputError: for a cache that cannot be written, or not be read.
    """
    index_path = path.with_suffix(".json")
    entries = _entries(path, index_path)
    # a file may have been refused for want of memory, or by a disk that was away for a moment
    if entries is None or any(_can_be_read(read, name) for name in entries["broken"]):
        with written_whole(path, what) as file, written_whole(index_path, f"an index of {what}") as index_file:
            good, start, broken = decode_into(file, f"reading {what}", names, read)
            entries = {"names": good, "start": start, "broken": broken} | facts(good, broken)
            file.flush()
            index = Index(*sampled(Path(file.name)), checksum(entries), entries)
            index_file.write(json.dumps(vars(index)).encode())
        entries = json.loads(json.dumps(entries))  # as the next time reads it
    read_ahead(path)
    size = os.stat(path).st_size
    values = Mapped(path, dtype, "c") if size else np.zeros(0, dtype)  # which cannot be mapped
    return values, entries


def _can_be_read(read: Callable[[str], np.ndarray], name: str) -> bool:
    try:
        read(name)
    except Damaged:
        return False
    return True


def _entries(path: Path, index_path: Path) -> dict[str, Any] | None:
    """What the index of a cache tells; None where there is none, or one that does not fit what lies beside it.

    Raises:
        InputError: for a cache of another user's that may not be read.
    """
    if not (there(path) and there(index_path)):
        return None
    way_out = "remove it, or set LIGHTNING_GANS_CACHE to another folder"
    for each in (path, index_path):
        opened(each, way_out).close()
    try:
        with reading(index_path, "an index of a cache"):
            index: Index = typed(Index, read_json(index_path, INDEX))
            if (index.size, index.sample) != sampled(path) or checksum(index.entries) != index.checksum:
                raise ValueError("it is not what was written")
            return index.entries
    except Damaged as error:
        rank_zero_info(f"the cache {path} is damaged, or of an older version, and is made anew ({error.reason})")
        return None


def checksum(entries: dict[str, Any]) -> str:
    """The SHA-256 of what JSON makes of them."""
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()


def sampled(path: Path) -> tuple[int, int]:
    """The size of a file, and a CRC-32C of its first and its last page and of many between them.

    All of a large file cannot be looked at each time; but one that was never written, cut short or half replaced shows
    in some of its pages.
    """
    value = 0
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        for page in sorted({number * (size // PAGE) // PAGES for number in range(PAGES + 1)}):
            file.seek(page * PAGE)
            value = google_crc32c.extend(value, file.read(PAGE))
    return size, value


def read_ahead(path: Path) -> None:
    """Begin to read a file that fits into memory now, in order, not page by page as batches are drawn."""
    if not hasattr(os, "posix_fadvise"):
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if path.stat().st_size < memory / 2:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
