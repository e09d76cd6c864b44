"""Shards: examples as bytes, thousands to a file, in the format of ``litdata``, which writes them.

They are read here, not by litdata. Its index can name a pickle and any Python module, which litdata loads, and each
shard may say that it is compressed. Here an example is bytes and nothing else, taken from where the shard says it lies.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from torch.utils.data import Dataset

from lightning_gans.data.caching import cores
from lightning_gans.data.places import Ahead, Place
from lightning_gans.errors import InputError
from lightning_gans.files import Damaged, opened, reading
from lightning_gans.files.documents import read_json
from lightning_gans.files.records import shown, typed

RECORD = "shards.json"
"""Beside the folders of the splits, of which each has an index."""
RECORD_BYTES = 2**24
INDEX = "index.json"
INDEX_BYTES = 2**26
"""Of an index at most: about 130 for each shard."""
SHARD_BYTES = 2**26
"""Of a shard, about: large enough for one request, small enough that each process of a large run has many."""
PLAIN = {"data_format": ["bytes"], "item_loader": "PyTreeLoader", "compression": None, "encryption": None}
"""What litdata says of examples that are bytes and nothing else."""
WAY_OUT = "write the shards again"
CHUNK = 128
"""Examples that are encoded before the first of them has to be written."""


@dataclass(frozen=True)
class Record:
    """What a folder of shards holds, and what it was made from.

    Attributes:
        kind: ``sounds`` or ``images``.
        examples: How many each split has.
        facts: What else a reader has to know of them, such as the sample rate.
        made_from: The data set, its settings and its fingerprint, the size of a shard, the version that wrote them.
    """

    kind: str
    examples: dict[str, int]
    facts: dict[str, Any] = field(default_factory=dict)
    made_from: dict[str, Any] = field(default_factory=dict)

    def require_counts(self, place: Place, found: dict[str, int]) -> None:
        """Raise ``Damaged`` where there are other examples than were written."""
        if found != self.examples:
            reason = f"it names {shown(self.examples)}, and there are {found}"
            raise Damaged(f"{place}/{RECORD}", reason, WAY_OUT)


def read_record(source: str, kind: str) -> tuple[Record, Place]:
    """The record of a folder of shards, and where that lies.

    Args:
        source: The folder, or its address.
        kind: What its examples should be.

    Raises:
        InputError: for a folder without a record or with a damaged one, for another kind, and for an address that
            cannot be read.
    """
    place = Place.of(source, RECORD, RECORD_BYTES)
    path = place.folder / RECORD
    record = read_json(path, RECORD_BYTES, "give --data.source a folder that `lightning-gans data shard` has written")
    try:
        record = typed(Record, record)
        if not {"train"} <= set(record.examples) <= {"train", "val", "test"}:
            raise ValueError(f"examples is {shown(record.examples)}; expected those of train, val and test")
    except ValueError as error:
        raise Damaged(path, f"no record of shards ({error})", WAY_OUT) from None
    if record.kind != kind:
        classes = {"sounds": "StreamedMels", "images": "StreamedImages"}
        raise InputError(f"{source} has {shown(record.kind)}; give --data {classes.get(record.kind, 'another one')}")
    return record, place


@dataclass(frozen=True)
class Shard:
    """A file of examples, as litdata's index has it.

    Attributes:
        filename: In the folder of the index.
        chunk_size: Examples.
        chunk_bytes: Of the file.
    """

    filename: str
    chunk_size: int
    chunk_bytes: int

    def __post_init__(self) -> None:
        plain = Path(self.filename).name == self.filename and self.filename.endswith(".bin")
        if not plain or not 0 < self.chunk_size <= self.chunk_bytes // 8:  # a place and a size for each example
            raise ValueError(f"{shown(self.filename)} of {self.chunk_size} examples in {self.chunk_bytes} bytes")


def write_shards(folder: Path, examples: Iterable[bytes], shard_bytes: int = SHARD_BYTES) -> None:
    """Write examples in order as shards with their index.

    Args:
        folder: Where to; made, and without shards of an earlier time.
        examples: One after the other.
        shard_bytes: Of a shard, about.

    Raises:
        InputError: for a folder that has shards, and without litdata.
    """
    if (folder / INDEX).exists():
        raise InputError(f"{folder} has shards; remove them, or choose another folder")
    require_litdata()
    from litdata.streaming.writer import BinaryWriter

    writer = BinaryWriter(str(folder), chunk_bytes=shard_bytes)
    for number, example in enumerate(examples):
        writer[number] = example
    writer.done()
    writer.merge()


def encoded(encode: Callable[[int], bytes], rows: np.ndarray, what: str) -> Iterator[bytes]:
    """Examples in order, encoded in threads.

    Args:
        encode: Makes the bytes of an example, given its row.
        rows: (N,) of them.
        what: For the progress bar, which appears after two seconds.
    """
    from tqdm import tqdm

    with tqdm(total=len(rows), desc=f"writing {what}", unit="", delay=2, leave=False) as bar:
        with ThreadPoolExecutor(cores()) as pool:
            for first in range(0, len(rows), CHUNK):
                for example in pool.map(encode, rows[first : first + CHUNK].tolist()):
                    yield example
                    bar.update()


def require_litdata() -> None:
    """Raise ``InputError`` where litdata is not installed."""
    from importlib.util import find_spec

    if find_spec("litdata") is None:
        raise InputError("shards are written by litdata; install it with pip install 'lightning-gans[streaming]'")


def read_index(place: Place) -> list[Shard]:
    """The shards of a place.

    Raises:
        Damaged: for an index that is damaged, or asks for anything but plain bytes.
    """
    path = place.file(INDEX, INDEX_BYTES)
    index = read_json(path, INDEX_BYTES, WAY_OUT)
    try:
        index = typed(dict[str, Any], index, "it")
        config = typed(dict[str, Any], index.get("config"), "config")
        for name, value in PLAIN.items():
            if config.get(name) != value:
                raise ValueError(f"{name} is {shown(config.get(name))}; expected {value}, examples as plain bytes")
        chunks = typed(list[dict[str, Any]], index.get("chunks"), "chunks")
        return [typed(Shard, {field.name: chunk.get(field.name) for field in fields(Shard)}) for chunk in chunks]
    except ValueError as error:
        raise Damaged(path, f"no index of shards ({error})", WAY_OUT) from None


class Shards(Dataset):
    """Examples of a folder of shards by their number; opening takes as long as there are shards, not examples.

    Args:
        place: Of the index.

    Attributes:
        ends: (S,) number of the example behind the last one of each shard.

    Raises:
        InputError: for an index that is damaged or asks for more than bytes; for a shard of a folder that is not there,
            or of another size.
    """

    def __init__(self, place: Place) -> None:
        self.place, self.shards, self.ahead = place, read_index(place), Ahead(place)
        for number in range(len(self.shards)) if place.address is None else ():
            self._file(number).close()
        self.ends = np.cumsum([shard.chunk_size for shard in self.shards], dtype=np.int64)

    def _file(self, number: int) -> BinaryIO:
        """Open a shard, which is fetched first where it lies elsewhere."""
        shard = self.shards[number]
        path = self.place.file(shard.filename, shard.chunk_bytes)
        file = opened(path, WAY_OUT)
        if (size := file.seek(0, 2)) != shard.chunk_bytes:
            file.close()
            raise Damaged(path, f"{size} bytes; expected {shard.chunk_bytes}", WAY_OUT)
        return file

    def expect(self, numbers: Iterable[int]) -> None:
        """Fetch shards that lie elsewhere, in this order, while others are used."""
        self.ahead.fetch((self.shards[number].filename, self.shards[number].chunk_bytes) for number in numbers)

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, index: int) -> bytes:
        """One example: behind the number of examples come the places where they begin and the last ends.

        Raises:
            Damaged: for a shard that is not as it was written.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = int(np.searchsorted(self.ends, index, side="right"))
        shard = self.shards[number]
        with self._file(number) as file, reading(self.place.folder / shard.filename, "a shard", WAY_OUT):
            file.seek(4 * (1 + index - int(self.ends[number]) + shard.chunk_size))
            begin, end = struct.unpack("<2I", file.read(8))
            file.seek(begin)
            (size,) = struct.unpack("<I", file.read(4))
            if not end - begin - 4 == size <= shard.chunk_bytes:
                raise ValueError(f"example {index} of {size} bytes lies at {begin} to {end}")
            if len(example := file.read(size)) != size:
                raise ValueError(f"it ends within example {index}")
        return example
