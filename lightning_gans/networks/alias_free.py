"""BigVGAN's periodic activation, and what keeps it from aliasing (Lee et al. 2023, section 3.2 and 3.3).

Not stated in the paper: taken from https://github.com/NVIDIA/BigVGAN: the low-pass filter's design.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv_transpose1d, pad

EPSILON = 1e-9
"""Added to what is divided by."""
TAPS = 12
"""Of the low-pass filter."""
BETA = 0.1102 * (2.285 * (TAPS / 2 - 1) * math.pi * 4 * 0.3 + 7.95 - 8.7)
"""Of the filter's Kaiser window, by Kaiser's formulas, for a transition 0.3 wide on either side of its middle."""


class Snake(nn.Module):
    """x + sin^2(alpha x) / beta for each channel (Ziyin et al. 2020, https://arxiv.org/abs/2006.08195).

    Both are kept as logarithms, and beta apart from alpha, as in all of BigVGAN's models. In float32 at least: alpha x
    may be many turns.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def scales(self) -> tuple[Tensor, Tensor]:
        """The frequency alpha and the factor 1 / beta (C,), in the precision that ``forward`` computes in."""
        dtype = torch.promote_types(self.alpha.dtype, torch.float32)
        return self.alpha.to(dtype).exp(), 1 / (self.beta.to(dtype).exp() + EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) to the same shape and precision."""
        alpha, magnitude = (scale[:, None] for scale in self.scales())
        return (x + magnitude * (alpha * x).sin().square()).to(x.dtype)


class AliasFree(nn.Module):
    """An activation of a signal at twice its rate, between two low-pass filters: (B, C, T) to the same shape.

    An elementwise function adds harmonics, and those above half the sample rate would come back as others (Karras et
    al. 2021). Beyond the ends are the first and the last sample again, before each of the filters.

    Args:
        act: The activation.
    """

    taps: Tensor

    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.act = act
        self.register_buffer("taps", low_pass(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        taps = self.taps.to(x.dtype).expand(channels, 1, TAPS)
        # zeros between the samples halve the signal, and so the filter is doubled
        y = conv_transpose1d(pad(x, (5, 5), mode="replicate"), 2 * taps, stride=2, groups=channels)[..., 15:-15]
        return conv1d(pad(self.act(y), (5, 6), mode="replicate"), taps, stride=2, groups=channels)


def low_pass() -> Tensor:
    """A windowed sinc (12,) that cuts off at half of half the sample rate; its sum is 1."""
    time = torch.arange(TAPS, dtype=torch.float64) - (TAPS - 1) / 2
    window = torch.kaiser_window(TAPS, periodic=False, beta=BETA, dtype=torch.float64)
    taps = torch.special.sinc(time / 2) * window
    return (taps / taps.sum()).float()


REACH = 5
"""Samples on either side that one of ``AliasFree``'s output depends on."""
