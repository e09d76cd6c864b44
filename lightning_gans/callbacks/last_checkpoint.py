"""The checkpoint to resume from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_gans.training.lightning_private import saved_step


class LastCheckpoint(ModelCheckpoint):
    """``last.ckpt`` at every validation, whatever the monitored metric says, and at the end of training."""

    def __init__(self) -> None:
        super().__init__(filename="last", enable_version_counter=False)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        super().on_train_end(trainer, module)
        if not trainer.fast_dev_run and saved_step(self) != trainer.global_step:
            self.best_model_path = str(Path(self.dirpath or "", "last.ckpt"))
            trainer.save_checkpoint(self.best_model_path, weights_only=False)  # the optimizers' state too
