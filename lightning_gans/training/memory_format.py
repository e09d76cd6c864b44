"""The order of weights in memory, which changes the speed of layers and nothing else."""

from __future__ import annotations

import torch
from torch import nn


def channels_last(module: nn.Module) -> None:
    """Store the weights of 2-d convolutions with their channels last.

    DCGAN trains a fifth faster on CPUs, and tensor cores want it. Kernels with a side of 1 are 1-d convolutions.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and min(layer.kernel_size) > 1:
            for parameter in layer.parameters():
                if parameter.dim() == 4:  # contiguous() would leave the strides of a single channel, which layers go by
                    parameter.data = parameter.data.to(memory_format=torch.channels_last)
