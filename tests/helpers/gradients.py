"""All that a network gives, for comparing two forms of it."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn


def values_and_gradients(function: Callable[..., Any], module: nn.Module, *inputs: Tensor) -> list[Tensor]:
    """Outputs, and what flows to the inputs and to each parameter from a sum with weights."""
    inputs = tuple(x.clone().requires_grad_() for x in inputs)
    outputs = list(_tensors(function(*inputs)))
    draw = torch.Generator().manual_seed(0)
    total = sum((h * torch.randn(h.shape, dtype=h.dtype, generator=draw)).sum() for h in outputs)
    gradients = torch.autograd.grad(total, [*inputs, *module.parameters()], allow_unused=True)
    return [*outputs, *(g for g in gradients if g is not None)]


def _tensors(value: Any) -> Iterator[Tensor]:
    """Those in a nest of lists and tuples."""
    if isinstance(value, Tensor):
        yield value
    else:
        for item in value:
            yield from _tensors(item)
