"""What runs have recorded on this machine, read back."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lightning_gans.errors import InputError
from lightning_gans.files import reading, there
from lightning_gans.files.documents import read_text, read_yaml

AXIS, NAME = "generator_updates", "metrics.csv"
TABLE = 2**30
"""Bytes of a table of metrics at most."""


class Run(NamedTuple):
    """A run as it lies on disk.

    Attributes:
        name: Of its folder.
        rows: What was logged, a dict per call, numbers by name. All have ``generator_updates``, which never falls.
        options: The config's values by dotted name, and the facts of the run: its data, processes, commit, versions.
        pictures: Of the validations, in order; none behind the last row, which are of a training that was given up when
            it went on from an earlier checkpoint.
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
    """Read a folder ``runs/PROJECT/RUN``, or that of a CSVLogger; or a log alone, a .csv file as beside a card.

    Raises:
        InputError: if there is nothing recorded.
    """
    folder = Path(folder)
    alone = folder.suffix == ".csv" and there(folder)
    if not (alone or os.path.isdir(folder)):
        raise InputError(f"there is no run {folder}; give folders of runs, such as runs/lightning_gans/NAME")
    log = folder if alone else folder / NAME
    rows = [row for row in read_rows(log) if math.isfinite(row.get(AXIS, math.nan))]
    if not rows:
        raise InputError(
            f"{folder} has no {NAME} with {AXIS} in it; give folders of runs, such as runs/lightning_gans/NAME"
        )
    if alone:
        return Run(folder.stem, rows, {}, [], [], [])
    options = {key: value for name in ("config.yaml", "facts.yaml") for key, value in flat(_described(folder / name))}
    pictures = [p for p in _inside(folder, "samples/*.png") if not p.stem.isdecimal() or int(p.stem) <= rows[-1][AXIS]]
    sounds = _inside(folder, f"samples/{pictures[-1].stem}/*.wav") if pictures else []
    return Run(folder.resolve().name, rows, options, pictures, sounds, _inside(folder, "samples/reference/*.wav"))


def _described(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; empty where there is no file.

    Raises:
        InputError: for anything else.
    """
    found = read_yaml(path, "correct it, or take it away") if os.path.lexists(path) else None
    if not isinstance(found, dict | None):
        raise InputError(f"{path} holds a {type(found).__name__}; expected a mapping of options")
    return found or {}


def _inside(folder: Path, pattern: str) -> list[Path]:
    """The files of a pattern in the order of their names; none that a link brings in from elsewhere."""
    root = folder.resolve()
    return [path for path in sorted(folder.glob(pattern)) if path.is_file() and path.resolve().is_relative_to(root)]


def read_rows(path: Path) -> list[dict[str, float]]:
    """The rows of a ``metrics.csv``, also of a CSVLogger's: numbers by name; none where there is no file.

    A last line without its end is left out: the run was killed while it wrote it, or is still writing.

    Raises:
        InputError: for a file that holds anything else.
    """
    way_out = "leave the run out"
    text = read_text(path, TABLE, way_out) if os.path.lexists(path) else ""
    with reading(path, "a table of numbers", way_out):
        lines = csv.DictReader(text[: text.rfind("\n") + 1].splitlines(), strict=True)
        return [{name: float(value) for name, value in row.items() if value} for row in lines]


def flat(nested: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Options as dotted names with their values."""
    for key, value in nested.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
