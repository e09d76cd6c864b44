"""Arguments of older versions: what has another name or class today, and where a choice has gone that a paper lost.

``translate`` is called wherever arguments of a paper come from outside: a weights file, a checkpoint, a config, the
command line. Files and configs of older versions go on working as long as they ask for something that is still there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lightning_gans.errors import InputError

ANY = object()
"""A neutral value of ``Dropped``: every value is dropped, as it changed nothing."""


@dataclass(frozen=True)
class Dropped:
    """An argument that a paper no longer has.

    Args:
        neutral: Values with which it changed nothing: it is left out. Any other raises.
        instead: What to use for the others.
    """

    neutral: tuple[Any, ...]
    instead: str = ""


@dataclass(frozen=True)
class Without:
    """An argument that a paper still has, without these values.

    Args:
        values: Those that raise.
        instead: What to use for them.
    """

    values: tuple[Any, ...]
    instead: str


@dataclass(frozen=True)
class Renamed:
    """An argument with another name, or with other names for its values.

    Args:
        name: Today's.
        values: Old value to today's; what is not listed stays.
    """

    name: str
    values: Mapping[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Divided:
    """An argument whose values are papers of their own today.

    Args:
        models: Value to class name.
    """

    models: Mapping[Any, str]


Rule = Dropped | Without | Renamed | Divided

WASSERSTEIN = "use WGANGP, which is the Wasserstein GAN with the gradient penalty"

MOVED: dict[str, dict[str, Rule]] = {}
"""Class name to the arguments that it had, and no longer has or takes in the same way."""

LOST_TENSORS: dict[str, tuple[str, ...]] = {}
"""Class name to tensors that its older files hold, and that it does not need."""


def translate(model: str, arguments: Mapping[str, Any], source: str = "") -> tuple[str, dict[str, Any]]:
    """Today's class and arguments for those of an older version; what is of today already comes back as it is.

    Args:
        model: Class name.
        arguments: Of the class, all of them or some.
        source: Where they come from, for messages: a file, ``--config FILE``.

    Returns:
        The class name and the arguments.

    Raises:
        InputError: for a choice that this paper no longer offers; it says where it has gone.
    """
    rules, today = MOVED.get(model, {}), dict(arguments)
    for name, value in arguments.items():
        rule = rules.get(name)
        if isinstance(rule, Divided):
            del today[name]
            if value not in rule.models:
                raise InputError(_message(source, model, name, value, f"it was {' or '.join(map(repr, rule.models))}"))
            if rule.models[value] != model:
                return translate(rule.models[value], {k: v for k, v in arguments.items() if k != name}, source)
        elif isinstance(rule, Dropped):
            del today[name]
            if ANY not in rule.neutral and value not in rule.neutral:
                raise InputError(_message(source, model, name, value, rule.instead))
        elif isinstance(rule, Without) and value in rule.values:
            raise InputError(_message(source, model, name, value, rule.instead))
        elif isinstance(rule, Renamed):
            del today[name]
            today[rule.name] = rule.values.get(value, value) if rule.values else value
    return model, today


def tensors(model: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """A ``state_dict`` without what today's class no longer has.

    Args:
        model: Class name, of today.
        state: Tensors of a file of any version.
    """
    return {key: value for key, value in state.items() if key not in LOST_TENSORS.get(model, ())}


def _message(source: str, model: str, name: str, value: Any, instead: str) -> str:
    return f"{source and f'{source}: '}{model} no longer takes {name}={value!r}; {instead}"
