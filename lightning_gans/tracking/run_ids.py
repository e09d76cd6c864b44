"""Ids of runs: the names of their folders, and what W&B knows them by."""

from __future__ import annotations

import base64
import re
import secrets
import time
from pathlib import Path

from lightning_gans.errors import InputError

FORBIDDEN = r"[:;,#?/'\\\x00-\x1f]"
"""In W&B's ids, and in the names of folders."""
LONGEST = 32
"""Characters of a name that its run's id begins with."""


def new_run_id(name: str) -> str:
    """An id of its own for a run: its name, as far as an id can hold it, the time, and 64 random bits."""
    bits = base64.b32encode(secrets.token_bytes(8)).decode().rstrip("=").lower()
    return f"{re.sub(FORBIDDEN, '-', name).strip(' .')[:LONGEST] or 'run'}-{time.strftime('%Y%m%d-%H%M%S')}-{bits}"


def require_run_id(id: str) -> None:
    """Refuse an id that is no name of a folder in the project's.

    Raises:
        InputError: for one that is empty, leads elsewhere, or has characters that W&B does not take.
    """
    wrong = re.search(FORBIDDEN, id)
    if wrong or id != id.strip() or id in ("", ".", ".."):
        reason = f"with {wrong[0]!r} in it" if wrong else "which names no folder"
        raise InputError(f"--run.id is {id!r}, {reason}; give letters, digits, - and _, such as {new_run_id('run')}")


def require_no_run(folder: Path, newest: str, option: str) -> None:
    """Refuse to begin in the folder of a run, whose checkpoints would be replaced.

    Args:
        folder: Where the run would keep its files.
        newest: What ``--ckpt_path`` takes to go on with the run that is there.
        option: What makes it another folder.

    Raises:
        InputError: if there are checkpoints.
    """
    if any((folder / "checkpoints").glob("*.ckpt")):
        raise InputError(
            f"{folder} holds the checkpoints of a run; go on with it by --ckpt_path {newest}, or begin another"
            f" one with another {option}"
        )
