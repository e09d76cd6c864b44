"""How large a download may become, and how long it may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread
from typing import IO, TypeVar

from lightning_gans.errors import InputError

Result = TypeVar("Result")

TIMEOUT = 60
"""Seconds without an answer."""
SLOWEST = 50_000
"""Bytes a second: a download that is slower on the whole is given up."""
LARGEST = 2**32
"""Bytes of a file whose size no card tells."""


def seconds_for(size: int) -> float:
    """How long a download of so many bytes may take."""
    return TIMEOUT + size / SLOWEST


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Do something in a thread, and leave it alone when it takes too long: a server may send a byte a minute.

    Raises:
        InputError: where it has taken longer.
        BaseException: what ``work`` raises.
    """
    done: list[Result] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001  # handed on, whatever it is
            failed.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise InputError(f"it was not done after {seconds:.0f} seconds")
    return done[0]


class Bounded:
    """A file to write to that takes no more than it should.

    Args:
        file: Where to.
        limit: Bytes.
        seconds: From now on.
    """

    def __init__(self, file: IO[bytes], limit: int, seconds: float) -> None:
        self.file, self.left, self.end = file, limit, time.monotonic() + seconds

    def write(self, data: bytes) -> int:
        """Write a part.

        Raises:
            InputError: beyond the limit, and when it is too late.
        """
        self.left -= len(data)
        if self.left < 0:
            raise InputError("it is larger than its card says, or than any model")
        if time.monotonic() > self.end:
            raise InputError("it takes too long")
        return self.file.write(data)
