"""What every importer takes and returns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor


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
        checkpoint: The file, or what the files' names have in common.
        stats: Statistics of the training data, for papers that need them.
        length: T, where the checkpoint leaves it open.
        sample_rate: In Hz; checkpoints do not tell.

    Raises:
        InputError: for files that are missing or damaged, variables that are missing or of a wrong shape, and options
            that the model needs, or has no use for.
    """

    def __call__(self, checkpoint: Path, *, stats: Path | None, length: int | None, sample_rate: int) -> Imported: ...
