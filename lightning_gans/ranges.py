"""Ranges of arguments, declared once in the annotations of a signature: ``latent_dim: PositiveInt = 100``.

jsonargparse checks them for the command line, whose help shows them, and ``Ranged`` for Python.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

from lightning_gans.errors import InputError

PositiveInt = Annotated[int, Ge(1)]
NonNegativeInt = Annotated[int, Ge(0)]
PositiveFloat = Annotated[float, Gt(0), Lt(math.inf)]
NonNegativeFloat = Annotated[float, Ge(0), Lt(math.inf)]
ClosedUnitInterval = Annotated[float, Ge(0), Le(1)]
OpenUnitInterval = Annotated[float, Gt(0), Lt(1)]
Share = Annotated[float, Ge(0), Lt(1)]
"""Of a whole that is not all of it, as of dropout; or the decay of an average."""
FiniteFloat = Annotated[float, Gt(-math.inf), Lt(math.inf)]

BOUNDS: dict[type, tuple[str, str, Callable[[Any, Any], bool]]] = {
    Ge: ("ge", "of at least", lambda value, bound: value >= bound),
    Gt: ("gt", "above", lambda value, bound: value > bound),
    Le: ("le", "of at most", lambda value, bound: value <= bound),
    Lt: ("lt", "below", lambda value, bound: value < bound),
}
"""How annotated_types calls them, how messages do, and what they mean."""

F = TypeVar("F", bound=Callable[..., Any])


def described(bounds: str) -> str:
    """The bounds of a type for a help, of how Python shows them: ``Ge(ge=0), Lt(lt=1)``."""
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    shown = [(name, value) for name, value in re.findall(r"(\w+)=([-\w.]+)", bounds) if "inf" not in value]
    return " and ".join(f"{signs[name]} {value}" for name, value in shown)


class Ranged:
    """Base of classes whose arguments have ranges in the annotations of ``__init__``; a subclass's have, too.

    Raises:
        InputError: for an argument out of its range, before anything else of the class is run.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            resolved(cls.__init__)

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Check the arguments, of which ``__init__`` gets the same; there are none where a copy is made."""
        for base in cls.__mro__:
            if issubclass(base, Ranged) and "__init__" in vars(base):
                check_arguments(base.__init__, (None, *args), kwargs)
                args = ()  # what else is for a parent is given by name
        return super().__new__(cls)


def resolved(function: F) -> F:
    """Turn the text of annotations into types; jsonargparse would do it without ranges.

    Names that only a type checker knows are left as text, with all others of that function.
    """
    with suppress(NameError):
        function.__annotations__ = get_type_hints(function, include_extras=True)
    return function


def check_arguments(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Compare the arguments of a call with the ranges in its annotations.

    Raises:
        InputError: for the first that is out of its range.
    """
    try:
        given: Mapping[str, Any] = inspect.signature(function).bind_partial(*args, **kwargs).arguments
    except TypeError:  # such as an unknown name, which Python says itself
        given = kwargs
    for name, hint in function.__annotations__.items():
        if name in given and (expected := unmet(given[name], hint)) is not None:
            raise InputError(f"{name} is {given[name]!r}; expected {expected}")


def unmet(value: Any, hint: Any) -> str | None:
    """What a value should be that a type's ranges do not allow; None for one that they do.

    Types without ranges are not checked.
    """
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _out_of_range(value, parts[0], parts[1:])
    if origin in (Union, UnionType):
        found = [unmet(value, part) for part in parts]
        return None if None in found else " or ".join(dict.fromkeys(text for text in found if text))
    if hint is type(None):
        return None if value is None else ""
    if origin is dict:
        found = [unmet(item, parts[1]) for item in value.values()] if isinstance(value, Mapping) else [""]
        return next((text for text in found if text is not None), None)
    if origin is tuple and any(get_origin(part) in (Annotated, tuple) for part in parts):
        return _unmet_numbers(value, parts)
    if origin is list and get_origin(parts[0]) is Annotated:
        return _unmet_numbers(value, (*parts, Ellipsis))
    return None


def _unmet_numbers(value: Any, parts: tuple[Any, ...]) -> str | None:
    many = parts[-1] is Ellipsis
    if isinstance(value, str) or not hasattr(value, "__len__"):
        return "several numbers" if many else f"{len(parts)} numbers"
    if not many and len(value) != len(parts):
        return f"{len(parts)} numbers"
    found = (unmet(item, part) for item, part in zip(value, parts[:1] * len(value) if many else parts, strict=True))
    return next((f"numbers, each {text}" for text in found if text is not None), None)


def _out_of_range(value: Any, kind: type, bounds: tuple[Any, ...]) -> str | None:
    noun = {int: "a whole number", float: "a number"}[kind]
    try:
        number = math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        return noun
    if kind is int and not number.is_integer():
        return noun
    for bound in bounds:
        name, text, holds = BOUNDS[type(bound)]
        if not holds(number, getattr(bound, name)):
            limit = getattr(bound, name)
            return f"{noun} {text} {limit:g}" if math.isfinite(limit) else "a finite number"
    return None
