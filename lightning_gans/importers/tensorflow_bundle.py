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
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lightning_gans.errors import InputError
from lightning_gans.importers.crc32c import crc32c, unmasked

MAGIC = 0xDB4775248B80FB57
FOOTER, TRAILER = 48, 5
"""Bytes at the end of the table, and behind each of its blocks: how it is compressed, and a checksum."""
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 19: "<f2"}
"""Of TensorFlow's ``DataType``, what has a counterpart in NumPy and may stand in a checkpoint."""


class Entry(NamedTuple):
    """Where a variable lies."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    sliced: bool


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
        name: _values(_shard(prefix, entry.shard, shards), name, entry)
        for name, entry in entries.items()
        if not (skip and skip(name))
    }


def bundle_prefix(path: Path) -> Path:
    """``PREFIX`` of ``PREFIX``, ``PREFIX.index`` or ``PREFIX.data-00000-of-0000N``."""
    return path.with_name(re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", path.name))


def read_index(prefix: Path) -> tuple[int, dict[str, Entry]]:
    """The number of data files, and the entries by name."""
    path = prefix.with_name(f"{prefix.name}.index")
    content = _existing(path).read_bytes()
    if len(content) < FOOTER or struct.unpack("<Q", content[-8:])[0] != MAGIC:
        raise InputError(f"{path} is cut short or no index of a TensorFlow checkpoint; get it again")
    try:
        _, position = _handle(content, len(content) - FOOTER)  # of the meta index, which is empty
        table: dict[str, bytes] = {}
        for _, handle in _entries(_block(content, _handle(content, position)[0], path)):
            table |= {key.decode(): value for key, value in _entries(_block(content, _handle(handle, 0)[0], path))}
        header = dict(_fields(table.pop("")))
        if _number(header, 2):
            raise InputError(f"{path} was written on a big-endian machine; write it again on another")
        return _number(header, 1), {name: _entry(value) for name, value in table.items()}
    except (IndexError, KeyError, struct.error, TypeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged ({type(error).__name__}: {error}); get it again") from None


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InputError(
            f"there is no file {path}; a TensorFlow checkpoint is PREFIX.index with PREFIX.data-00000-of-00001 beside"
            " it: give PREFIX, and put both into one folder"
        )
    return path


# ---- the table


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A whole number in groups of seven bits, the lowest first, and the position behind it."""
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def _handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and the position behind the handle."""
    offset, position = _varint(data, position)
    size, position = _varint(data, position)
    return (offset, size), position


def _block(content: bytes, handle: tuple[int, int], path: Path) -> bytes:
    offset, size = handle
    block = content[offset : offset + size]
    trailer = content[offset + size : offset + size + TRAILER]
    if len(block) < size or len(trailer) < TRAILER:
        raise InputError(f"{path} ({len(content)} bytes) is cut short: a block ends at {offset + size}; get it again")
    compression, checksum = struct.unpack("<BI", trailer)
    if crc32c(block + trailer[:1]) != unmasked(checksum):
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
    position, end, key = 0, len(block) - 4 * (restarts + 1), b""
    while position < end:
        shared, position = _varint(block, position)
        fresh, position = _varint(block, position)
        size, position = _varint(block, position)
        key = key[:shared] + block[position : position + fresh]
        position += fresh
        yield key, block[position : position + size]
        position += size


# ---- protocol buffers


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of a message's fields: whole numbers, or bytes of what is nested."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == 0:
            value, position = _varint(message, position)
        elif kind == 2:
            size, position = _varint(message, position)
            value, position = message[position : position + size], position + size
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, position = int.from_bytes(message[position : position + size], "little"), position + size
        else:
            raise TypeError(f"wire type {kind}")
        yield tag >> 3, value


def _entry(message: bytes) -> Entry:
    fields = dict(_fields(message))
    # Dimensions are field 2 of the shape, their size is field 1; what is zero is left out.
    shape = tuple(_number(dict(_fields(size)), 1) for number, size in _fields(fields.get(2, b"")) if number == 2)
    return Entry(_number(fields, 1), shape, *(_number(fields, number) for number in (3, 4, 5, 6)), sliced=7 in fields)


def _number(fields: dict[int, int | bytes], number: int) -> int:
    value = fields.get(number, 0)
    if not isinstance(value, int):
        raise TypeError(f"field {number} is no number")
    return value


# ---- the values


def _shard(prefix: Path, shard: int, shards: int) -> Path:
    return prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}")


def _values(path: Path, name: str, entry: Entry) -> np.ndarray:
    if entry.sliced:
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
    with path.open("rb") as file:
        file.seek(entry.offset)
        data = file.read(entry.size)
    if crc32c(data) != unmasked(entry.checksum):
        raise InputError(f"{path} is damaged: the checksum of {name} differs; get it again")
    return np.frombuffer(data, dtype).reshape(entry.shape)
