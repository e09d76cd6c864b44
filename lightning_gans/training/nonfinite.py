"""Which loss was the first that is not finite."""

from __future__ import annotations

import torch
from torch import Tensor


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
