"""The validation that a run ends with."""

from __future__ import annotations

from typing import Any

from lightning import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from lightning_gans.callbacks.last_checkpoint import LastCheckpoint
from lightning_gans.training.ema import AverageGenerator
from lightning_gans.training.lightning_private import forget_saved_step, validate


class ValidateAtEnd(Callback):
    """Validates once more at the end of a fit that has trained since its last validation.

    So the report, the pictures and the best checkpoint are of the network that training ended with. A longer run that
    goes on from there is the one that was never stopped.
    """

    validated = 0

    def on_train_start(self, trainer: Any, module: Any) -> None:
        self.validated = trainer.global_step

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        self.validated = trainer.global_step

    def on_train_end(self, trainer: Any, module: Any) -> None:
        if trainer.global_step == self.validated or not trainer.enable_validation or trainer.fast_dev_run:
            return
        before = [(buffer, buffer.clone()) for buffer in _buffers(trainer, module)]
        validate(trainer)
        for checkpoint in trainer.checkpoint_callbacks:
            if isinstance(checkpoint, LastCheckpoint):
                forget_saved_step(checkpoint)  # what it saves at the end of training says which is the best
            elif isinstance(checkpoint, ModelCheckpoint):
                checkpoint.on_train_epoch_end(trainer, module)  # for those that do not save at validations
        for buffer, value in before:
            buffer.copy_(value)


def _buffers(trainer: Any, module: Any) -> list[Tensor]:
    """What a validation averages over the processes, and training goes on from: of each process its own."""
    if trainer.world_size == 1:
        return []
    averages = [one.average for one in trainer.callbacks if isinstance(one, AverageGenerator) and one.average]
    return [buffer for network in (module, *averages) for buffer in network.buffers()]
