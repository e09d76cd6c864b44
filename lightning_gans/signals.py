"""Signals that end a training: with which exit codes, and what they do while nothing is trained."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

EXIT_CODES: dict[int, int] = {signal.SIGINT: 130, signal.SIGTERM: 143}
"""128 and SIGTERM's number say that there is more to do; ``slurm.sbatch`` puts its job into the queue again."""
for name in ("SIGUSR1", "SIGHUP"):
    if hasattr(signal, name):  # not on Windows
        EXIT_CODES[getattr(signal, name)] = 143


class Ended(SystemExit):
    """The process was told to end while nothing was trained, so that there is nothing to save."""

    def __init__(self, number: int) -> None:
        super().__init__(EXIT_CODES[number])
        self.signal = signal.Signals(number).name


def caught() -> list[int]:
    """The numbers of those to react to. ``nohup`` lets a process ignore that its terminal is lost."""
    hangup = getattr(signal, "SIGHUP", None)
    ignored = hangup is not None and signal.getsignal(hangup) is signal.SIG_IGN
    return [number for number in EXIT_CODES if not (ignored and number == hangup)]


@contextmanager
def ending() -> Iterator[None]:
    """In the block, each of them raises ``Ended``; a training replaces that, see ``callbacks.preemption``."""
    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # no other one may
        previous = {number: signal.signal(number, _end) for number in caught()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end(number: int, frame: object) -> NoReturn:
    raise Ended(number)
