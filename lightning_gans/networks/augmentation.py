"""Augmentation of what a discriminator sees, Karras et al. 2020, https://arxiv.org/abs/2006.06676 (appendix B).

"Training Generative Adversarial Networks with Limited Data": real and generated images go through the same random
transforms, gradients included, so that few images are not learned by heart and none of the transforms is imitated. The
probability is given, where the paper adapts it. The deviations and ranges are those of the authors' code
(https://github.com/NVlabs/stylegan2-ada-pytorch), the choice of transforms and their weights those of R3GAN's.

Departure from both: pixels are read by bilinear interpolation, without a low-pass filter.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid

PLACES = torch.float32
"""Under any precision: bfloat16 has quarters of a pixel."""
COLOR = 0.5
"""Of a transform of colors, as a share of the probability of the others."""


def augment(image: Tensor, p: float) -> Tensor:
    """Flip, turn, shift, scale and recolor each image by chance, and cut a square out of it.

    Args:
        image: (B, C, S, S) in [-1, 1].
        p: Of each transform, from 0 to below 1.

    Returns:
        (B, C, S, S), which no range bounds; the images themselves where p is 0.
    """
    if not p:
        return image
    moved = warped(image, random_map(len(image), image.shape[-1], p, image.device))
    return cut_out(recolored(moved, *random_colors(len(image), p * COLOR, image.device)), p).to(image.dtype)


def by_chance(p: float, values: Tensor, otherwise: float) -> Tensor:
    """Each of (B, ...) with probability p."""
    hit = torch.rand(len(values), *(1,) * (values.dim() - 1), dtype=PLACES, device=values.device) < p
    return torch.where(hit, values, otherwise)


def random_map(num: int, size: int, p: float, device: torch.device) -> Tensor:
    """Where each pixel is taken from: (B, 2, 3), in coordinates from -1 to 1."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(num, *shape, dtype=PLACES, device=device)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(num, *shape, dtype=PLACES, device=device) * 2 - 1

    def scale(x: Tensor, y: Tensor) -> Tensor:
        return torch.diag_embed(torch.stack([x, y], 1))

    def turn(angle: Tensor) -> Tensor:
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)

    one = torch.ones(num, dtype=PLACES, device=device)
    mirror = scale(by_chance(p, uniform().sign(), 1), one)
    quarters = turn(by_chance(p, (uniform() * 2).floor(), 0) * (math.pi / 2))
    pixels = (by_chance(p, uniform(2) / 8, 0) * size).round() / size
    wide = by_chance(p, (normal() / 5).exp2(), 1)
    stretch = by_chance(p, (normal() / 5).exp2(), 1)
    p_turn = 1 - math.sqrt(1 - p)  # before or after the stretching: p together
    before, after = (turn(by_chance(p_turn, uniform() * math.pi, 0)) for _ in range(2))
    shift = by_chance(p, normal(2) / 8, 0)

    blitted = mirror @ quarters
    linear = blitted @ scale(wide, wide) @ before @ scale(stretch, 1 / stretch) @ after
    offset = blitted @ pixels[:, :, None] + linear @ shift[:, :, None]
    return torch.cat([linear, 2 * offset], 2)  # a side length is 2


def warped(image: Tensor, source: Tensor) -> Tensor:
    """(B, C, S, S) read at (B, 2, 3) by bilinear interpolation; beyond the border is the mirror image."""
    # Not grid_sample, whose second derivative, which penalties need, torch 2.11 does not have; 2.12 does.
    b, c, _, size = image.shape
    at = (affine_grid(source, [b, c, size, size], align_corners=False) * size + (size - 1)) / 2
    at = (at % (2 * size - 2) - (size - 1)).abs_().sub_(size - 1).neg_()
    low = at.floor().clamp_(max=size - 2)
    x, y = (at - low)[:, None].unbind(-1)
    column, row = low.long().unbind(-1)
    first = row * size + column
    corners = torch.stack([first, first + 1, first + size, first + size + 1], 1).view(b, 1, -1)
    values = image.flatten(2).gather(2, corners.expand(-1, c, -1)).view(b, c, 4, size, size)
    weights = torch.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], 2)
    return (values * weights).sum(2)


def random_colors(num: int, p: float, device: torch.device) -> tuple[Tensor, ...]:
    """Brightness, contrast, sign of the gray part, hue in radians and saturation: five of (B, 1, 1, 1)."""
    brightness, contrast, saturation = torch.randn(3, num, 1, 1, 1, dtype=PLACES, device=device)
    sign, hue = torch.rand(2, num, 1, 1, 1, dtype=PLACES, device=device) * 2 - 1
    return (
        by_chance(p, brightness / 5, 0),
        by_chance(p, (contrast / 2).exp2(), 1),
        by_chance(p, sign.sign(), 1),
        by_chance(p, hue * math.pi, 0),
        by_chance(p, saturation.exp2(), 1),
    )


def recolored(
    image: Tensor, brightness: Tensor, contrast: Tensor, sign: Tensor, hue: Tensor, saturation: Tensor
) -> Tensor:
    """(B, C, H, W) with its gray part shifted, scaled and negated, and its colors turned around the gray axis."""
    gray = image.mean(1, keepdim=True)
    color = image - gray
    quarter = (color.roll(1, 1) - color.roll(-1, 1)) / math.sqrt(3)
    color = hue.cos() * color + hue.sin() * quarter
    return contrast * (sign * (gray + brightness) + saturation * color)


def cut_out(image: Tensor, p: float) -> Tensor:
    """(B, C, S, S), by chance with zeros in a square of half the side length, whose center is anywhere."""
    b, _, _, size = image.shape
    center = torch.rand(b, 2, 1, dtype=PLACES, device=image.device)
    places = torch.linspace(0.5 / size, 1 - 0.5 / size, size, dtype=PLACES, device=image.device)
    half = by_chance(p, torch.full_like(center[:, :1], 0.25), 0)
    row, column = ((places - center).abs() < half).unbind(1)
    return image.masked_fill((row[:, :, None] & column[:, None])[:, None], 0)
