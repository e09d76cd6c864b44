"""State dicts of weight-normalised networks in files of ``torch.save``, read without unpickling objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_gans.errors import InputError, one_line
from lightning_gans.importers.imported import misfit, module_shapes

OWN = re.compile(r"(.+)\.parametrizations\.weight\.original([01])")
"""How torch spells a weight's norms (0) and directions (1) today."""
LEAVES = ("weight_g", "weight_v")
"""How it did when most checkpoints were written."""
SHOWN = 12
"""Names that a message lists of each kind."""


def load(path: Path) -> dict[str, Any]:
    """What ``torch.save`` has written, if it is a mapping of tensors and plain values.

    Raises:
        InputError: for a file that is missing or cut short, or holds anything else.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}; give --checkpoint an existing one")
    if path.name.endswith((".tar.gz", ".tgz", ".tar", ".zip")):
        raise InputError(f"{path} is an archive; unpack it, and give --checkpoint the file of weights that is in it")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader meets a damaged file with any of a dozen classes
        reason = re.sub(r"\s+", " ", str(error)).strip().partition(". ")[0] or type(error).__name__
        raise InputError(
            f"{path} is cut short, or holds more than tensors and plain values, which is not unpickled ({reason}); get"
            " it again, or, if you trust it, save its state dicts alone with the code that made it"
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}; expected a mapping of names to tensors")
    return content


def names(content: Mapping[Any, Any]) -> str:
    """The first keys, for a message that says what was found."""
    return ", ".join(map(str, list(content)[:4])) or "nothing"


def fitted(
    source: str,
    project: str,
    model: str,
    hparams: dict[str, Any],
    states: dict[str, Mapping[str, Any]],
    theirs: Callable[[str], str],
) -> dict[str, Tensor]:
    """State dicts under the names of a module, whether their weight norm was folded or not.

    Args:
        source: What messages call the file.
        project: What messages call the networks.
        model: Class name.
        hparams: Arguments of the class.
        states: Another project's state dicts by our name of the network.
        theirs: From the name of a layer of ours, such as ``generator.model.1``, to theirs, within the network.

    Returns:
        In float32.

    Raises:
        InputError: if the class cannot be built, or tensors are missing, left over or of another shape; they are
            listed.
    """
    try:
        shapes = module_shapes(model, hparams)
    except (InputError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{source}: {model} cannot be built from it: {one_line(error)}") from None
    result: dict[str, Tensor] = {}
    missing, strange, wrong = [], [], []
    for network, state in states.items():
        given = normed(state)
        folded = any(str(key).endswith(".weight") for key in state)
        for key in shapes:
            if not key.startswith(f"{network}."):
                continue
            match = OWN.fullmatch(key)
            layer, leaf = (match[1], LEAVES[int(match[2])]) if match else key.rsplit(".", 1)
            name = f"{theirs(layer)}.{leaf}"
            value = given.pop(name, None)
            if isinstance(value, Tensor) and value.is_floating_point() and value.shape == shapes[key]:
                result[key] = value.float()
            elif value is None:
                missing += spelled(name, folded)
            else:
                found = tuple(value.shape) if isinstance(value, Tensor) else f"a {type(value).__name__}"
                wrong += [f"{name} is {found} where {shapes[key]} is expected" for name in spelled(name, folded)]
        strange += [shown for name in given for shown in spelled(name, folded)]
    problems = misfit(*map(few, (missing, strange, wrong)))
    if problems:
        raise InputError(f"{source} does not fit {project}: {problems}; choose another checkpoint")
    return result


def normed(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict with the norm and the direction of each weight as ``weight_g`` and ``weight_v``."""
    result: dict[str, Any] = {}
    for key, value in state.items():
        key = str(key)
        match = OWN.fullmatch(key)
        if match:
            result[f"{match[1]}.{LEAVES[int(match[2])]}"] = value
        elif key.endswith(".weight") and isinstance(value, Tensor) and value.dim() > 1:
            norm = torch.norm_except_dim(value, 2, 0)
            # A row of zeros has no direction: any will do, at a norm of zero.
            result |= {f"{key}_g": norm, f"{key}_v": torch.where(norm > 0, value, 1.0)}
        else:
            result[key] = value
    return result


def spelled(name: str, folded: bool) -> list[str]:
    """A name as the file has it; none for the norms of a folded file, which has weights alone."""
    if not folded:
        return [name]
    return [] if name.endswith(".weight_g") else [re.sub(r"\.weight_v$", ".weight", name)]


def few(items: list[str]) -> list[str]:
    """The first of a long list, and how many follow."""
    return items if len(items) <= SHOWN else [*items[:SHOWN], f"and {len(items) - SHOWN} more"]
