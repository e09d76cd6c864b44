"""LightningModule as a type checker should see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from lightning import LightningModule
from lightning.fabric.utilities.data import AttributeDict


class TypedModule(LightningModule):
    """Says more precisely than Lightning what its attributes hold."""

    if TYPE_CHECKING:
        trainer: Any  # several of its attributes are set from outside, where a type checker does not see them
        dtype: torch.dtype
    else:

        @property
        def dtype(self) -> torch.dtype:
            """That of the parameters; Lightning's own misses ``bfloat16()``."""
            return next((p.dtype for p in self.parameters() if p.is_floating_point()), super().dtype)

    @property
    def hparams(self) -> AttributeDict:
        """The arguments that the paper's class was made with, by name."""
        return cast(AttributeDict, super().hparams)

    def optimizers(self, use_pl_optimizer: bool = True) -> list[Any]:
        """One for each network, in the order of ``networks``."""
        return cast(list[Any], super().optimizers(use_pl_optimizer))
