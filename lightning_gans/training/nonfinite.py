"""Losses and results that are not finite."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_gans.errors import InputError


def require_finite(made: Tensor, module: nn.Module) -> Tensor:
    """What a model has made, after waiting for the device.

    Raises:
        InputError: if anything in it is not finite, as damaged weights make it.
    """
    if not made.isfinite().all():
        raise InputError(
            f"what this {type(module).__name__} makes is not finite: its weights are damaged, or its precision too low"
            " for them; take an earlier checkpoint, or float32"
        )
    return made


class NonFiniteLosses:
    """Notes, without waiting for the device, the first batch in which a network's loss was not finite.

    Attributes:
        first: That batch for each network, on its device, -1 for none; in the order of their updates.
    """

    def __init__(self) -> None:
        self.first: dict[str, Tensor] = {}

    def note(self, key: str, loss: Tensor, batch: int) -> None:
        """Look at the loss of a network in a batch."""
        seen = self.first.get(key, torch.full((), -1, device=loss.device))
        self.first[key] = torch.where(loss.detach().isfinite() | (seen >= 0), seen, batch)
