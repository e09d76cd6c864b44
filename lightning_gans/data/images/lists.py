"""The text files that come with images: CelebA's attributes and partition, tables of boxes. As text or as CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_gans.errors import InputError, closest
from lightning_gans.files import content, reading

LARGEST = 2**28
"""Bytes of a list; CelebA's longest has 26 MB."""
COUNT = re.compile("[0-9]{1,12}")


class Box(NamedTuple):
    """A region of an image, in pixels from its upper left corner; right and bottom are exclusive."""

    left: float
    top: float
    right: float
    bottom: float


class AttributeList(NamedTuple):
    """Binary attributes of images.

    Attributes:
        row: Of each image in ``label``, by its path relative to the images' folder.
        names: K names.
        label: (N, K) float, 1 where the attribute holds, else 0.
    """

    row: dict[str, int]
    names: list[str]
    label: Tensor

    def select(self, names: list[str] | None) -> AttributeList:
        """The attributes of these names, in this order; all when not given.

        Raises:
            InputError: for an unknown name, with the closest ones.
        """
        names = self.names if names is None else names
        for name in names:
            if name not in self.names:
                raise InputError(f"unknown attribute {name}; {closest(name, self.names)}")
        return AttributeList(self.row, names, self.label[:, [self.names.index(name) for name in names]])


def read_attributes(path: Path) -> AttributeList:
    """Read a list in CelebA's format: count, attribute names, then ``image 1 -1 ...``; or CSV with a header.

    Raises:
        InputError: for a file that is not of this form, with the line, or that is cut short.
    """
    rows = _rows(path) or [[]]
    with_count = len(rows[0]) == 1 and bool(COUNT.fullmatch(rows[0][0]))
    head = rows[with_count] if with_count < len(rows) else []
    names = head if with_count else head[1:]
    images = rows[with_count + 1 :]
    for number, (_, *values) in enumerate(images, with_count + 2):
        if len(values) != len(names) or not {"1", "-1", "0"}.issuperset(values):
            raise InputError(f"{path}, line {number}: expected an image and {len(names)} times 1 or -1")
    expected = int(rows[0][0]) if with_count else max(len(images), 1)
    if len(images) != expected or not images:
        raise InputError(f"{path} lists {len(images)} images, expected {expected}; fetch it again")
    label = torch.tensor([[value == "1" for value in values] for _, *values in images], dtype=torch.float32)
    return AttributeList({image: row for row, (image, *_) in enumerate(images)}, names, label)


def read_partition(path: Path) -> dict[str, int]:
    """Read CelebA's ``image 0|1|2`` (training, validation, test), as text or as CSV with a header.

    Raises:
        InputError: for a line that is not of this form.
    """
    rows = _rows(path)
    header = bool(rows) and not rows[0][-1].isdigit()
    for number, row in enumerate(rows[header:], 1 + header):
        if len(row) != 2 or row[1] not in ("0", "1", "2"):
            raise InputError(f"{path}, line {number}: expected an image and 0, 1 or 2")
    if not rows[header:]:
        raise InputError(f"{path} lists no images; fetch it again")
    return {image: int(part) for image, part in rows[header:]}


def read_boxes(path: Path, margin: float = 0.25, where: str | None = None) -> dict[str, Box]:
    """Read a CSV file with the columns image, face_x, face_y, face_w, face_h (upper left corner and size, in pixels).

    Args:
        path: The file; other columns are allowed.
        margin: Each box becomes a square of its longer side, grown by this share of the side on each of the four sides.
        where: Keep only the rows that have 1 in this column.

    Returns:
        The grown box of each image; it may reach beyond the image.

    Raises:
        InputError: for a missing column, or a line without numbers.
    """
    boxes = {}
    with reading(path, "a table of boxes", "correct it"):
        table = csv.DictReader(io.StringIO(_text(path), newline=""))
        rows = [(table.line_num, row) for row in table]
    known = list(table.fieldnames or [])
    for column in ["image", "face_x", "face_y", "face_w", "face_h", *([] if where is None else [where])]:
        if column not in known:
            raise InputError(f"{path} has no column {column}; {closest(column, known)}")
    for line, row in rows:
        if where is not None and row[where] != "1":
            continue
        try:
            x, y, w, h = (float(row[f"face_{name}"]) for name in "xywh")
        except (TypeError, ValueError):
            raise InputError(f"{path}, line {line}: the box of {row['image']} is not 4 numbers") from None
        if not (min(w, h) > 0 and all(map(math.isfinite, (x, y, w, h)))):
            raise InputError(f"{path}, line {line}: the box of {row['image']} is {w:g}x{h:g} at {x:g},{y:g}")
        half = max(w, h) * (0.5 + margin)
        center = (x + w / 2, y + h / 2)
        boxes[row["image"]] = Box(center[0] - half, center[1] - half, center[0] + half, center[1] + half)
    if not boxes:
        raise InputError(f"{path} has no box" + ("" if where is None else f" with 1 in the column {where}"))
    return boxes


def _rows(path: Path) -> list[list[str]]:
    lines = [line.strip().rstrip(",") for line in io.StringIO(_text(path), newline="")]
    rows = [[cell.strip() for cell in line.split(",")] if "," in line else line.split() for line in lines]
    while rows and not rows[-1]:
        rows.pop()
    if not all(rows):
        raise InputError(f"{path}, line {rows.index([]) + 1} is empty")
    return rows


def _text(path: Path) -> str:
    return content(path, LARGEST).decode("utf-8-sig", errors="replace")  # spreadsheets begin with a mark
