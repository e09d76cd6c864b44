"""Image files of a folder, or of a zip archive that is read as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from lightning_gans.data.files import Stamps, first_names, has_suffix, walk
from lightning_gans.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


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
        if stamps is not None or root.is_dir():
            self.stamps = walk(root, SUFFIXES) if stamps is None else stamps
            return
        try:
            self.archive = ZipFile(root)
        except (OSError, BadZipFile) as error:
            raise InputError(f"{root} is not a complete zip archive ({error}); fetch it again") from error
        members = sorted(self.archive.infolist(), key=lambda member: member.filename)
        self.stamps = {m.filename: (m.file_size, m.CRC) for m in members if has_suffix(m.filename, SUFFIXES)}

    def read(self, name: str) -> bytes:
        """The bytes of one file."""
        return self.archive.read(name) if self.archive else (self.root / name).read_bytes()

    def require(self, names: Sequence[str], list_file: Path) -> None:
        """Raise ``InputError`` with the first names for which there is no file."""
        absent = [name for name in names if name not in self.stamps]
        if absent:
            raise InputError(
                f"{list_file} names {len(absent)} images that are not in {self.root}: {first_names(absent)}"
            )
