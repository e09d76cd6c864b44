"""The end of a run whose loss is not finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from lightning_gans.errors import InputError
from lightning_gans.training.checkpoints import newest


class NonFiniteLoss(InputError):
    """A loss became infinite or not a number."""


class StopAtNonFiniteLoss(Callback):
    """Stops the run at a loss that is not finite, and keeps it out of every checkpoint.

    On a CPU it looks after each batch; on accelerators, where looking means waiting, when a line of the log is due and
    before a checkpoint is written.
    """

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        each = trainer.world_size == 1 and module.device.type == "cpu"
        if each or (module.batches_seen + 1) % trainer.log_every_n_steps == 0:
            self.check(trainer, module)

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.check(trainer, module)
        # The gradient of a finite loss may overflow, which the next batch's loss would tell: too late for this file.
        for name, value in checkpoint["state_dict"].items():
            if value.is_floating_point() and not value.isfinite().all():
                where = f"the weights of {type(module).__name__} ({name}) are not finite after batch"
                raise NonFiniteLoss(self.message(trainer, f"{where} {module.batches_seen}"))

    def check(self, trainer: Trainer, module: LightningModule) -> None:
        """Raise where any rank has seen one."""
        first = trainer.strategy.reduce(module.nonfinite_batch.float(), reduce_op="max").tolist()
        bad = {key: int(batch) for key, batch in zip(module.networks, first, strict=True) if batch >= 0}
        if not bad:
            return
        order = [p for p in module.update_order if p in bad] or list(bad)  # the first one infects the others
        key = min(order, key=bad.get)
        where = f"the loss of {type(module).__name__}'s {module.networks[key]} is not finite at batch {bad[key]}"
        raise NonFiniteLoss(self.message(trainer, where))

    def message(self, trainer: Trainer, where: str) -> str:
        """Say what was lost, what was kept, and what usually helps."""
        folders = {Path(callback.dirpath) for callback in trainer.checkpoint_callbacks if callback.dirpath}
        good = newest(*folders)
        return (
            f"{where}; stopped there. {f'The last good checkpoint is {good}' if good else 'No checkpoint was written'};"
            " a lower learning rate, or --trainer.precision 32 or bf16-mixed, usually helps"
        )
