"""Files in a folder, at any depth."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor

from lightning_gans.errors import InputError

Stamps = dict[str, tuple[int, int]]
"""Size and time of change by path."""
UNREADABLE = (-1, 0)
NAMED = 10
"""How many files a message names."""


def walk(root: Path, suffixes: tuple[str, ...], unread: tuple[str, ...] = ()) -> Stamps:
    """Size and time of change of each file below a folder that ends so, by its path inside, sorted.

    Follows links to folders, but enters none twice; hidden files and folders are left out. What is no file, or cannot
    be read, is found too, since whoever reads it says so. How many others end in one of ``unread`` is told.

    Raises:
        InputError: for a folder that cannot be read.
    """
    found: Stamps = {}
    entered = {os.path.realpath(root)}
    others = list[str]()
    try:
        for folder, subfolders, names in os.walk(root, onerror=_fail, followlinks=True):
            seen, subfolders[:] = sorted(subfolders), []  # sorted: of two links to a folder, the same one always counts
            for name in seen:
                real = os.path.realpath(os.path.join(folder, name))
                if not name.startswith(".") and real not in entered:
                    subfolders.append(name)
                    entered.add(real)
            for name in names:
                if has_suffix(name, suffixes):
                    path = Path(folder, name)
                    found[path.relative_to(root).as_posix()] = _stamp(path)
                elif has_suffix(name, unread):
                    others.append(name)
    except OSError as error:
        raise InputError(f"cannot read {error.filename} ({error.strerror}); remove it, or allow reading") from error
    tell_unread(root, others)
    return dict(sorted(found.items()))


def tell_unread(root: Path, names: Iterable[str]) -> None:
    """Say that files are passed over, which somebody who put them there would not expect."""
    kinds = Counter(PurePosixPath(name).suffix.lower() for name in names)
    if kinds:
        _tell(root, ", ".join(f"{count} *{suffix}" for suffix, count in sorted(kinds.items())))


@cache
def _tell(root: Path, what: str) -> None:
    """Once: a data set looks for its files before training, and again in it."""
    rank_zero_info(f"{root}: {what} passed over, since such files are not read; convert them if they shall be used")


def _fail(error: OSError) -> None:
    raise error


def _stamp(path: Path) -> tuple[int, int]:
    """Of what cannot be read, no other file's: when it can be, it is another file to a cache."""
    with suppress(OSError):
        found = path.stat()
        if stat.S_ISREG(found.st_mode) and os.access(path, os.R_OK):
            return found.st_size, found.st_mtime_ns
    return UNREADABLE


def has_suffix(name: str, suffixes: tuple[str, ...]) -> bool:
    """Whether a file ends so, in small or capital letters, and is not hidden."""
    path = PurePosixPath(name)
    hidden = path.name.startswith(".") or "__MACOSX" in path.parts
    return path.suffix.lower() in suffixes and not hidden


def files_below(root: Path, folder: str, suffixes: tuple[str, ...], what: str, unread: tuple[str, ...] = ()) -> Stamps:
    """As ``walk`` of ``root/folder``, where there must be such files.

    Args:
        root: Folder of data sets.
        folder: Relative to it.
        suffixes: Of the files.
        what: What they are, for the message.
        unread: As in ``walk``.

    Raises:
        InputError: where there is no such folder or file, and as ``walk``.
    """
    path = root / folder
    stamps = walk(path, suffixes, unread) if os.path.isdir(path) else {}
    if not stamps:
        kinds = ", ".join(f"*{suffix}" for suffix in suffixes)
        what = what if os.path.isdir(path) else f"folder {folder}"
        raise InputError(missing(what, f"{kinds} in {path} and its sub-folders", root))
    return stamps


def missing(what: str, looked_for: str, root: Path, brings: str = "") -> str:
    """What to say where a data set is not there: what is missing, where it was looked for, what brings it."""
    return (
        f"no {what} in {root.resolve()}: looked for {looked_for}; give the folder of data sets with --data.root DIR or"
        f" the environment variable LIGHTNING_GANS_DATA{brings}"
    )


def in_hash_order(names: Iterable[str]) -> list[str]:
    """Sorted by the SHA-256 hashes of the paths: random, but the same always, whatever other files there are."""
    return sorted(names, key=lambda name: hashlib.sha256(os.fsencode(name)).digest())


def class_indices(found: Sequence[str]) -> tuple[Tensor, list[str]]:
    """Classes (N,) as indices (N,) into their sorted names, and these names."""
    classes = sorted(set(found))
    index = {name: i for i, name in enumerate(classes)}
    return torch.tensor([index[name] for name in found], dtype=torch.long), classes


def folder_classes(names: Sequence[str]) -> tuple[Tensor, list[str] | None]:
    """The class of each path: its first folder.

    Returns:
        (N,) indices and the sorted folders; zeros and None where there are fewer than two, or files beside them.
    """
    label, classes = class_indices([name.rpartition("/")[0].split("/")[0] for name in names])
    if len(classes) < 2 or "" in classes:
        return torch.zeros(len(names), dtype=torch.long), None
    return label, classes


def first_names(names: Iterable[str]) -> str:
    """The first few names, for a message."""
    names = list(names)
    return ", ".join(names[:NAMED]) + (" ..." if len(names) > NAMED else "")


def describe_broken(kind: str, root: Path, broken: dict[str, str]) -> str:
    """How many files cannot be used, and the reasons of the first few, for a message."""
    listed = first_names(f"{name} ({reason})" for name, reason in sorted(broken.items()))
    return f"{len(broken)} {kind} file(s) in {root} cannot be used: {listed}"
