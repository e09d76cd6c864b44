"""WaveGAN's phase shuffle (Donahue et al. 2019, section 3.3, https://arxiv.org/abs/1802.04208)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lightning_gans.errors import check_choice


class PhaseShuffle(nn.Module):
    """Shifts (B, C, L) by a number of steps drawn anew from -n to n, the gap filled by reflection.

    Args:
        n: Largest shift, less than L; 0 leaves the input as it is.
        per: One shift for the whole batch, or one for each example.
    """

    def __init__(self, n: int, per: Literal["batch", "example"]) -> None:
        super().__init__()
        check_choice("phase_shuffle_per", per, ("batch", "example"))
        self.n, self.per = n, per

    def forward(self, x: Tensor) -> Tensor:
        if self.n == 0:
            return x
        if self.per == "example":
            return shifted(x, torch.randint(-self.n, self.n + 1, (len(x), 1), device=x.device))
        shift = int(torch.randint(-self.n, self.n + 1, ()))  # drawn on the host: no wait for the device
        if shift >= 0:
            return pad(x, (shift, 0), mode="reflect")[..., : x.shape[-1]]
        return pad(x, (0, -shift), mode="reflect")[..., -shift:]


def shifted(x: Tensor, shift: Tensor) -> Tensor:
    """Shift each example of (B, C, L) to the right by its own (B, 1) whole number of steps, filled by reflection."""
    last = x.shape[-1] - 1
    index = last - (last - (torch.arange(last + 1, device=x.device) - shift).abs()).abs()  # (B, L)
    return x.gather(2, index[:, None].expand_as(x))
