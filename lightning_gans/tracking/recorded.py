"""What runs have recorded on this machine: the files of W&B, online runs included, or ``metrics.csv``."""

from __future__ import annotations

import csv
import glob
import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lightning_gans.errors import InputError

AXIS = "generator_updates"
BLOCK, HEAD = 32768, 7
"""Of a LevelDB log: bytes of a block, and of what stands before each of its pieces and before the first block."""


class Run(NamedTuple):
    """A run as it lies on disk.

    Attributes:
        name: Of its folder.
        rows: What was logged, a dict per call, numbers by name. All have ``generator_updates``, which never falls.
        options: The config's values by dotted name, and the facts of the run: its data, processes, commit, versions.
        pictures: Of the validations, in order.
        sounds: Of the last validation.
        references: The recordings that ``sounds`` were made from, of vocoders.
    """

    name: str
    rows: list[dict[str, float]]
    options: dict[str, Any]
    pictures: list[Path]
    sounds: list[Path]
    references: list[Path]


def read_run(folder: str | Path) -> Run:
    """Read a folder ``runs/PROJECT/RUN``, or that of a CSVLogger.

    Raises:
        InputError: if there is nothing recorded.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"there is no run {folder}; give folders of runs, such as runs/lightning_gans/NAME")
    name = folder.resolve().name
    tables = [folder / "metrics.csv"] if (folder / "metrics.csv").is_file() else []
    # The folder has the run's name too, and a number behind it where two parts were begun in the same second.
    files = sorted(folder.resolve().parents[1].glob(f"wandb/*run-*/run-{glob.escape(name)}.wandb"))
    rows = joined([_csv(path) for path in tables] or [history(records(path)) for path in files])
    if not rows:
        raise InputError(
            f"{folder} has no record: neither metrics.csv nor W&B's files beside its project"
            f" ({folder.parent.parent / 'wandb'}); give folders of runs, such as runs/lightning_gans/NAME"
        )
    described = [path for path in (folder / "config.yaml", folder / "facts.yaml") if path.is_file()]
    parts = [yaml.safe_load(path.read_text(encoding="utf-8")) or {} for path in described]
    options = {key: value for part in parts for key, value in flat(part)}
    samples = folder / "samples"
    pictures = sorted(samples.glob("*.png"))
    sounds = sorted(pictures[-1].with_suffix("").glob("*.wav")) if pictures else []
    return Run(name, rows, options, pictures, sounds, references=sorted(samples.glob("reference/*.wav")))


def flat(nested: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Options as dotted names with their values."""
    for key, value in nested.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def joined(parts: Iterable[list[dict[str, float]]]) -> list[dict[str, float]]:
    """The curve of a run that was resumed: a part replaces what an earlier one recorded behind its beginning."""
    rows: list[dict[str, float]] = []
    for part in parts:
        start = part[0][AXIS] if part else float("inf")
        rows = [row for row in rows if row[AXIS] < start] + part
    return rows


def _csv(path: Path) -> list[dict[str, float]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    return [row for row in rows if AXIS in row]


def history(found: Iterable[Any]) -> list[dict[str, float]]:
    """The numbers among W&B's records that were logged along generator updates."""
    rows = []
    for record in found:
        if record.WhichOneof("record_type") == "history":
            items = [(item.key or ".".join(item.nested_key), item) for item in record.history.item]
            values = {key: json.loads(item.value_json) for key, item in items if len(item.nested_key) < 2}  # no media
            row = {key: float(value) for key, value in values.items() if isinstance(value, (int, float))}
            if AXIS in row:
                rows.append(row)
    return rows


def records(path: Path) -> Iterator[Any]:
    """The records of a ``.wandb`` file, a LevelDB log of protobuf messages, up to where it was written.

    Raises:
        InputError: if it is none.
    """
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    data, position, parts = path.read_bytes(), HEAD, b""
    if data[:4] not in (b":W&B", b""):
        raise InputError(f"{path} is no record of W&B's; remove it, or give another run")
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
            except DecodeError:  # cut short: the run was killed, or is still writing
                return
            parts = b""
