"""MelGAN's generator, faster on CPUs."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.utils.parametrize import cached

from lightning_gans.cpu.convolutions import as_image, on_image, runs_eagerly_on_cpu
from lightning_gans.models import melgan as plain

CACHED_FRAMES = 400
"""Frames of all examples together to work on at a time, where nothing is kept for gradients: the activations of more
are slow to come by, and with fewer the weights' way to the cache weighs more."""


class Generator(plain.Generator):
    """The channels of a sample side by side in memory, and what fits the cache at a time."""

    def forward(self, mel: Tensor) -> Tensor:
        if not runs_eagerly_on_cpu(mel):
            return super().forward(mel)
        if torch.is_grad_enabled():
            return self.in_images(mel)
        with cached():
            return torch.cat([self.in_chunks(part) for part in mel.split(max(1, CACHED_FRAMES // mel.shape[-1]))])

    def in_chunks(self, mel: Tensor) -> Tensor:
        """``in_images`` of so many frames at a time, with those around them that decide their samples."""
        frames, hop, chunks = mel.shape[-1], math.prod(self.ratios), []
        for start in range(0, frames, CACHED_FRAMES):
            first = max(start - self.reach, 0)
            audio = self.in_images(mel[..., first : start + CACHED_FRAMES + self.reach])
            chunks.append(audio[..., (start - first) * hop :][..., : CACHED_FRAMES * hop])
        return torch.cat(chunks, -1)

    def in_images(self, mel: Tensor) -> Tensor:
        """``model(mel)`` on (B, C, 1, T)."""
        x = as_image(mel)
        for layer in self.model:
            if isinstance(layer, plain.ResidualBlock):
                x = on_image(layer.shortcut, x) + on_image(layer.block, x)
            else:
                x = on_image(layer, x)
        return x[:, :, 0]
