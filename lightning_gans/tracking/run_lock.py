"""Whose a run's folder is, while its process writes into it."""

from __future__ import annotations

import os
import socket
import time
import warnings
from pathlib import Path
from typing import IO

from lightning_gans.errors import InputError, one_line
from lightning_gans.files.writing import Unwritable, fcntl

NAME = ".lock"


def lock(folder: Path) -> IO[str]:
    """Take a run's folder for this process, until it ends or closes the file that is returned.

    Raises:
        InputError: if another process has it; the message says which one, where and since when.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / NAME).open("a+", encoding="utf-8")
        _take(file, folder)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
        file.flush()
    except OSError as error:
        way_out = "give another one with --run.folder"
        raise Unwritable(f"{folder} cannot be written to ({error.strerror}); {way_out}") from error
    return file


def _take(file: IO[str], folder: Path) -> None:
    try:
        if fcntl:  # not flock: that is shared with the workers that are forked, and they may live longer
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        raise InputError(
            f"{folder} is that of a run which {file.read() or 'another process'} is at; wait for its end, or begin"
            f" another run with another --run.id (if that process is no more, remove {file.name})"
        ) from None
    except OSError as error:
        warnings.warn(
            f"{folder} cannot be locked ({one_line(error)}); see that no other process has its --run.id", stacklevel=3
        )
