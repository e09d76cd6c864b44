"""Penalties on the gradient of a critic with respect to its input.

All run in torch's default type whatever the autocast setting, since a squared norm overflows float16: that is float32,
but where all weights are in another precision, which a Trainer then makes the default. They return the bare mean
without a weight: a paper writes its own coefficient in its sum of losses.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Critic = Callable[[Tensor], Tensor]


def judged(critic: Critic, x: Tensor) -> tuple[Tensor, Tensor]:
    """What the critic says of ``x``, and the gradient of its sum with respect to ``x``, kept in the graph."""
    with torch.autocast(x.device.type, enabled=False):
        x = x.detach().to(torch.get_default_dtype()).requires_grad_(True)
        logits = critic(x)
        (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return logits, gradient.to(torch.promote_types(gradient.dtype, torch.float32))


def input_gradient(critic: Critic, x: Tensor) -> Tensor:
    """Gradient of the summed critic with respect to ``x``, kept in the graph; the shape of ``x``."""
    return judged(critic, x)[1]


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """Mean of (||grad D(x_hat)||_2 - 1)^2, x_hat uniform on the lines between real and fake.

    The norm runs over all dimensions but the first (Gulrajani et al. 2017, eq. 3, which weighs it by 10).

    Args:
        critic: network without batch statistics (the penalty is per example).
        real: (B, ...).
        fake: (B, ...), need not carry a graph.
    """
    mix = torch.rand(len(real), *(1,) * (real.dim() - 1), device=real.device)
    gradient = input_gradient(critic, torch.lerp(fake.detach().to(mix), real.to(mix), mix))
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def r1_penalty(critic: Critic, real: Tensor) -> Tensor:
    """Mean of ||grad D(x)||^2 on real examples (Mescheder et al. 2018, eq. 9, which weighs it by gamma / 2)."""
    return input_gradient(critic, real).flatten(1).square().sum(1).mean()


def r2_penalty(critic: Critic, fake: Tensor) -> Tensor:
    """Mean of ||grad D(G(z))||^2 on fake examples (Mescheder et al. 2018, eq. 10, which weighs it by gamma / 2)."""
    return input_gradient(critic, fake).flatten(1).square().sum(1).mean()
