"""Walks and arithmetic among latents, for any model that starts from noise."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_gans.errors import InputError


def interpolate(z0: Tensor, z1: Tensor, steps: int) -> Tensor:
    """The straight line between two latents, as in figure 4 of DCGAN (https://arxiv.org/abs/1511.06434).

    Args:
        z0: The first latent, of any shape.
        z1: The last one, of the same shape.
        steps: Points on the line, both ends included.

    Returns:
        (steps, ...) latents.

    Raises:
        InputError: for fewer than two steps or unequal shapes.
    """
    if steps < 2:
        raise InputError(f"{steps} interpolation steps were asked for; expected at least 2, which are the two ends")
    if z0.shape != z1.shape:
        raise InputError(f"latents of shapes {tuple(z0.shape)} and {tuple(z1.shape)} cannot be joined; give equal ones")
    weight = torch.linspace(0, 1, steps, dtype=z0.dtype, device=z0.device).reshape(-1, *[1] * z0.dim())
    return torch.lerp(z0.unsqueeze(0), z1.unsqueeze(0), weight)


def arithmetic(positive: Tensor, negative: Tensor, base: Tensor) -> Tensor:
    """Vector arithmetic on concepts, section 6.3.2 of DCGAN: each concept is the mean of its samples' latents.

    Args:
        positive: (N, Z) latents of samples that show the attribute (smiling women).
        negative: (N, Z) latents of samples that are alike but for it (neutral women).
        base: (N, Z) latents of samples that shall receive it (neutral men).

    Returns:
        (Z,) the latent mean(positive) - mean(negative) + mean(base).
    """
    return positive.mean(0) - negative.mean(0) + base.mean(0)
