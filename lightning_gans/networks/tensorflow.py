"""Optimizers that older papers were trained with and torch lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


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
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
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
