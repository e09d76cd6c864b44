"""Which files of a folder are for training, for validation and for testing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightning_gans.data.files import Stamps, first_names, in_hash_order
from lightning_gans.errors import InputError


@dataclass(frozen=True)
class Patterns:
    """Regular expressions that find the files of the splits by their paths.

    Args:
        train: Finds the training files among those that are not held out; the others are left out. All when not given.
        val: Finds the validation files. Without it, the training files with the smallest SHA-256 hashes of their paths
            are held out.
        test: Finds the test files.
        validation: Share of the training files held out without ``val``, see ``held_out_of``.

    Raises:
        InputError: for patterns that are none.
    """

    train: str | None = None
    val: str | None = None
    test: str | None = None
    validation: float = 0.0

    def __post_init__(self) -> None:
        for split, pattern in self.given().items():
            require_pattern(f"{split}_pattern", pattern)

    def given(self) -> dict[str, str]:
        """By the name of the split."""
        return {split: p for split in ("train", "val", "test") if (p := getattr(self, split)) is not None}

    def split(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """The rows of each split's files.

        Args:
            names: Paths of the files.

        Returns:
            ``train``, ``val`` and ``test``, each in the order of the names; the last two are missing where nothing is
            held out for them.

        Raises:
            InputError: for a pattern that finds nothing, or two that hold out the same file.
        """
        found = {split: [n for n in names if re.search(pattern, n)] for split, pattern in self.given().items()}
        for split, pattern in self.given().items():
            if not found[split]:
                such = f"{len(names)} files, such as {names[0]}"
                raise InputError(f"{split}_pattern {pattern!r} finds none of {such}; change the pattern")
        val, test = found.get("val", []), found.get("test", [])
        if both := sorted(set(val) & set(test)):
            raise InputError(
                f"val_pattern and test_pattern both find {len(both)} files: {first_names(both)};"
                " change one, or leave out test_pattern to test on the validation files"
            )
        held_out = {*val, *test}
        train = [name for name in found.get("train", names) if name not in held_out]
        if self.val is None:
            val = in_hash_order(train)[: held_out_of(len(train), self.validation)]
        split_of = dict.fromkeys(train, "train") | dict.fromkeys(val, "val") | dict.fromkeys(test, "test")
        splits = np.array([split_of.get(name, "") for name in names])
        used = {"train", *split_of.values()}
        return {split: np.flatnonzero(splits == split) for split in ("train", "val", "test") if split in used}


def held_out_of(count: int, share: float) -> int:
    """How many of the examples make up a share: at least one where any share is asked for, and never all."""
    return min(max(1, round(count * share)), count - 1) if share and count else 0


def only_split(stamps: Stamps, rows: dict[str, np.ndarray]) -> Stamps:
    """Of all files, in their order, those that belong to a split: others need no decoding."""
    names = list(stamps)
    return {names[row]: stamps[names[row]] for row in sorted(np.concatenate(list(rows.values())))}


def rows_left(rows: dict[str, np.ndarray], names: Sequence[str], left: Sequence[str]) -> dict[str, np.ndarray]:
    """The rows of each split's files among those that are left where others cannot be used: none changes its split.

    Args:
        rows: Of each split, among all files.
        names: Of all files.
        left: Those that are left.
    """
    row_of = {name: row for row, name in enumerate(left)}
    of_split = {split: [row_of[names[row]] for row in of if names[row] in row_of] for split, of in rows.items()}
    return {split: np.array(of, np.int64) for split, of in of_split.items()}


def require_pattern(name: str, pattern: str | None, groups: bool = False) -> None:
    """Raise ``InputError`` for a regular expression that is none, or has no group where one is needed."""
    try:
        compiled = None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise InputError(f"{name} {pattern!r} is not a regular expression ({error})") from error
    if groups and compiled and not compiled.groups:
        raise InputError(f"{name} {pattern!r} has no group; put the class into parentheses, as in '([a-z]+)_'")
