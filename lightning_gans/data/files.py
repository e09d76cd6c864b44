"""Files in a folder, at any depth; image files also in a zip archive that is read as it is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor

from lightning_gans.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
NAMED = 10
"""How many files a message names."""


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
            self.stamps = walk(root, SUFFIXES)
            return
        try:
            self.archive = ZipFile(root)
        except (OSError, BadZipFile) as error:
            raise InputError(f"{root} is not a complete zip archive ({error}); fetch it again") from error
        members = {
            i.filename: (i.file_size, i.CRC) for i in self.archive.infolist() if has_suffix(i.filename, SUFFIXES)
        }
        self.stamps = dict(sorted(members.items()))

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


def walk(root: Path, suffixes: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """Size and time of change of each file below a folder that ends so, by its path inside, sorted.

    Follows links to folders, but enters none twice; hidden files and folders are left out.

    Raises:
        InputError: for a folder or a file that cannot be read.
    """
    found: dict[str, tuple[int, int]] = {}
    entered = {os.path.realpath(root)}
    try:
        for folder, subfolders, names in os.walk(root, onerror=_fail, followlinks=True):
            for name in list(subfolders):
                real = os.path.realpath(os.path.join(folder, name))
                if name.startswith(".") or real in entered:
                    subfolders.remove(name)
                entered.add(real)
            for name in names:
                if has_suffix(name, suffixes):
                    path = Path(folder, name)
                    stat = path.stat()
                    found[path.relative_to(root).as_posix()] = (stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise InputError(f"cannot read {error.filename} ({error.strerror}); remove it, or allow reading") from error
    return dict(sorted(found.items()))


def _fail(error: OSError) -> None:
    raise error


def has_suffix(name: str, suffixes: tuple[str, ...]) -> bool:
    """Whether a file ends so, in small or capital letters, and is not hidden."""
    path = PurePosixPath(name)
    hidden = path.name.startswith(".") or "__MACOSX" in path.parts
    return path.suffix.lower() in suffixes and not hidden


def in_hash_order(names: Iterable[str]) -> list[str]:
    """Sorted by the SHA-256 hashes of the paths: random, but the same always, whatever other files there are."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())


def folder_classes(names: Sequence[str]) -> tuple[Tensor, list[str] | None]:
    """The class of each path: its first folder.

    Returns:
        (N,) indices and the sorted folders; zeros and None where there are fewer than two, or files beside them.
    """
    folders = [name.split("/")[0] if "/" in name else "" for name in names]
    classes = sorted(set(folders))
    if len(classes) < 2 or "" in classes:
        return torch.zeros(len(names), dtype=torch.long), None
    index = {name: i for i, name in enumerate(classes)}
    return torch.tensor([index[folder] for folder in folders]), classes


def first_names(names: Iterable[str]) -> str:
    """The first few names, for a message."""
    names = list(names)
    return ", ".join(names[:NAMED]) + (" ..." if len(names) > NAMED else "")


def describe_broken(kind: str, root: Path, broken: dict[str, str]) -> str:
    """How many files cannot be used, and the reasons of the first few, for a message."""
    listed = first_names(f"{name} ({reason})" for name, reason in sorted(broken.items()))
    return f"{len(broken)} {kind} file(s) in {root} cannot be used: {listed}"
