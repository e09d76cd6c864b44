"""Signals: a run ends with a checkpoint to resume from."""

from __future__ import annotations

import signal
from shlex import quote
from typing import Any

import torch
from lightning import Callback
from lightning.pytorch.utilities import rank_zero_info

from lightning_gans.callbacks.last_checkpoint import LastCheckpoint
from lightning_gans.callbacks.run_folder import run_folder
from lightning_gans.signals import EXIT_CODES, caught


class StopOnSignal(Callback):
    """Ctrl-C, SIGTERM, SIGUSR1 and the loss of the terminal end the run with a checkpoint to resume from.

    That is after the current batch, on all ranks. The process exits with 130 after Ctrl-C, else with 143, so that a
    scheduler knows that there is more to do. A second Ctrl-C stops at once.

    Args:
        every: Batches between two looks at the other ranks.
    """

    def __init__(self, every: int = 16) -> None:
        self.every = every
        self.received = 0
        self.previous: dict[int, Any] = {}

    def on_train_start(self, trainer: Any, module: Any) -> None:
        for number in caught():  # later than Lightning's own, which would save in the middle of a step
            self.previous[number] = signal.signal(number, self._receive)
        if trainer.received_sigterm:  # while everything was set up
            self.received = EXIT_CODES[signal.SIGTERM]

    def _receive(self, number: int, frame: Any) -> None:
        self.received = EXIT_CODES[number]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        rank_zero_info("\nStopping after this batch, with a checkpoint; Ctrl-C again stops at once, without one.")

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.world_size > 1 and (module.batches_seen + 1) % self.every:
            return
        code = self.received
        if trainer.world_size > 1:
            code = int(trainer.strategy.reduce(torch.tensor(float(code), device=module.device), reduce_op="max"))
        if code:
            path = run_folder(trainer) / "checkpoints" / "interrupted.ckpt"
            path = trainer.strategy.broadcast(path)
            trainer.save_checkpoint(path, weights_only=False)  # the optimizers' state too
            for callback in trainer.checkpoint_callbacks:
                if isinstance(callback, LastCheckpoint):
                    callback.best_model_path = str(path)  # which the report names as well
            config = run_folder(trainer) / "config.yaml"
            same = "the same command and"
            options = f"lightning-gans fit --config {quote(str(config))}" if config.is_file() else same
            resume = f"{options} --ckpt_path {quote(str(path))}"
            rank_zero_info(f"Stopped after {trainer.global_step} generator updates. Resume with: {resume}")
            raise SystemExit(code)

    def teardown(self, trainer: Any, module: Any, stage: str) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}
