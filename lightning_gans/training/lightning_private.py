"""Every private name of Lightning that training relies on; ``test_lightning_private.py`` fails when one goes.

The numbers are those of https://github.com/Lightning-AI/pytorch-lightning/issues.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.trainer.connectors.accelerator_connector import _AcceleratorConnector
from lightning.pytorch.trainer.connectors.checkpoint_connector import _CheckpointConnector
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lightning_gans.training.typed_module import TypedModule


def step_uncounted(optimizer: LightningOptimizer, profiler: Profiler) -> None:
    """Update without a step of ``global_step``, to which Lightning adds the updates of all optimizers (17958)."""
    optimizer._on_before_step = partial(profiler.start, "optimizer_step")
    optimizer._on_after_step = partial(profiler.stop, "optimizer_step")
    optimizer.step()


def count_step(trainer: Trainer) -> None:
    """Add one to ``global_step`` (17958)."""
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    progress.increment_ready()
    progress.increment_completed()


def ddp_options(strategy: DDPStrategy) -> dict[str, Any]:
    """What a strategy hands to ``DistributedDataParallel``; to be changed before a fit (20328, 20866)."""
    return strategy._ddp_kwargs


def in_ddp(strategy: DDPStrategy, network: nn.Module) -> DistributedDataParallel:
    """A network with a reducer of its own; Lightning wraps the whole module (20866)."""
    wrapped = strategy._setup_model(network)
    if strategy._ddp_comm_hook is not None:
        wrapped.register_comm_hook(strategy._ddp_comm_state, strategy._ddp_comm_hook)
    return wrapped


def auto_is_ddp(accelerator: Any, devices: Any, num_nodes: int) -> bool:
    """Whether a Trainer of these options would choose ``ddp`` by itself; no public name tells beforehand."""
    return _AcceleratorConnector(devices, num_nodes, accelerator)._strategy_flag == "ddp"


def saved_step(checkpoint: ModelCheckpoint) -> int:
    """``global_step`` of the latest file that a callback has written, 0 before the first; no public name tells."""
    return checkpoint._last_global_step_saved


def forget_saved_step(checkpoint: ModelCheckpoint) -> None:
    """Let a callback save the present step again."""
    checkpoint._last_global_step_saved = 0


def validate(trainer: Trainer) -> None:
    """Run a validation inside a fit, as its loop does between two batches; ``trainer.validate`` is none of a fit."""
    trainer.validating = True
    trainer.fit_loop.epoch_loop.val_loop.run()
    trainer.training = True


def guard_restoring(trainer: Trainer, guard: Callable[[], AbstractContextManager[None]]) -> None:
    """Have a trainer take up checkpoints inside of a context; no public hook is around that."""
    connector = trainer._checkpoint_connector
    for name in ("resume_start", "restore_model", "restore_datamodule", "restore_callbacks", "restore_training_state"):
        setattr(connector, name, _inside(guard, getattr(_CheckpointConnector, name).__get__(connector)))


def _inside(guard: Callable[[], AbstractContextManager[None]], method: Callable[..., None]) -> Callable[..., None]:
    def guarded(*args: Any, **kwargs: Any) -> None:
        with guard():
            method(*args, **kwargs)

    return guarded


def trainer_of(module: LightningModule) -> Trainer | None:
    """The Trainer that a module is attached to, if any; ``module.trainer`` raises without one."""
    return module._trainer


class SeesBatches(TypedModule):
    """Has ``check_batch`` called with each batch on the host, ``check_first`` with each stage's first on the device.

    The public hook of the former, ``on_before_batch_transfer``, warns in a module where there is a DataModule, and is
    passed over where the DataModule has it too (10603).
    """

    def check_batch(self, batch: Any) -> None:
        """Raise for a batch that cannot be used."""

    def check_first(self, batch: Any) -> None:
        """Raise for a batch that the model was not made for."""

    def setup(self, stage: str) -> None:
        self.checked_stages: set[Any] = set()  # validation and training have loaders of their own

    def _on_before_batch_transfer(self, batch: Any, dataloader_idx: int = 0) -> Any:
        self.check_batch(batch)
        return super()._on_before_batch_transfer(batch, dataloader_idx)

    def _apply_batch_transfer_handler(self, *args: Any, **kwargs: Any) -> Any:
        """Move a batch, and bring it to the module's precision, which Lightning does before integers are scaled."""
        batch = super()._apply_batch_transfer_handler(*args, **kwargs)
        batch = apply_to_collection(batch, Tensor, lambda x: x.to(self.dtype) if x.is_floating_point() else x)
        stage = self._trainer and self._trainer.state.stage
        if stage and stage not in self.checked_stages:
            self.checked_stages.add(stage)
            self.check_first(batch)
        return batch
