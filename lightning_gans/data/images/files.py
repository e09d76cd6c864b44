"""Image files of a folder, or of a zip archive that is read as it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

from lightning_gans.data.files import Stamps, first_names, has_suffix, tell_unread, walk
from lightning_gans.errors import InputError
from lightning_gans.files import content, reading, regular
from lightning_gans.files.archives import require_bounded

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
UNREAD = (".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".ppm", ".pgm", ".tga")
LARGEST = 2**30
"""Bytes of an image file."""


class ImageFiles:
    """The image files of a folder, at any depth, or of a zip archive.

    Args:
        root: The folder or the archive.
        stamps: Size and time of change of each file, by its path inside, sorted; looked up when not given.

    Raises:
        InputError: for an archive that is damaged or cut short.
    """

    def __init__(self, root: Path, stamps: Stamps | None = None) -> None:
        self.root = root
        self.archive: ZipFile | None = None
        if stamps is not None or os.path.isdir(root):
            self.stamps = walk(root, SUFFIXES, UNREAD) if stamps is None else stamps
            return
        with reading(regular(root), "a complete zip archive", "fetch it again"):
            self.archive = ZipFile(root)
        members = sorted(self.archive.infolist(), key=lambda member: member.filename)
        tell_unread(root, (m.filename for m in members if has_suffix(m.filename, UNREAD)))
        self.stamps = {m.filename: (m.file_size, m.CRC) for m in members if has_suffix(m.filename, SUFFIXES)}

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            Damaged: for one that cannot be read, has more than ``LARGEST`` bytes, or was packed to fill the memory.
        """
        if self.archive is None:
            return content(self.root / name, LARGEST)
        require_bounded(self.root / name, [member := self.archive.getinfo(name)])
        with reading(self.root / name, "a part of a zip archive"):
            return self.archive.read(member)

    def require(self, names: Sequence[str], list_file: Path) -> None:
        """Raise ``InputError`` with the first names for which there is no file."""
        absent = [name for name in names if name not in self.stamps]
        if absent:
            raise InputError(
                f"{list_file} names {len(absent)} images that are not in {self.root}: {first_names(absent)}"
            )
