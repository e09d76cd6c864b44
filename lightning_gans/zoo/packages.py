"""Weights inside of a package of PyPI: its files are found and read, and nothing of it is imported."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from lightning_gans.errors import InputError

SCHEME = "pypi://"
EXTRA = "pretrained"
"""The extra of this package that brings all packages which cards name."""


def find(url: str) -> Path | None:
    """The file that an address ``pypi://PACKAGE/PATH`` names, PATH as the package's wheel has it; None without it."""
    package, _, path = url.removeprefix(SCHEME).partition("/")
    try:
        found = Path(str(metadata.distribution(package).locate_file(path)))
    except (metadata.PackageNotFoundError, ValueError):  # the second for a name that none can have
        return None
    return found if found.is_file() else None


def absent(url: str) -> InputError:
    """The error for a file that ``find`` does not."""
    package, _, path = url.removeprefix(SCHEME).partition("/")
    return InputError(
        f"{Path(path).name} is in the package {package}, which is not installed, or holds no {path}; get it with"
        f" pip install 'lightning-gans[{EXTRA}]'"
    )
