"""What runs have recorded on this machine, read back."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lightning_gans.errors import InputError

AXIS, NAME = "generator_updates", "metrics.csv"


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
    rows = [row for row in read_rows(folder / NAME) if AXIS in row]
    if not rows:
        raise InputError(
            f"{folder} has no {NAME} with {AXIS} in it; give folders of runs, such as runs/lightning_gans/NAME"
        )
    described = [path for path in (folder / "config.yaml", folder / "facts.yaml") if path.is_file()]
    parts = [yaml.safe_load(path.read_text(encoding="utf-8")) or {} for path in described]
    options = {key: value for part in parts for key, value in flat(part)}
    samples = folder / "samples"
    pictures = sorted(samples.glob("*.png"))
    sounds = sorted(pictures[-1].with_suffix("").glob("*.wav")) if pictures else []
    return Run(folder.resolve().name, rows, options, pictures, sounds, sorted(samples.glob("reference/*.wav")))


def read_rows(path: Path) -> list[dict[str, float]]:
    """The rows of a ``metrics.csv``, also of a CSVLogger's: numbers by name; none where there is no file.

    A last line without its end is left out: the run was killed while it wrote it, or is still writing.
    """
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    lines = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
    return [{name: float(value) for name, value in row.items() if value} for row in lines]


def flat(nested: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Options as dotted names with their values."""
    for key, value in nested.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
