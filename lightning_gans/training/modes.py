"""Evaluation mode for as long as somebody needs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from weakref import WeakKeyDictionary

from torch import nn

_LOCK = Lock()
_INSIDE: WeakKeyDictionary[nn.Module, tuple[int, list[nn.Module]]] = WeakKeyDictionary()
"""How many are in a block, and what was in training mode before the first of them."""


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Have a module, and what is inside it, in evaluation mode.

    Several threads may be in such blocks at once: the last one to leave brings each part back to the mode that it had.
    """
    with _LOCK:
        count, in_training = _INSIDE.get(module) or (0, [part for part in module.modules() if part.training])
        _INSIDE[module] = count + 1, in_training
        module.eval()
    try:
        yield
    finally:
        with _LOCK:
            count, in_training = _INSIDE.pop(module)
            if count > 1:
                _INSIDE[module] = count - 1, in_training
            else:
                for part in in_training:
                    part.training = True
