"""From frames to samples."""

from __future__ import annotations

import math
from itertools import count, islice

from torch import Tensor, nn

from lightning_gans.audio import MelConfig
from lightning_gans.errors import InputError
from lightning_gans.networks.norms import weight_norm


def check_ratios(name: str, ratios: tuple[int, ...], mel: MelConfig) -> None:
    """Compare the factors by which a generator upsamples a frame with the hop of its mels.

    Args:
        name: What messages call the factors.
        ratios: The factors.
        mel: The convention of the mels.

    Raises:
        InputError: if they do not make the hop, with some that do.
    """
    hop, made = mel.hop_length, math.prod(ratios)
    if not ratios or min(ratios) < 2 or made != hop:
        raise InputError(
            f"{name} {','.join(map(str, ratios))} make {' x '.join(map(str, ratios))} = {made} samples per frame, and"
            f" the hop_length of mel {mel.name} is {hop}; use {','.join(map(str, ratios_for(hop)))}, or the hop_length"
            f" {made}"
        )


def ratios_for(hop: int) -> tuple[int, ...]:
    """Factors of a hop, as few as go without one above 8, the largest first."""
    ratios: list[int] = []
    for ratio in (8, 7, 6, 5, 4, 3, 2):
        while hop % ratio == 0:
            ratios, hop = [*ratios, ratio], hop // ratio
    return tuple(ratios + [hop] * (hop > 1))


def strides_for(length: int, start: int) -> tuple[int, ...]:
    """Strides that lead from ``start`` steps to a length: as many fours as go, then twos, threes and fives.

    Those are the strides of WaveGAN's authors for their three lengths.

    Raises:
        InputError: for a length that is no such product, with the nearest that are.
    """
    strides = factors(length, start)
    if not strides:
        below = [n for n in range(2 * start, length, start) if factors(n, start)][-1:]
        above = (n for n in count(max(length // start, 1) * start + start, start) if factors(n, start))
        near = [*below, *islice(above, 2)][:2]
        raise InputError(
            f"length {length} is not {start} times a product of the strides 2 to 5; use"
            f" {' or '.join(map(str, near))}, or give strides"
        )
    return strides


def factors(length: int, start: int) -> tuple[int, ...]:
    """Strides whose product is ``length / start``; none where there are none."""
    strides, rest = list[int](), length // start
    for stride in (4, 2, 3, 5):
        while rest > 1 and rest % stride == 0:
            strides, rest = [*strides, stride], rest // stride
    return tuple(strides) if rest == 1 and length % start == 0 else ()


class Stretch(nn.Module):
    """Each column of (B, 1, M, L) repeated."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x.repeat_interleave(self.factor, -1)


class Upsample(nn.Module):
    """Stretching and smoothing in turn, alike for each row: (B, M, L) to (B, M, L * product of the scales).

    The smoothing starts as a moving average. Beyond the ends are zeros, at each stage, which weakens the first and last
    ``faded`` samples. Of Parallel WaveGAN, where it brings the mel to the sample rate.
    """

    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__()
        self.scales, self.hop = scales, math.prod(scales)
        self.up_layers = nn.Sequential()
        for scale in scales:
            conv = nn.Conv2d(1, 1, (1, 2 * scale + 1), padding=(0, scale), bias=False)
            nn.init.constant_(conv.weight, 1 / (2 * scale + 1))
            self.up_layers.append(Stretch(scale))
            self.up_layers.append(weight_norm(conv))

    def forward(self, x: Tensor) -> Tensor:
        return self.up_layers(x[:, None])[:, 0]

    @property
    def faded(self) -> int:
        """Samples at either end that the zeros beyond it reach: each stage sees one step of its input to each side."""
        return sum(math.prod(self.scales[i:]) for i in range(len(self.scales)))
