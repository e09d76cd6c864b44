"""What every importer takes and returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_gans import models


class Imported(NamedTuple):
    """A model that was read from another project's files.

    Args:
        model: Class name in ``lightning_gans.models``.
        hparams: Arguments of the class; defaults may be left out.
        networks: Attributes whose tensors are in ``state``.
        state: Those tensors, and the tensors that hang on the module itself, under the names of the module.
    """

    model: str
    hparams: dict[str, Any]
    networks: tuple[str, ...]
    state: dict[str, Tensor]


Importer = Callable[..., Imported]
"""A function that reads a checkpoint: the file, the folder of files, or what the files' names have in common.

Of the options of ``read_checkpoint`` it has those, by keyword, that it has a use for. It raises ``InputError`` for
files that are missing or damaged, variables that are missing or of a wrong shape, and an option that the model needs.
"""


def module_shapes(model: str, hparams: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of a module's state; nothing is allocated, and no random number drawn."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return {key: tuple(value.shape) for key, value in getattr(models, model)(**hparams).state_dict().items()}


def misfit(missing: list[str], strange: list[str], wrong: list[str]) -> str:
    """What does not fit, in words; "" if everything does."""
    parts = (("it lacks ", missing), ("it has unknown ", strange), ("", wrong))
    return "; ".join(f"{label}{', '.join(names)}" for label, names in parts if names)
