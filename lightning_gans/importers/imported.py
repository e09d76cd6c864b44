"""What every importer takes and returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from lightning_gans import models
from lightning_gans.errors import InputError


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


class Importer(Protocol):
    """A function that reads a checkpoint.

    Args:
        checkpoint: The file, the folder of files, or what the files' names have in common.
        config: The settings of the training, where a file of its own holds them.
        stats: Statistics of the training data, for papers that need them.
        length: T, where the checkpoint leaves it open.
        sample_rate: In Hz, where no file tells it; the project's own when not given.

    Raises:
        InputError: for files that are missing or damaged, variables that are missing or of a wrong shape, and options
            that the model needs, or has no use for.
    """

    def __call__(
        self, checkpoint: Path, *, config: Path | None, stats: Path | None, length: int | None, sample_rate: int | None
    ) -> Imported: ...


def module_shapes(model: str, hparams: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of a module's state; nothing is allocated, and no random number drawn."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return {key: tuple(value.shape) for key, value in getattr(models, model)(**hparams).state_dict().items()}


def refuse(checkpoint: Path, format: str, **options: object) -> None:
    """Refuse options that a format has no use for.

    Raises:
        InputError: for the first that is not None.
    """
    for option, value in options.items():
        if value is not None:
            raise InputError(
                f"--{option} is {value}, and {format} has no use for it; leave it out to read {checkpoint}"
            )


def misfit(missing: list[str], strange: list[str], wrong: list[str]) -> str:
    """What does not fit, in words; "" if everything does."""
    parts = (("it lacks ", missing), ("it has unknown ", strange), ("", wrong))
    return "; ".join(f"{label}{', '.join(names)}" for label, names in parts if names)
