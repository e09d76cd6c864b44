"""HiFi-GAN's generator, faster on CPUs where sounds are longer than the cache.

In synthesis (V1, float32, one core with AVX-512) it takes the plain form's time for 200 frames, and the plain form 1.3
times as long for 400 and 800, 1.8 times for 1,600; in training 1.06 times. There is not more to gain in this way: nine
tenths of the time are convolutions, which run at 100 GFLOP/s, near the core's limit.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu
from torch.nn.utils.parametrize import cached

from lightning_gans.cpu.convolutions import as_image, on_image, runs_eagerly_on_cpu
from lightning_gans.models import hifigan as plain

PIECE = 2**19
"""Numbers in a map to work on at a time, where nothing is kept for gradients: two megabytes."""


class Generator(plain.Generator):
    """The channels of a sample side by side in memory, and in synthesis what fits the cache at a time."""

    def forward(self, mel: Tensor) -> Tensor:
        if not runs_eagerly_on_cpu(mel):
            return super().forward(mel)
        if torch.is_grad_enabled():
            return self.in_images(mel)
        with cached():
            return torch.cat([self.in_images(example) for example in mel.split(1)])

    def in_images(self, mel: Tensor) -> Tensor:
        """The plain ``forward`` on (B, C, 1, T)."""
        x = on_image(self.conv_pre, as_image(mel))
        for up, blocks in self.stages():
            x = on_image(up, leaky_relu(x, plain.SLOPE))
            x = fused(blocks, x) if torch.is_grad_enabled() else in_pieces(blocks, x)
        return on_image(self.conv_post, leaky_relu(x, plain.LAST_SLOPE))[:, :, 0].tanh()


def in_pieces(blocks: list[nn.Module], x: Tensor) -> Tensor:
    """``fused`` of so many samples at a time, with those around them that they depend on."""
    samples, reach = x.shape[-1], max(cast(int, block.reach) for block in blocks)
    count = max(1, round(x.numel() / PIECE))
    if count == 1:
        return fused(blocks, x)
    made, ends = torch.empty_like(x), [samples * i // count for i in range(count + 1)]
    for start, end in pairwise(ends):
        first = max(start - reach, 0)
        piece = x[..., first : end + reach].contiguous(memory_format=torch.channels_last)
        made[..., start:end] = fused(blocks, piece)[..., start - first :][..., : end - start]
    return made


def fused(blocks: list[nn.Module], x: Tensor) -> Tensor:
    """The mean of what the blocks make of (B, C, 1, T)."""
    total = residual(blocks[0], x)
    for block in blocks[1:]:
        total += residual(block, x)
    return total.div_(len(blocks))


def residual(block: nn.Module, x: Tensor) -> Tensor:
    """A residual block on what ``as_image`` returns."""
    if isinstance(block, plain.ResBlock1):
        for conv1, conv2 in zip(block.convs1, block.convs2, strict=True):
            h = leaky_relu(on_image(conv1, leaky_relu(x, plain.SLOPE)), plain.SLOPE, inplace=True)
            x = on_image(conv2, h).add_(x)
        return x
    for conv in cast(plain.ResBlock2, block).convs:
        x = on_image(conv, leaky_relu(x, plain.SLOPE)).add_(x)
    return x
