"""TensorFlow's checkpoint format, written from its description and independently of the reader.

A table in LevelDB's format (two blocks of data, an empty meta index, an index, a footer) of protocol buffers, and files
of raw values.
"""

import struct
from pathlib import Path

import numpy as np

TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}
INTERVAL = 16
"""Entries from one whole key to the next."""

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def masked_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(number: int) -> bytes:
    digits = []
    while number >= 128:
        digits.append(number % 128 + 128)
        number //= 128
    return bytes([*digits, number])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value) if value else b""  # zeros are left out


def nested(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def block(entries: list[tuple[bytes, bytes]], interval: int) -> bytes:
    content, restarts, last = b"", [], b""
    for index, (key, value) in enumerate(entries):
        shared = 0
        if index % interval == 0:
            restarts.append(len(content))
        else:
            while shared < min(len(last), len(key)) and last[shared] == key[shared]:
                shared += 1
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    restarts = restarts or [0]
    return content + b"".join(struct.pack("<I", restart) for restart in [*restarts, len(restarts)])


def write_bundle(
    prefix: Path,
    variables: dict[str, np.ndarray],
    shards: int = 1,
    big_endian: bool = False,
    compression: int = 0,
    extra: dict[str, bytes] | None = None,
) -> Path:
    """Write ``PREFIX.index`` and its data files.

    Args:
        prefix: Returned.
        variables: Values by name, dealt out to the data files in turn.
        shards: How many data files.
        big_endian: What the header says.
        compression: What the blocks say; they are never compressed.
        extra: Bytes to append to entries, by name.
    """
    data = [b""] * shards
    header = number(1, shards) + number(2, int(big_endian)) + nested(3, number(1, 1))
    entries = [(b"", header)]
    for index, name in enumerate(sorted(variables)):
        values, shard = variables[name], index % shards
        raw = np.ascontiguousarray(values).tobytes()
        shape = b"".join(nested(2, number(1, size)) for size in values.shape)
        entry = number(1, TYPES[values.dtype.name]) + nested(2, shape) + number(3, shard)
        entry += number(4, len(data[shard])) + number(5, len(raw)) + b"\x35" + struct.pack("<I", masked_crc(raw))
        entries.append((name.encode(), entry + (extra or {}).get(name, b"")))
        data[shard] += raw

    table = b""

    def add(content: bytes) -> bytes:
        nonlocal table
        handle = varint(len(table)) + varint(len(content))
        kind = bytes([compression])
        table += content + kind + struct.pack("<I", masked_crc(content + kind))
        return handle

    half = (len(entries) + 1) // 2
    parts = [part for part in (entries[:half], entries[half:]) if part]
    index = [(part[-1][0], add(block(part, INTERVAL))) for part in parts]
    handles = add(block([], INTERVAL)) + add(block(index, 1))
    table += handles.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{prefix}.index").write_bytes(table)
    for shard, content in enumerate(data):
        Path(f"{prefix}.data-{shard:05d}-of-{shards:05d}").write_bytes(content)
    return prefix
