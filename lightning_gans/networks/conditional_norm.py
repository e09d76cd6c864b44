"""Normalization whose scale and shift are the label's."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConditionalBatchNorm2d(nn.Module):
    """Batch norm with a scale and a shift of each class (Dumoulin et al. 2017, https://arxiv.org/abs/1610.07629).

    Args:
        channels: C.
        classes: K.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Parameter(torch.ones(classes, channels))
        self.shift = nn.Parameter(torch.zeros(classes, channels))

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Maps (B, C, H, W) and label rows (B, K) to maps of the same shape."""
        scale, shift = ((label @ rows)[:, :, None, None] for rows in (self.scale, self.shift))
        return self.norm(x) * scale + shift
