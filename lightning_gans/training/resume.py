"""What a checkpoint holds beyond Lightning's own, so that a resumed run is the run that was not interrupted."""

from __future__ import annotations

from typing import Any

from lightning import Trainer
from lightning.pytorch.strategies import Strategy
from torch import Tensor, nn

CURRENT_NETWORKS = "current_networks"
"""Key of a checkpoint that holds the weights which training goes on from, where ``state_dict`` has their average."""

GRADIENTS = "accumulated_gradients"
"""Key of a checkpoint that was saved between the batches of an update."""

STATISTICS = "statistics_of_ranks"
"""Key of a checkpoint that holds each rank's ``statistics``."""

AVERAGED_STATISTICS = "averaged_statistics_of_ranks"
"""The same of an average of the generator's weights."""


def statistics(network: nn.Module) -> dict[str, Tensor]:
    """What batch norm has seen: each rank has its own, until a validation averages them."""
    return {name: b for name, b in network.named_buffers() if name.endswith(("running_mean", "running_var"))}


def of_ranks(tensors: dict[str, Tensor], strategy: Strategy) -> dict[str, Tensor]:
    """Those of all ranks (R, ...), on each."""
    return {name: strategy.all_gather(tensor) for name, tensor in tensors.items()}


def of_rank(tensors: dict[str, Tensor], trainer: Trainer) -> dict[str, Tensor]:
    """This rank's of what ``of_ranks`` gave; nothing where there were more ranks, or fewer."""
    return {name: rows[trainer.global_rank] for name, rows in tensors.items() if len(rows) == trainer.world_size}


def close_epoch(checkpoint: dict[str, Any]) -> None:
    """Let a checkpoint that was saved at an epoch's end begin with the next epoch.

    With ``max_steps``, Lightning takes it for the middle of that epoch, goes on behind its last batch, and counts it
    twice.
    """
    loop = checkpoint.get("loops", {}).get("fit_loop")
    if loop is None:
        return
    epochs, batches = loop["epoch_progress"], loop["epoch_loop.batch_progress"]
    if batches["is_last_batch"] and epochs["current"]["processed"] == epochs["current"]["started"]:
        for count in (epochs["current"], epochs["total"]):
            count["completed"] = count["processed"]
        batches["current"] = dict.fromkeys(batches["current"], 0)
        batches["is_last_batch"] = False
