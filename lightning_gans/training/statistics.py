"""Mean and deviation of features over a training set."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from tqdm import tqdm

from lightning_gans.errors import InputError

if TYPE_CHECKING:
    from lightning_gans.training.adversarial_module import AdversarialModule

LEAST_DEVIATION = 1e-4
"""A feature that changes less is constant."""


@torch.no_grad()
def training_statistics(module: AdversarialModule, frames: Callable[[Any], Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and (population) standard deviation of features over the whole training set, equal on all ranks.

    Each rank goes through its share; a progress bar appears after two seconds.

    Args:
        module: That a fit is about to begin with.
        frames: Makes the features (N, F) of a batch.

    Returns:
        Two tensors (F,), float64. A feature that never changes has the deviation 1, since it is divided by.

    Raises:
        InputError: without a DataModule that hands out the training set in order.
    """
    data, strategy = module.trainer.datamodule, module.trainer.strategy
    if not hasattr(data, "reference_dataloader"):
        raise InputError(
            f"{type(module).__name__} measures its training set before it begins; train it with a DataModule of"
            " lightning_gans.data, or load weights that hold the statistics"
        )
    batches = tqdm(
        data.reference_dataloader(),
        desc="measuring the training set",
        unit="",
        delay=2,
        leave=False,
        disable=module.global_rank != 0,
    )
    total: Tensor | float = 0.0
    for batch in batches:
        batch = data.on_after_batch_transfer(data.transfer_batch_to_device(batch, module.device, 0), 0)
        x = frames(batch).double()
        total = total + torch.stack([torch.full_like(x[0], len(x)), x.sum(0), x.square().sum(0)])
    count, first, second = strategy.reduce(total, reduce_op="sum")
    mean = first / count
    deviation = (second / count - mean.square()).clamp(min=0).sqrt()
    return mean, torch.where(deviation > LEAST_DEVIATION, deviation, 1.0)
