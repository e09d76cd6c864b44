"""BigVGAN's generator, faster on CPUs."""

from __future__ import annotations

import math
from functools import reduce
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import cached

from lightning_gans.cpu.alias_free import AliasFreeSnake
from lightning_gans.cpu.convolutions import as_image, on_image, runs_eagerly_on_cpu
from lightning_gans.models import bigvgan as plain
from lightning_gans.networks.alias_free import AliasFree, Snake

CACHED_FRAMES = 400
"""Frames of all examples together to work on at a time, where nothing is kept for gradients."""


class Generator(plain.Generator):
    """The channels of a sample side by side in memory, and what fits the cache at a time."""

    def forward(self, mel: Tensor) -> Tensor:
        if not runs_eagerly_on_cpu(mel) or torch.is_autocast_enabled("cpu") or mel.dtype.itemsize < 4:
            return super().forward(mel)
        if torch.is_grad_enabled():
            return self.in_images(mel)
        with cached():
            return torch.cat([self.in_chunks(part) for part in mel.split(max(1, CACHED_FRAMES // mel.shape[-1]))])

    def in_chunks(self, mel: Tensor) -> Tensor:
        """``in_images`` of so many frames at a time, with those around them that decide their samples."""
        frames, hop, reach, chunks = mel.shape[-1], math.prod(self.rates), self.receptive_frames, []
        for start in range(0, frames, CACHED_FRAMES):
            first = max(start - reach, 0)
            audio = self.in_images(mel[..., first : start + CACHED_FRAMES + reach])
            chunks.append(audio[..., (start - first) * hop :][..., : CACHED_FRAMES * hop])
        return torch.cat(chunks, -1)

    def in_images(self, mel: Tensor) -> Tensor:
        """What the plain ``forward`` does, on (B, C, 1, T)."""
        x = on_image(self.conv_pre, as_image(mel))
        for up, blocks in self.stages():
            x = on_image(up, x)
            x = reduce(torch.add, [block_on_image(block, x) for block in blocks]) / len(blocks)
        return self.bounded(on_image(self.conv_post, active(self.activation_post, x))[:, :, 0])


def block_on_image(block: plain.AMPBlock, x: Tensor) -> Tensor:
    """``block`` on (B, C, 1, T)."""
    activations = iter(block.activations)
    for convs in zip(block.convs1, block.convs2, strict=True):
        h = x
        for conv in convs:
            h = on_image(conv, active(next(activations), h))
        x = h + x
    return x


def active(activation: nn.Module, x: Tensor) -> Tensor:
    """``activation`` on (B, C, 1, T)."""
    alias_free = cast(AliasFree, activation)
    scales, taps = cast(Snake, alias_free.act).scales(), alias_free.taps.to(x.dtype)
    return AliasFreeSnake.apply(x[:, :, 0].mT, *scales, taps).mT[:, :, None]
