"""Where the command prints to: a terminal without all letters, a pipe that is closed early, a disk that is full."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

from lightning_gans.errors import InputError

CLOSED = 141
"""As of a program that SIGPIPE ends."""


@contextmanager
def printing() -> Iterator[None]:
    """In the block, letters that the terminal lacks are printed as codes; at its end everything is printed.

    Raises:
        InputError: where standard output cannot be written.
        SystemExit: where whoever read it has ended, as ``head`` does.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as sys.stderr is
    try:
        yield
    except BaseException as error:
        failed = flush("\n" if isinstance(error, OSError) else "")  # was it that, or another file?
        if failed is None or not (isinstance(error, OSError) or (isinstance(error, SystemExit) and not error.code)):
            raise
    else:
        failed = flush()
    if isinstance(failed, BrokenPipeError):
        raise SystemExit(CLOSED)
    if failed is not None:
        raise InputError(f"standard output cannot be written ({failed.strerror}); print to another place")


def flush(more: str = "") -> OSError | None:
    """Print what is left, and more; what cannot be printed goes nowhere, or Python would exit with 120.

    Returns:
        Why standard output has failed, if it has.
    """
    failed = None
    for stream in filter(None, (sys.stderr, sys.stdout)):
        try:
            failed = None
            stream.write(more if stream is sys.stdout else "")
            stream.flush()
        except OSError as error:
            failed = error
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return failed
