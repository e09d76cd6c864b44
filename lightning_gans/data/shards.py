"""Shards: examples as bytes, thousands to a file, in the format of ``litdata``, which fetches and maps them.

litdata chooses by its index what turns bytes into values, and one of the choices is pickle. Here an example is bytes
and nothing else: an index that asks for more is refused before litdata sees it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from lightning_gans.errors import InputError
from lightning_gans.files import Damaged, regular
from lightning_gans.files.documents import read_json
from lightning_gans.files.records import shown, typed

INDEX = "index.json"
INDEX_BYTES = 2**28
"""Of an index at most: about 130 for each shard."""
SHARD_BYTES = 2**26
"""Of a shard, about: large enough for one request, small enough that each process of a large run has many."""
NAME = re.compile(r"[\w-]+\.bin")
WAY_OUT = "write the shards again"


@dataclass(frozen=True)
class Shard:
    """A file of examples: the fields that litdata's index has of it."""

    filename: str
    chunk_size: int
    chunk_bytes: int
    dim: int | None = None


def write_shards(folder: Path, examples: Iterable[bytes], shard_bytes: int = SHARD_BYTES) -> int:
    """Write examples in order as shards with their index.

    Args:
        folder: Where to; made, and without shards of an earlier time.
        examples: One after the other.
        shard_bytes: Of a shard, about.

    Returns:
        The number of examples.

    Raises:
        InputError: for a folder that has shards, and without litdata.
    """
    if (folder / INDEX).exists():
        raise InputError(f"{folder} has shards; remove them, or choose another folder")
    require_litdata()
    from litdata.streaming.writer import BinaryWriter

    writer = BinaryWriter(str(folder), chunk_bytes=shard_bytes)
    count = 0
    for count, example in enumerate(examples, 1):
        writer[count - 1] = example
    writer.done()
    writer.merge()
    return count


def read_index(folder: Path) -> list[Shard]:
    """The shards of a folder.

    Raises:
        Damaged: for an index that is damaged, or asks for anything but plain bytes.
    """
    path = folder / INDEX
    index = read_json(path, INDEX_BYTES, WAY_OUT)
    try:
        config = typed(dict[str, Any], index.get("config") if isinstance(index, dict) else index, "config")
        expected = {"data_format": ["bytes"], "item_loader": "PyTreeLoader", "compression": None, "encryption": None}
        for name, value in expected.items():
            if config.get(name) != value:
                raise ValueError(f"{name} is {shown(config.get(name))}; expected {value}, examples as plain bytes")
        shards = typed(list[Shard], index.get("chunks"), "chunks")
        for shard in shards:
            if not NAME.fullmatch(shard.filename) or shard.chunk_size < 1:
                raise ValueError(f"{shown(shard.filename)} with {shard.chunk_size} examples is no shard")
    except ValueError as error:
        raise Damaged(path, f"no index of shards ({error})", WAY_OUT) from None
    return shards


class Shards(Dataset):
    """Examples of a folder of shards by their number; opening takes as long as there are shards, not examples.

    Args:
        folder: With the index.

    Attributes:
        ends: (S,) number of the example behind the last one of each shard.

    Raises:
        InputError: for an index that is damaged or asks for more than bytes; for a shard that is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shards = read_index(folder)
        for shard in shards:
            regular(folder / shard.filename, WAY_OUT)
        require_litdata()
        from litdata import StreamingDataset

        self.ends = np.cumsum([shard.chunk_size for shard in shards])
        self.stored: Any = StreamingDataset(str(folder), shuffle=False)

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, index: int) -> bytes:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return bytes(self.stored[int(index)])


def require_litdata() -> None:
    """Raise ``InputError`` where litdata is not installed."""
    from importlib.util import find_spec

    if find_spec("litdata") is None:
        raise InputError("shards need litdata; install it with pip install 'lightning-gans[streaming]'")
