"""Which files of a folder are for training, for validation and for testing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from lightning_gans.data.files import first_names, in_hash_order
from lightning_gans.errors import InputError


def split_files(
    names: Sequence[str], patterns: Mapping[str, str | None], validation: float = 0.0
) -> dict[str, np.ndarray]:
    """The rows of each split's files.

    Args:
        names: Paths of the files.
        patterns: Regular expressions ``train_pattern``, ``val_pattern`` and ``test_pattern``, or None. The first finds
            the training files among those that are not held out; the others are left out. Without ``val_pattern``, the
            training files with the smallest SHA-256 hashes of their paths are held out for the validation.
        validation: Share of the training files held out without a ``val_pattern``.

    Returns:
        ``train``, ``val`` and ``test``, each in the order of the names; the last two are missing where nothing is held
        out for them.

    Raises:
        InputError: for a pattern that finds nothing, or two that hold out the same file.
    """
    found: dict[str, list[str]] = {}
    for split in ("train", "val", "test"):
        pattern = patterns[f"{split}_pattern"]
        found[split] = [] if pattern is None else [name for name in names if re.search(pattern, name)]
        if pattern is not None and not found[split]:
            raise InputError(
                f"{split}_pattern {pattern!r} finds none of {len(names)} files, such as {names[0]}; change the pattern"
            )
    if both := sorted(set(found["val"]) & set(found["test"])):
        raise InputError(
            f"val_pattern and test_pattern both find {len(both)} files: {first_names(both)};"
            " change one, or leave out test_pattern to test on the validation files"
        )
    held_out = {*found["val"], *found["test"]}
    train = [name for name in (names if patterns["train_pattern"] is None else found["train"]) if name not in held_out]
    if patterns["val_pattern"] is None:
        found["val"] = in_hash_order(train)[: round(len(train) * validation)]
    split_of = dict.fromkeys(train, "train") | {name: split for split in ("val", "test") for name in found[split]}
    splits = np.array([split_of.get(name, "") for name in names])
    return {split: np.flatnonzero(splits == split) for split in found if split in {"train", *split_of.values()}}


def only_split(stamps: dict[str, tuple[int, int]], rows: dict[str, np.ndarray]) -> dict[str, tuple[int, int]]:
    """Of all files, in their order, those that belong to a split: others need no decoding."""
    names = list(stamps)
    return {names[row]: stamps[names[row]] for row in sorted(np.concatenate(list(rows.values())))}


def require_splits(patterns: Mapping[str, str | None], validation: float = 0.0) -> None:
    """Raise ``InputError`` for patterns that are none, or a share outside of [0, 1)."""
    for name, pattern in patterns.items():
        require_pattern(name, pattern)
    if not 0 <= validation < 1:
        raise InputError(f"validation is {validation}; expected a share of at least 0 and below 1")


def require_pattern(name: str, pattern: str | None, groups: bool = False) -> None:
    """Raise ``InputError`` for a regular expression that is none, or has no group where one is needed."""
    try:
        compiled = None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise InputError(f"{name} {pattern!r} is not a regular expression ({error})") from error
    if groups and compiled and not compiled.groups:
        raise InputError(f"{name} {pattern!r} has no group; put the class into parentheses, as in '([a-z]+)_'")
