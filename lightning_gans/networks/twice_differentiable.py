"""Convolutions in groups whose second derivatives are convolutions in groups, too.

PyTorch's second derivative of a convolution goes through the groups one by one, so that a gradient penalty on a
discriminator with hundreds of groups is hundreds of small calls for each layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.functional import conv2d, conv_transpose2d
from torch.nn.grad import conv2d_weight


class GroupedConvolution(Function):
    """``conv2d``, whose derivative is made of operations that PyTorch differentiates once more without a loop.

    The stride has to divide H + 2 padding - kernel, and W alike, so that every sample of the input is used.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int, groups: int) -> Tensor:
        """(B, C, H, W), and a weight (D, C / groups, kernel, kernel), to (B, D, H', W')."""
        ctx.save_for_backward(x, weight)
        ctx.options = dict(stride=stride, padding=padding, groups=groups)
        return conv2d(x, weight, **ctx.options)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of the input and of the weight."""
        (x, weight), (grad,) = ctx.saved_tensors, grads
        of_x = conv_transpose2d(grad, weight, **ctx.options) if ctx.needs_input_grad[0] else None
        of_weight = conv2d_weight(x, weight.shape, grad, **ctx.options) if ctx.needs_input_grad[1] else None
        return of_x, of_weight, None, None, None


def grouped_conv2d(x: Tensor, weight: Tensor, stride: int, padding: int, groups: int) -> Tensor:
    """``GroupedConvolution``, in the precision of autocast where that is on, as ``conv2d`` would be."""
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(dtype), weight.to(dtype)
    return GroupedConvolution.apply(x, weight, stride, padding, groups)


class GroupedConv2d(nn.Conv2d):
    """A ``Conv2d`` without bias, for discriminators with a gradient penalty."""

    def __init__(self, c_in: int, c_out: int, kernel: int, groups: int, padding: int) -> None:
        super().__init__(c_in, c_out, kernel, padding=padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H', W')."""
        return grouped_conv2d(x, self.weight, 1, int(self.padding[0]), self.groups)
