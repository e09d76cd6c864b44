"""What a checkpoint holds beyond Lightning's own, so that a resumed run is the run that was not interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lightning import Trainer
from lightning.pytorch.strategies import Strategy
from torch import Tensor, nn

from lightning_gans.errors import InputError
from lightning_gans.training.lightning_private import guard_restoring, trainer_of
from lightning_gans.training.restoring import require_loops, require_parts, require_steps, restoring

if TYPE_CHECKING:
    from lightning_gans.training.adversarial_module import AdversarialModule

CURRENT_NETWORKS = "current_networks"
"""Key of a checkpoint that holds the weights which training goes on from, where ``state_dict`` has their average."""

GRADIENTS = "accumulated_gradients"
"""Key of a checkpoint that was saved between the batches of an update."""

STATISTICS = "statistics_of_ranks"
"""Key of a checkpoint that holds each rank's ``statistics``."""

AVERAGED_STATISTICS = "averaged_statistics_of_ranks"
"""The same of an average of the generator's weights."""


def save(module: AdversarialModule, checkpoint: dict[str, Any]) -> None:
    """Add the module's state; called on all ranks."""
    trainer = module.trainer
    checkpoint["model"] = type(module).__name__
    checkpoint["noise_seed"], checkpoint["samples_seen"] = module.noise_stream.seed, module.samples_seen
    if pending := {key: state for key, one in module.accumulation.items() if (state := one.state(module))}:
        checkpoint[GRADIENTS] = pending
    if trainer.world_size > 1:
        checkpoint[STATISTICS] = of_ranks(statistics(module), trainer.strategy)


def load(module: AdversarialModule, checkpoint: dict[str, Any]) -> None:
    """Take up what ``save`` has added.

    Raises:
        InputError: in a fit, for a checkpoint of weights alone, or with an average of the weights where there is none.
    """
    require_parts(checkpoint)
    trainer: Any = trainer_of(module)
    fits = trainer is not None and trainer.state.fn == "fit"
    if fits and not {"loops", "optimizer_states"} <= checkpoint.keys():
        raise InputError(
            "the checkpoint holds weights alone, and not where its training was; start from them with --init_from in"
            " place of --ckpt_path"
        )
    if fits:
        require_loops(checkpoint, trainer)
    module.noise_stream.seed, module.samples_seen = checkpoint["noise_seed"], checkpoint.get("samples_seen", 0)
    for key, state in checkpoint.get(GRADIENTS, {}).items():
        module.accumulation[key].load_state(state)
    module.saved_statistics = checkpoint.get(STATISTICS, {})
    settle_epoch(checkpoint)
    if CURRENT_NETWORKS in checkpoint and fits:
        if not any(getattr(callback, "keeps_current_networks", False) for callback in trainer.callbacks):
            raise InputError(
                "the checkpoint was trained with an average of the generator's weights; resume with the same --ema"
                " DECAY, or start anew from the average with --init_from"
            )


def guard(trainer: Trainer) -> None:
    """Have what is wrong with a checkpoint said in one line, when ``trainer`` takes it up."""

    @contextmanager
    def checked() -> Iterator[None]:
        with restoring(trainer):
            yield
            require_steps(trainer.optimizers)

    guard_restoring(trainer, checked)


def begin(module: AdversarialModule) -> None:
    """Begin a fit anew, or with what was loaded: noise, gradients, and each rank's own statistics.

    DDP has begun with the first rank's.
    """
    module.noise_stream.begin(module.trainer.strategy)
    module.nonfinite.first.clear()
    for accumulation in module.accumulation.values():
        accumulation.begin()
    for name, value in of_rank(module.saved_statistics, module.trainer).items():
        module.get_buffer(name).copy_(value)
    module.saved_statistics = {}


def average_statistics(module: AdversarialModule) -> None:
    """Average the statistics over the ranks, so that all evaluate, and rank 0 saves, the same network."""
    if module.trainer.world_size > 1:
        for buffer in statistics(module).values():
            buffer.copy_(module.trainer.strategy.reduce(buffer, reduce_op="mean"))


def statistics(network: nn.Module) -> dict[str, Tensor]:
    """What batch norm has seen: each rank has its own, until a validation averages them."""
    return {name: b for name, b in network.named_buffers() if name.endswith(("running_mean", "running_var"))}


def of_ranks(tensors: dict[str, Tensor], strategy: Strategy) -> dict[str, Tensor]:
    """Those of all ranks (R, ...), on each."""
    return {name: strategy.all_gather(tensor) for name, tensor in tensors.items()}


def of_rank(tensors: dict[str, Tensor], trainer: Trainer) -> dict[str, Tensor]:
    """This rank's of what ``of_ranks`` gave; nothing where there were more ranks, or fewer."""
    return {name: rows[trainer.global_rank] for name, rows in tensors.items() if len(rows) == trainer.world_size}


def count_epoch(trainer: Trainer) -> None:
    """Count an epoch as begun. Lightning does not, where it goes on at the end of the one before.

    A checkpoint from the middle of that epoch would look like one from its end.
    """
    epochs = trainer.fit_loop.epoch_progress
    now: Any = epochs.current  # which counts more than it is declared to
    if now.started == now.processed:
        epochs.increment_ready()
        epochs.increment_started()


def settle_epoch(checkpoint: dict[str, Any]) -> None:
    """Let a checkpoint say whether its epoch is at an end.

    With ``max_steps``, Lightning takes the end of an epoch for its middle, goes on behind its last batch, and counts it
    twice. A training that ends in the middle of an epoch has counted it as done before the last checkpoint is saved, so
    that a longer one would begin with the next.
    """
    loop = checkpoint.get("loops", {}).get("fit_loop")
    if loop is None:
        return
    epochs, batches = loop["epoch_progress"], loop["epoch_loop.batch_progress"]
    if epochs["current"]["processed"] != epochs["current"]["started"]:
        return
    if batches["is_last_batch"]:
        for count in (epochs["current"], epochs["total"]):
            count["completed"] = count["processed"]
        batches["current"] = dict.fromkeys(batches["current"], 0)
        batches["is_last_batch"] = False
    elif batches["current"]["processed"]:
        for count in (epochs["current"], epochs["total"]):
            count["completed"] = count["processed"] = count["started"] - 1
