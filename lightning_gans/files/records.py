"""Values from outside as the types that they should have, checked once, where they come in."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from lightning_gans.errors import closest

VALUES = 100_000
"""Of a nested value, with what stands in several places counted in each."""
LARGEST = 2**63
SHOWN = 80
"""Characters of a value in a message."""
WORDS = {str: "text, in quotes", float: "a number", int: "a whole number", bool: "true or false"}


def typed(kind: Any, value: Any, where: str = "", check: Callable[[str, Any], None] = lambda where, value: None) -> Any:
    """A value as a type: mappings become dataclasses, whose nulls are left out, lists become tuples.

    Args:
        kind: A class, a dataclass, ``tuple[X, ...]``, ``list[X]``, ``dict[str, X]``, a union of classes, or ``Any``.
        value: From a file.
        where: Its name, for the message, such as ``results[0].metric``.
        check: Called with the name and each value that is no container; raises ValueError.

    Raises:
        ValueError: for the first field that is unknown or missing, and for a value of another type.
    """
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _dataclass(kind, value, where, check)
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (tuple, list):
        if not isinstance(value, list | tuple):
            raise ValueError(f"{where} is {shown(value)}; expected a list")
        return origin(typed(parts[0], item, f"{where}[{index}]", check) for index, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} is {shown(value)}; expected a mapping")
        for name in value:
            if not isinstance(name, parts[0]):
                raise ValueError(f"{where} has the key {shown(name)}; expected {_word(parts[0])}")
        prefix = f"{where}." if where else ""
        return {name: typed(parts[1], item, f"{prefix}{name}", check) for name, item in value.items()}
    accepted: tuple[Any, ...] = parts if origin in (Union, types.UnionType) else (kind,)
    whole = isinstance(value, int) and float in accepted
    if not (isinstance(value, accepted) or whole) or (isinstance(value, bool) and bool not in accepted):
        words = [_word(each) for each in accepted if each is not type(None)]
        raise ValueError(f"{where} is {shown(value)}; expected {' or '.join(words)}")
    check(where, value)
    return value


def _word(kind: type) -> str:
    return WORDS.get(kind, kind.__name__)


def _dataclass(kind: Any, value: Any, where: str, check: Callable[[str, Any], None]) -> Any:
    hints = get_type_hints(kind)
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} is {shown(value)}; expected the fields {', '.join(hints)}")
    prefix = f"{where}." if where else ""
    for name in value:
        if name not in hints:
            raise ValueError(f"there is no field {prefix}{str(name)[:SHOWN]}; {closest(str(name), list(hints))}")
    given = {name: typed(hints[name], item, prefix + name, check) for name, item in value.items() if item is not None}
    try:
        return kind(**given)
    except TypeError as error:  # a field without a default
        raise ValueError(f"{where or 'it'} lacks a field: {error}") from None


def tuples(value: Any) -> Any:
    """JSON and YAML know only lists; hyper-parameters are scalars, strings and tuples.

    Raises:
        ValueError: for more than ``VALUES``: lists that stand in each other many times are few bytes in a file.
    """
    left = VALUES

    def converted(value: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"more than {VALUES} values in each other")
        if isinstance(value, Mapping):
            return {key: converted(item) for key, item in value.items()}
        return tuple(map(converted, value)) if isinstance(value, list | tuple) else value

    return converted(value)


def like(value: Any, own: Any, where: str) -> None:
    """Compare a nested value with one of this program's, in kind: counts with counts, mappings key by key.

    Args:
        value: From a file; what it lacks is not looked at, unless it is one of several counts.
        own: What this program would write in its place.
        where: Its name, for the message.

    Raises:
        ValueError: for the first that is of another kind.
    """
    if isinstance(own, Mapping):
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} is {shown(value)}; expected a mapping")
        counts = all(type(item) is int for item in own.values())
        for key, item in own.items():
            if counts and key not in value:
                raise ValueError(f"{where} lacks {key}")
            if key in value:
                like(value[key], item, f"{where}.{key}")
    elif isinstance(own, list | tuple):
        if not isinstance(value, list | tuple) or len(value) != len(own):
            raise ValueError(f"{where} is {shown(value)}; expected {len(own)} values")
        for index, (item, mine) in enumerate(zip(value, own, strict=True)):
            like(item, mine, f"{where}[{index}]")
    elif isinstance(own, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{where} is {shown(value)}; expected {WORDS[bool]}")
    elif isinstance(own, int):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < LARGEST:
            raise ValueError(f"{where} is {shown(value)}; expected a count")
    elif isinstance(own, float):
        number = float(value) if not isinstance(value, bool | str) else math.nan
        if not 0 <= number < math.inf:
            raise ValueError(f"{where} is {shown(value)}; expected a finite number of at least 0")


def finite(where: str, value: Any) -> None:
    """A check for ``typed``.

    Raises:
        ValueError: for NaN and infinity.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}; expected a finite number")


def shown(value: Any) -> str:
    """A value in a message: its beginning, where it is long; nested ones are not followed far."""
    import reprlib

    short = reprlib.Repr()
    short.maxstring = short.maxother = SHOWN
    short.maxlevel = 3
    text = short.repr(value)
    return text if len(text) <= 2 * SHOWN else f"{text[: 2 * SHOWN]}..."
