"""TensorFlow 1's layers and optimizer, where torch's differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad


def same_padding(kernel: int, stride: int) -> tuple[int, int]:
    """SAME padding (left, right) for an input whose length is a multiple of the stride."""
    total = kernel - stride
    return total // 2, total - total // 2


class SameConv1d(nn.Conv1d):
    """Convolution (B, C, L) to (B, C', L / stride) with SAME padding."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(pad(input, same_padding(self.kernel_size[0], self.stride[0])))


class SameConv2d(nn.Conv2d):
    """Convolution (B, C, H, W) to (B, C', H / stride, W / stride) with SAME padding; kernel and stride are squares."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(pad(input, 2 * same_padding(self.kernel_size[0], self.stride[0])))


class SameConvTranspose1d(nn.ConvTranspose1d):
    """Transposed convolution (B, C, L) to (B, C', L * stride), the gradient of a SAME convolution."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int) -> None:
        super().__init__(c_in, c_out, kernel, stride, padding=(kernel - stride) // 2)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        return super().forward(input)[..., : input.shape[-1] * self.stride[0]]


class SameConvTranspose2d(nn.ConvTranspose2d):
    """Transposed convolution (B, C, H, W) to (B, C', H * stride, W * stride), the gradient of a SAME convolution."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int) -> None:
        super().__init__(c_in, c_out, kernel, stride, padding=(kernel - stride) // 2)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        height, width = (side * self.stride[0] for side in input.shape[-2:])
        return super().forward(input)[..., :height, :width]


class ResizeConv1d(SameConv1d):
    """Each step repeated, then a SAME convolution: (B, C, L) to (B, C', L * factor)."""

    def __init__(self, c_in: int, c_out: int, kernel: int, factor: int) -> None:
        super().__init__(c_in, c_out, kernel)
        self.factor = factor

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(interpolate(input, scale_factor=float(self.factor)))


class ResizeConv2d(SameConv2d):
    """Interpolation, then a SAME convolution: (B, C, H, W) to (B, C', H * factor, W * factor).

    Args:
        c_in: C.
        c_out: C'.
        kernel: Of the convolution.
        factor: Of both sides.
        mode: ``nearest``, ``bilinear`` or ``bicubic``, with torch's half-pixel offset, which TensorFlow 1 lacks.
    """

    def __init__(self, c_in: int, c_out: int, kernel: int, factor: int, mode: str) -> None:
        super().__init__(c_in, c_out, kernel)
        self.factor, self.mode = factor, mode

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(interpolate(input, scale_factor=float(self.factor), mode=self.mode))


def glorot(network: nn.Module) -> None:
    """Glorot uniform weights, zero biases: what TensorFlow's layers begin with."""
    for layer in network.modules():
        if isinstance(layer, (nn.Linear, nn.modules.conv._ConvNd)):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class TensorFlowRMSprop(torch.optim.Optimizer):
    """RMSProp as in TensorFlow 1: the mean square starts at 1, and eps stands inside the root.

    torch's starts at 0 and adds eps outside, so that its first updates are up to three times as long.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate.
        alpha: Decay of the mean square.
        eps: Added to the mean square.
    """

    def __init__(self, params: Iterable, lr: float, alpha: float = 0.9, eps: float = 1e-10) -> None:
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update: p <- p - lr g / sqrt(m + eps), where m <- alpha m + (1 - alpha) g^2."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            for p in parameters:
                if not self.state[p]:
                    self.state[p]["square_avg"] = torch.ones_like(p)
            gradients = [p.grad for p in parameters]
            squares = [self.state[p]["square_avg"] for p in parameters]
            torch._foreach_mul_(squares, group["alpha"])
            torch._foreach_addcmul_(squares, gradients, gradients, value=1 - group["alpha"])
            roots = torch._foreach_add(squares, group["eps"])
            torch._foreach_sqrt_(roots)
            torch._foreach_addcdiv_(parameters, gradients, roots, value=-group["lr"])
        return loss
