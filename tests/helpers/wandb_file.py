"""Reading back what W&B has written offline."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEAD = 32768, 7
"""Of a LevelDB log: bytes of a block, and of what stands before each of its pieces and before the first block."""


def written(path: Path) -> Iterator[Any]:
    """The records of a ``.wandb`` file, a LevelDB log of protobuf messages, up to where it was written."""
    data, position, parts = path.read_bytes(), HEAD, b""
    while position + HEAD <= len(data):
        left = BLOCK - position % BLOCK
        _, size, kind = struct.unpack_from("<IHB", data, position) if left >= HEAD else (0, 0, 0)
        if kind == 0:  # the rest of a block is padding
            position += left
            continue
        parts += data[position + HEAD : position + HEAD + size]
        position += HEAD + size
        if kind in (1, 4):  # a whole message, or the last part of one
            try:
                yield Record.FromString(parts)
            except DecodeError:  # still being written
                return
            parts = b""


def records(path: Path, patience: float = 20.0) -> list[Any]:
    """The records of a finished run's ``.wandb`` file, which W&B's service may still be writing."""
    deadline = time.monotonic() + patience
    while True:
        found = list(written(path))
        if found and found[-1].WhichOneof("record_type") == "exit":
            return found
        assert time.monotonic() < deadline, f"{path} has no end: {len(found)} records"
        time.sleep(0.1)


def run_file(folder: Path) -> Path:
    """The only offline run below a folder of runs."""
    (path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    return path


def history(path: Path) -> list[dict[str, Any]]:
    """What was logged, one dict per call, without W&B's own entries."""
    rows = []
    for record in records(path):
        if record.WhichOneof("record_type") == "history":
            items = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            rows.append({key: value for key, value in items.items() if not key.startswith("_")})
    return rows


def config(path: Path) -> dict[str, Any]:
    """The run's config as it stands at the end."""
    values = {}
    for record in records(path):
        kind = record.WhichOneof("record_type")
        for update in {"config": [record.config], "run": [record.run.config]}.get(kind, []):
            values |= {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in update.update}
    return values
