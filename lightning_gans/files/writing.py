"""Files that are whole at any time, whoever else writes them, and wherever a process is killed."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from glob import escape
from pathlib import Path
from typing import IO

from lightning_gans.errors import InputError, one_line

try:
    import fcntl
except ImportError:  # on Windows; what is left behind there stays
    fcntl = None  # type: ignore[assignment]

HOST = socket.gethostname()[:24]
"""In the names of parts, since not every network file system knows of locks that another machine holds."""
NAME = 48
"""Characters of a file's name that its part's begins with, as names are at most 255 bytes."""
OLD_PARTS = (f".*.{'[0-9a-f]' * 16}.part", ".*.ckpt.part", f"tmp{'?' * 8}.part")
"""Of other machines; a checkpoint's and a cache's of version 0.1."""
WEEK = 7 * 24 * 3600
WAY_OUT = "make room, or choose another place"


class Unwritable(InputError):
    """A file cannot be written: the disk is full, its place is taken or is not to be written to."""


@contextmanager
def written(path: str | Path, way_out: str = WAY_OUT) -> Iterator[IO[bytes]]:
    """A file to write to, which takes its place if the block ends without an error.

    It lies beside its place under a name of its own, is brought to the disk and renamed, so that readers find the
    previous file or the new one, and never a part. A process that is killed leaves ``.NAME.HOST.RANDOM.part``, which it
    holds a lock on while it lives: the next one to write into the folder, on the same machine, removes it.

    Args:
        path: Of the file in the end; an existing one is replaced. Its folder is made.
        way_out: The end of the message, if it cannot be written.

    Raises:
        Unwritable: with the reason; where there was a file it is as before.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():  # which would be found out when all is written
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        remove_dead(path.parent.resolve())
        file = _part(path)
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows renames no open file
            os.replace(file.name, path)
        finally:
            with suppress(OSError):  # what a full disk has not taken
                file.close()
            Path(file.name).unlink(missing_ok=True)
    except OSError as error:
        reason = "Not a directory" if isinstance(error, FileExistsError) else error.strerror or one_line(error)
        raise Unwritable(f"{path} cannot be written ({reason}); {way_out}") from error


def write_whole(path: str | Path, content: str | bytes, way_out: str = WAY_OUT) -> None:
    """Write a whole file: bytes, or text as UTF-8. See ``written``."""
    with written(path, way_out) as file:
        file.write(content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace"))


@cache
def remove_dead(folder: Path) -> None:
    """Remove the parts that processes of this machine have left in a folder; once for each folder.

    Those of other machines and of older versions, which held no locks, go when nobody has written to them for a week,
    longer than any file takes; they are known by names that nobody chooses.
    """
    for part in folder.glob(f".*.{escape(HOST)}.*.part") if fcntl else ():
        _remove_unlocked(part)
    for part in (part for name in OLD_PARTS for part in folder.glob(name)) if fcntl else ():
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > WEEK:
                _remove_unlocked(part)


def _remove_unlocked(part: Path) -> None:
    with suppress(OSError), part.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while the one that writes it lives
        part.unlink()


def _part(path: Path) -> IO[bytes]:
    """A new file beside a path, locked where its file system knows locks."""
    while True:
        part = path.with_name(f".{path.name[:NAME]}.{HOST}.{secrets.token_hex(8)}.part")
        file = part.open("xb")
        if _locked(file) and part.exists():
            return file
        file.close()  # another process has taken it for a dead one's


def _locked(file: IO[bytes]) -> bool:
    """Whether this process has a file for itself, or its file system knows no locks."""
    try:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
