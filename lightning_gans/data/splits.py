"""Which files of a folder are for validation and for testing."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from lightning_gans.data.files import first_names, in_hash_order
from lightning_gans.errors import InputError


def held_out(
    names: Sequence[str], val_pattern: str | None, test_pattern: str | None, validation: float
) -> dict[str, np.ndarray]:
    """The rows of each part's files.

    Args:
        names: Paths of the files.
        val_pattern: Regular expression that finds the validation files. Without it, the files with the smallest SHA-256
            hashes of their paths are taken.
        test_pattern: The same for the test files.
        validation: Share of the files held out without a ``val_pattern``.

    Returns:
        ``train``, ``val`` and ``test``; the last two are missing where they are the same as the one before.

    Raises:
        InputError: for a pattern that finds nothing, or two that find the same file.
    """
    part: dict[str, str] = {}
    for split, pattern in (("test", test_pattern), ("val", val_pattern)):
        if pattern is None:
            continue
        found = [name for name in names if re.search(pattern, name)]
        if not found:
            raise InputError(
                f"{split}_pattern {pattern!r} finds none of {len(names)} files, such as {names[0]}; change the pattern"
            )
        both = [name for name in found if name in part]
        if both:
            raise InputError(
                f"val_pattern and test_pattern both find {len(both)} files: {first_names(both)};"
                " change one, or leave out test_pattern to test on the validation files"
            )
        part |= dict.fromkeys(found, split)
    if val_pattern is None:
        rest = in_hash_order(name for name in names if name not in part)
        part |= dict.fromkeys(rest[: round(len(rest) * validation)], "val")
    split = np.array([part.get(name, "train") for name in names])
    return {name: np.flatnonzero(split == name) for name in ("train", "val", "test") if name in {"train", *split}}


def require_held_out(val_pattern: str | None, test_pattern: str | None, validation: float) -> None:
    """Raise ``InputError`` for patterns that are none, or a share outside of [0, 1)."""
    require_pattern("val_pattern", val_pattern)
    require_pattern("test_pattern", test_pattern)
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
