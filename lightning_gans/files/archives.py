"""What is packed: gzip and zip, unpacked within a bound."""

from __future__ import annotations

import gzip
import os
import zipfile
from pathlib import Path

from lightning_gans.files.reading import AGAIN, Damaged, opened, reading

SPARE, EXPANSION = 2**26, 20
"""A packed file may become so many bytes, and so many times its size. Pictures of digits become 5 times as many, bytes
that are all the same 1000 times."""


def unpacked_limit(size: int) -> int:
    """How many bytes ``size`` packed ones may become: what gives more was made to fill the memory."""
    return SPARE + EXPANSION * size


def gunzipped(path: Path, way_out: str = AGAIN) -> bytes:
    """The content of a gzipped file, or of one that is not.

    Raises:
        Damaged: as ``opened``; for what is damaged, and for what unpacks to more than a data set does.
    """
    with opened(path, way_out) as file:
        limit = unpacked_limit(os.fstat(file.fileno()).st_size)
        packed = path.suffix == ".gz"
        with reading(path, "a gzipped file" if packed else "a file that can be read", way_out):
            data = (gzip.GzipFile(fileobj=file) if packed else file).read(limit + 1)
    if len(data) > limit:
        raise Damaged(path, f"it unpacks to more than {limit} bytes", way_out)
    return data


def require_bounded(path: Path, members: list[zipfile.ZipInfo], way_out: str = AGAIN) -> None:
    """Compare what parts of a zip archive unpack to with what they take.

    Raises:
        Damaged: if it is more than ``unpacked_limit``.
    """
    unpacked = sum(member.file_size for member in members)
    if unpacked > unpacked_limit(sum(member.compress_size for member in members)):
        raise Damaged(path, f"it would unpack to {unpacked} bytes", way_out)
