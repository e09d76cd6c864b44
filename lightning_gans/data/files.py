"""Image files in a folder, at any depth, or in a zip archive that is read as it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

from lightning_gans.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
NAMED = 10
"""How many files an error names."""


class ImageFiles:
    """The image files of a folder, at any depth, or of a zip archive.

    Attributes:
        root: The folder or the archive.
        stamps: Size and time of change of each file, by its path inside, sorted.

    Raises:
        InputError: for an archive that is damaged or cut short.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.archive: ZipFile | None = None
        if root.is_dir():
            self.stamps = dict(sorted(_walk(root).items()))
            return
        try:
            self.archive = ZipFile(root)
        except (OSError, BadZipFile) as error:
            raise InputError(f"{root} is not a complete zip archive ({error}); fetch it again") from error
        members = {i.filename: (i.file_size, i.CRC) for i in self.archive.infolist() if _is_image(i.filename)}
        self.stamps = dict(sorted(members.items()))

    def read(self, name: str) -> bytes:
        """The bytes of one file."""
        return self.archive.read(name) if self.archive else (self.root / name).read_bytes()

    def require(self, names: Sequence[str], list_file: Path) -> None:
        """Raise ``InputError`` with the first names for which there is no file."""
        absent = [name for name in names if name not in self.stamps]
        if absent:
            raise InputError(
                f"{list_file} names {len(absent)} images that are not in {self.root}: {', '.join(absent[:NAMED])}"
                + (" ..." if len(absent) > NAMED else "")
            )


def _walk(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of each image below a folder; follows links to folders, but enters none twice."""
    found: dict[str, tuple[int, int]] = {}
    entered = {os.path.realpath(root)}
    try:
        for folder, subfolders, names in os.walk(root, onerror=_fail, followlinks=True):
            for name in list(subfolders):
                real = os.path.realpath(os.path.join(folder, name))
                if name.startswith(".") or real in entered:
                    subfolders.remove(name)
                entered.add(real)
            for name in filter(_is_image, names):
                path = Path(folder, name)
                stat = path.stat()
                found[path.relative_to(root).as_posix()] = (stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise InputError(f"cannot read {error.filename} ({error.strerror}); remove it, or allow reading") from error
    return found


def _fail(error: OSError) -> None:
    raise error


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = path.name.startswith(".") or "__MACOSX" in path.parts
    return path.suffix.lower() in SUFFIXES and not hidden
