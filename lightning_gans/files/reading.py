"""The one door for files from outside: regular, readable, of a size that fits, and one error for whatever is wrong.

A file of a stranger's may be cut short, a named pipe that nobody writes into, a link into nothing, or a few bytes that
unpack to gigabytes. Everything that reads one goes through ``opened`` or ``regular``, and gives its bytes to a library
inside of ``reading``, which knows what libraries raise. Nobody else catches it.
"""

from __future__ import annotations

import csv
import hashlib
import lzma
import os
import pickle
import stat
import struct
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import yaml
from safetensors import SafetensorError

from lightning_gans.errors import InputError, one_line

DAMAGE: tuple[type[Exception], ...] = (
    # of Python: almost anything, as libraries take fields that are not there, or are of another type
    *(ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, ImportError, LookupError, MemoryError),
    *(OSError, RuntimeError, SyntaxError, TypeError, ValueError),
    # of libraries: what is a plain Exception
    *(csv.Error, lzma.LZMAError, pickle.PickleError, struct.error, tarfile.TarError, tokenize.TokenError, zlib.error),
    *(zipfile.BadZipFile, zipfile.LargeZipFile, yaml.YAMLError, SafetensorError),
)
"""What readers raise at damaged files."""
AGAIN = "get it again"
MISSING = "there is no such file"
TEXT = 2**20
"""Bytes of a file of settings: more are none."""
BLOCK = 2**20
SHOWN = 300
"""Characters of a path in a message."""


class Damaged(InputError):
    """One file cannot be used.

    Args:
        path: The file.
        reason: What is wrong with it; it stands alone where a message lists several files.
        way_out: What to do.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str, way_out: str = AGAIN) -> None:
        name = os.fspath(path)
        name = name if len(name) <= SHOWN else f"{name[:SHOWN]}..."
        super().__init__(f"{f'there is no file {name}' if reason == MISSING else f'{name}: {reason}'}; {way_out}")
        self.reason = reason


@contextmanager
def reading(path: str | os.PathLike[str], what: str, way_out: str = AGAIN, *kinds: type[Exception]) -> Iterator[None]:
    """Turn what a library raises at the content of a file into ``Damaged``; the block holds nothing but its call.

    Args:
        path: The file.
        what: What it should be, such as ``a .npy array``.
        way_out: The end of the message.
        kinds: What the library raises besides.
    """
    try:
        yield
    except InputError:
        raise
    except (*DAMAGE, *kinds) as error:
        raise Damaged(path, f"not {what}, or cut short ({one_line(error)})", way_out) from error


def there(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file, of whatever name; ``Path.is_file`` raises for a name that is too long, for example."""
    return os.path.isfile(path)


def opened(path: str | os.PathLike[str], way_out: str = "give an existing one") -> BinaryIO:
    """Open a regular file; nothing is waited for, as it would be at a named pipe.

    Args:
        path: The file.
        way_out: The end of the message.

    Raises:
        Damaged: for what is not there, may not be read, or is no file.
    """
    try:
        _require_regular(os.stat(path), path, way_out)
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise Damaged(path, "a link into nothing" if os.path.islink(path) else MISSING, way_out) from None
    except OSError as error:
        raise Damaged(path, f"cannot be read ({error.strerror})", way_out) from None
    except InputError:
        raise
    except ValueError as error:  # a zero in the name
        raise Damaged(path, f"no name of a file ({one_line(error)})", way_out) from None
    file = os.fdopen(descriptor, "rb")
    _require_regular(os.fstat(descriptor), path, way_out)  # it may be another one by now
    return file


def _require_regular(found: os.stat_result, path: str | os.PathLike[str], way_out: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise Damaged(path, "a folder, where a file is expected", way_out)
    if not stat.S_ISREG(found.st_mode):
        raise Damaged(path, "a pipe or a device, where a file is expected", way_out)


def regular(path: Path, way_out: str = "give an existing one") -> Path:
    """The path of a file that ``opened`` can open, for libraries that open it themselves.

    Raises:
        Damaged: as ``opened``.
    """
    opened(path, way_out).close()
    return path


def content(path: Path, limit: int, way_out: str = AGAIN) -> bytes:
    """All bytes of a file.

    Args:
        path: The file.
        limit: So many at most.
        way_out: The end of the message.

    Raises:
        Damaged: as ``opened``, and for a larger file.
    """
    with opened(path, way_out) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise Damaged(path, f"{size} bytes are too many, expected at most {limit}", way_out)
        with reading(path, "a file that can be read", way_out):
            return file.read(limit)


def sha256(path: Path, way_out: str = "give an existing one") -> str:
    """The SHA-256 of a file, 64 hexadecimal digits.

    Raises:
        Damaged: as ``opened``.
    """
    digest = hashlib.sha256()
    with opened(path, way_out) as file, reading(path, "a file that can be read", way_out):
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
