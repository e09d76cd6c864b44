"""Where the packaged runs and released models lie, in a checkout and in an installed wheel."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

from lightning_gans.errors import InputError, closest

PACKAGE = Path(__file__).resolve().parents[1]


def configs() -> Path:
    """The folder of ``<paper>_<dataset>.yaml``."""
    return _folder(packaged="configs", checkout="configs")


def zoo() -> Path:
    """The folder of ``<paper>_<dataset>.md`` with their weights."""
    return _folder(packaged="zoo_files", checkout="zoo")


def config_names() -> list[str]:
    """Names of the packaged configs, without ``.yaml``."""
    return sorted(path.stem for path in configs().glob("*.yaml"))


def config(name_or_path: str | os.PathLike[str]) -> Path:
    """Find a config file.

    Args:
        name_or_path: A file of the user's, which wins, or the name of a packaged config with or without ``.yaml``.

    Returns:
        The path of an existing file.

    Raises:
        InputError: if there is no such file and no such packaged config; it gives the closest names.
    """
    path = Path(name_or_path)
    if os.path.lexists(path) and not os.path.isdir(path):
        return path
    if path.name != str(path):
        raise InputError(f"there is no config file {path}; give an existing file or a packaged config's name")
    packaged = configs() / f"{path.name.removesuffix('.yaml')}.yaml"
    if not os.path.isfile(packaged):
        raise InputError(
            f"there is no config {path.name}, as a file or in the package; {closest(path.name, config_names())}"
        )
    return packaged


def commit() -> str | None:
    """The commit of the package's checkout, with ``-dirty`` behind it where files were changed since.

    None for an installed wheel, whose version tells, and where git does not answer. The current folder is not asked:
    it may be a stranger's, and a repository can name programs for git to run.
    """
    checkout = PACKAGE.parent
    if not (checkout / ".git").exists():
        return None
    harmless = ["-c", "core.fsmonitor=false", "--no-optional-locks"]
    command = ["git", *harmless, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()
    return None


def _folder(packaged: str, checkout: str) -> Path:
    # The wheel's first: beside an installed package lies site-packages, where a folder "configs" would be a stranger's.
    for folder in (PACKAGE / packaged, PACKAGE.parent / checkout):
        if folder.is_dir():
            return folder
    raise InputError(
        f"lightning_gans was installed without its folder {packaged} (looked for {PACKAGE / packaged} and"
        f" {PACKAGE.parent / checkout}); install it again from a wheel or with pip install -e from a checkout"
    )
