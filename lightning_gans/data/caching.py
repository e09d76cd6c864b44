"""Files that hold decoded data sets, written once and mapped by all processes."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning_gans.errors import InputError


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


@contextmanager
def written_whole(path: Path, size: int, what: str) -> Iterator[Path]:
    """A temporary file of ``size`` bytes, which appears under its name if the block ends without an error.

    Args:
        path: Its name in the end; the folder is made.
        size: In bytes; the space is reserved first.
        what: What it holds, for the message.

    Raises:
        InputError: where the cache cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            _reserve(handle, size)
            yield Path(temporary)
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write {size / 1e6:.0f} MB of {what} to {path.parent} ({error.strerror});"
            " set LIGHTNING_GANS_CACHE to a folder with enough space"
        ) from error


def read_ahead(path: Path) -> None:
    """Begin to read a file that fits into memory now, in order, not page by page as batches are drawn."""
    if not hasattr(os, "posix_fadvise"):
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if path.stat().st_size < memory / 2:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)


def threads() -> int:
    """How many threads decode."""
    return min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _reserve(handle: int, size: int) -> None:
    """Give an open file its size and close it; a full disk is an error here, and a crash in a mapped file."""
    with os.fdopen(handle, "wb") as file:
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
