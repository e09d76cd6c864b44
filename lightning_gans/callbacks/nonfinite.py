"""The end of a run whose loss is not finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer

from lightning_gans.errors import InputError
from lightning_gans.training.adversarial_module import AdversarialModule
from lightning_gans.training.checkpoints import newest


class NonFiniteLoss(InputError):
    """A loss became infinite or not a number."""


class StopAtNonFiniteLoss(Callback):
    """Stops the run at a loss that is not finite, and keeps it out of every checkpoint.

    On a CPU it looks after each batch; on accelerators, where looking means waiting, when a line of the log is due and
    before a checkpoint is written.
    """

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        each = trainer.world_size == 1 and module.device.type == "cpu"
        if each or module.log_is_due():
            self.check(trainer, module)

    def on_save_checkpoint(self, trainer: Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        self.check(trainer, module)
        # The gradient of a finite loss may overflow, which the next batch's loss would tell: too late for this file.
        # Ranks have batch norm statistics of their own, and all of them have to stop, or one waits for the others.
        state = {name: value for name, value in checkpoint["state_dict"].items() if value.is_floating_point()}
        finite = torch.stack([value.isfinite().all() for value in state.values()]).float().to(module.device)
        finite = trainer.strategy.reduce(finite, reduce_op="min")
        for name in [name for name, all_finite in zip(state, finite.tolist(), strict=True) if not all_finite][:1]:
            where = f"the weights of {type(module).__name__} ({name}) are not finite after batch {module.batches_seen}"
            raise NonFiniteLoss(self.message(trainer, where))

    def check(self, trainer: Trainer, module: AdversarialModule) -> None:
        """Raise where any rank has seen one."""
        first = module.nonfinite.first  # in the order of the updates: the first one infects the others
        if first:
            batches = trainer.strategy.reduce(torch.stack([*first.values()]).float(), reduce_op="max").tolist()
            bad = {key: int(batch) for key, batch in zip(first, batches, strict=True) if batch >= 0}
            for key in sorted(bad, key=bad.__getitem__)[:1]:
                where = (
                    f"the loss of {type(module).__name__}'s {module.networks[key]} is not finite at batch {bad[key]}"
                )
                raise NonFiniteLoss(self.message(trainer, where))

    def message(self, trainer: Any, where: str) -> str:
        """Say what was lost, what was kept, and what usually helps."""
        folders = {Path(callback.dirpath) for callback in trainer.checkpoint_callbacks if callback.dirpath}
        good = newest(*folders)
        return (
            f"{where}; stopped there. {f'The last good checkpoint is {good}' if good else 'No checkpoint was written'};"
            " a lower learning rate, or --trainer.precision 32 or bf16-mixed, usually helps"
        )
