"""Normalization whose scale and shift are the label's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

NORMS: dict[int, type[nn.BatchNorm1d] | type[nn.BatchNorm2d]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}


class ConditionalBatchNorm(nn.Module):
    """Batch norm with a scale and a shift of each class (Dumoulin et al. 2017, https://arxiv.org/abs/1610.07629).

    Args:
        channels: C.
        classes: K.
        dims: 1 for sounds (B, C, L), 2 for images (B, C, H, W).
    """

    def __init__(self, channels: int, classes: int, dims: int) -> None:
        super().__init__()
        self.norm = NORMS[dims](channels, affine=False)
        self.scale = nn.Parameter(torch.ones(classes, channels))
        self.shift = nn.Parameter(torch.zeros(classes, channels))

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Maps (B, C, ...) and label rows (B, K) to maps of the same shape."""
        ones = [1] * (x.dim() - 2)
        scale, shift = ((label @ rows).unflatten(1, (-1, *ones)) for rows in (self.scale, self.shift))
        return self.norm(x) * scale + shift
