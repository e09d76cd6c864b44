"""Checkpoints of TensorFlow ("V2 bundles"), read without TensorFlow and without unpickling.

``PREFIX.index`` is a sorted table of strings in LevelDB's format, from variable names to protocol buffers
(``BundleEntryProto``) that say where in ``PREFIX.data-00000-of-0000N`` a variable's values lie, row by row. The entry
without a name is the header. Every block of the table and every variable has a checksum, and all are checked.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from operator import index
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import numpy as np

from lightning_gans.errors import InputError
from lightning_gans.files import content, opened, reading, there

MAGIC = 0xDB4775248B80FB57
INDEX = 2**28
"""Bytes of an index at most; a variable takes about 50."""
FOOTER, TRAILER = 48, 5
"""Bytes at the end of the table, and behind each of its blocks: how it is compressed, and a checksum."""
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 19: "<f2"}
"""Of TensorFlow's ``DataType``, what has a counterpart in NumPy and may stand in a checkpoint."""


class Entry(NamedTuple):
    """Where a variable lies: its type in ``DTYPES``, its shape, its data file, and place and size there in bytes."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    partitioned: bool


def read_bundle(prefix: Path, skip: Callable[[str], bool] | None = None) -> dict[str, np.ndarray]:
    """Read variables by name.

    Args:
        prefix: ``PREFIX``, or one of its files.
        skip: Given a name, whether to leave that variable out; its values are not read.

    Returns:
        Arrays in TensorFlow's layout, of the type that is stored.

    Raises:
        InputError: for a file that is missing, cut short or damaged, and for what cannot be read: a bundle of a
            big-endian machine, compressed blocks, partitioned variables, types without a counterpart in NumPy.
    """
    prefix = bundle_prefix(prefix)
    shards, entries = read_index(prefix)
    return {
        name: _values(prefix.with_name(f"{prefix.name}.data-{entry.shard:05d}-of-{shards:05d}"), name, entry)
        for name, entry in entries.items()
        if not (skip and skip(name))
    }


def bundle_prefix(path: Path) -> Path:
    """``PREFIX`` of ``PREFIX``, ``PREFIX.index`` or ``PREFIX.data-00000-of-0000N``."""
    return path.with_name(re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", path.name))


def read_index(prefix: Path) -> tuple[int, dict[str, Entry]]:
    """The number of data files, and the entries by name."""
    path = prefix.with_name(f"{prefix.name}.index")
    data = content(_existing(path), INDEX)
    if len(data) < FOOTER or struct.unpack("<Q", data[-8:])[0] != MAGIC:
        raise InputError(f"{path} is cut short or no index of a TensorFlow checkpoint; get it again")
    with reading(path, "an index of a TensorFlow checkpoint"):
        footer = BytesIO(data[-FOOTER:])
        _handle(footer)  # of the meta index, which is empty
        table: dict[str, bytes] = {}
        for _, handle in _entries(_block(data, _handle(footer), path)):
            table |= {key.decode(): value for key, value in _entries(_block(data, _handle(BytesIO(handle)), path))}
        header = dict(_fields(table.pop("")))
        if header.get(2):
            raise InputError(f"{path} was written on a big-endian machine; write it again on another")
        return index(header.get(1, 0)), {name: _entry(value) for name, value in table.items()}


def _existing(path: Path) -> Path:
    if not there(path):
        raise InputError(
            f"there is no file {path}; a TensorFlow checkpoint is PREFIX.index with PREFIX.data-00000-of-00001 beside"
            " it: give PREFIX, and put both into one folder"
        )
    return path


def _is_whole(data: bytes, stored: int) -> bool:
    """Compare CRC-32C sums; they are stored rotated, with a number added."""
    rotated = (stored - 0xA282EAD8) & 0xFFFFFFFF
    return google_crc32c.value(data) == (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


# ---- the table


def _varint(stream: BytesIO) -> int:
    """A whole number in groups of seven bits, the lowest first; the eighth bit says that more follow."""
    value = shift = 0
    while True:
        byte = stream.read(1)[0]
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value


def _handle(stream: BytesIO) -> tuple[int, int]:
    """Offset and size of a block."""
    return _varint(stream), _varint(stream)


def _block(content: bytes, handle: tuple[int, int], path: Path) -> bytes:
    offset, size = handle
    block = content[offset : offset + size]
    trailer = content[offset + size : offset + size + TRAILER]
    if len(block) < size or len(trailer) < TRAILER:
        raise InputError(f"{path} ({len(content)} bytes) is cut short: a block ends at {offset + size}; get it again")
    compression, checksum = struct.unpack("<BI", trailer)
    if not _is_whole(block + trailer[:1], checksum):
        raise InputError(f"{path} is damaged: the checksum of the block at {offset} differs; get it again")
    if compression:
        raise InputError(
            f"{path} has compressed blocks (type {compression}), which are not read; TensorFlow writes them"
            " uncompressed: save the checkpoint again with tf.train.Saver"
        )
    return block


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values; each key is stored as what it does not share with the beginning of the one before."""
    (restarts,) = struct.unpack("<I", block[-4:])
    end, key = len(block) - 4 * (restarts + 1), b""
    stream = BytesIO(block)
    while stream.tell() < end:
        shared, fresh, size = _varint(stream), _varint(stream), _varint(stream)
        key = key[:shared] + stream.read(fresh)
        yield key, stream.read(size)


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and values of a protocol buffer's fields: whole numbers, or bytes of what is nested."""
    stream = BytesIO(message)
    while stream.tell() < len(message):
        field, kind = divmod(_varint(stream), 8)
        if kind == 0:
            yield field, _varint(stream)
        elif kind == 2:
            yield field, stream.read(_varint(stream))
        elif kind in (1, 5):
            yield field, int.from_bytes(stream.read(8 if kind == 1 else 4), "little")
        else:
            raise TypeError(f"wire type {kind}")


def _entry(message: bytes) -> Entry:
    fields = dict(_fields(message))
    # dimensions are field 2 of the shape, their size is field 1; what is zero is left out
    shape = tuple(index(dict(_fields(size)).get(1, 0)) for number, size in _fields(fields.get(2, b"")) if number == 2)
    dtype, shard, offset, size, checksum = (index(fields.get(number, 0)) for number in (1, 3, 4, 5, 6))
    return Entry(dtype, shape, shard, offset, size, checksum, partitioned=7 in fields)


def _values(path: Path, name: str, entry: Entry) -> np.ndarray:
    if entry.partitioned:
        raise InputError(f"{path}: {name} is partitioned, which is not read; save the checkpoint without partitions")
    if entry.dtype not in DTYPES:
        raise InputError(
            f"{path}: {name} is of type {entry.dtype} in TensorFlow's DataType, which is not read; expected one of"
            f" {', '.join(map(str, DTYPES))}"
        )
    dtype = np.dtype(DTYPES[entry.dtype])
    expected = math.prod(entry.shape) * dtype.itemsize
    if entry.size != expected:
        raise InputError(
            f"{path}: {name} has {entry.size} bytes where its shape {entry.shape} needs {expected}; the index is"
            " damaged, get it again"
        )
    available, end = _existing(path).stat().st_size, entry.offset + entry.size
    if available < end:
        raise InputError(f"{path} ({available} bytes) is cut short: {name} ends at {end}; get it again")
    with opened(path) as file:
        file.seek(entry.offset)
        data = file.read(entry.size)
    if not _is_whole(data, entry.checksum):
        raise InputError(f"{path} is damaged: the checksum of {name} differs; get it again")
    return np.frombuffer(data, dtype).reshape(entry.shape)
