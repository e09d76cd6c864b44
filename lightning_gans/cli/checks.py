"""Checks of a configuration before a run starts; each would stop it only later, or never."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning import Trainer

from lightning_gans.errors import InputError
from lightning_gans.metrics import METRICS
from lightning_gans.training.checkpoints import require_writable

LIGHTNINGS = {"gradient_clip_val": (None, "clip_norm"), "accumulate_grad_batches": (1, "accumulate")}
"""Options of the Trainer for models with one optimizer: the value that does nothing, and ours."""

LEAST = {"check_val_every_n_epoch": 1, "log_every_n_steps": 0, "num_sanity_val_steps": -1}
"""Of options that Lightning does not look at."""


def require_usable(trainer: dict[str, Any]) -> None:
    """Refuse the Trainer's options that networks which are trained in turns cannot share, and impossible values."""
    for option, least in LEAST.items():
        if trainer[option] is not None and trainer[option] < least:
            raise InputError(f"trainer.{option} is {trainer[option]}; expected a number of at least {least}")
    for option, (neutral, ours) in LIGHTNINGS.items():
        if trainer[option] != neutral:
            raise InputError(
                f"trainer.{option} is {trainer[option]}, which networks trained in turns cannot share; use"
                f" --{ours} {trainer[option]}, for all networks or for each"
            )


def batch_size(global_batch_size: int, accumulate: Any, processes: int) -> int:
    """The examples of one process's batch, of which an update sees ``accumulate`` on each of ``processes``."""
    batches = 1 if accumulate is None else accumulate
    if not isinstance(batches, int):
        raise InputError(
            f"global_batch_size is {global_batch_size}, and accumulate {batches}; give one number for all networks, or"
            " --data.batch_size"
        )
    parts = processes * max(batches, 1)
    if global_batch_size < 1 or global_batch_size % parts:
        near = max(round(global_batch_size / parts), 1) * parts
        among = f"{processes} process(es)" + f" with {batches} batches each" * (batches > 1)
        raise InputError(
            f"global_batch_size is {global_batch_size}, which {among} cannot share; give a multiple of {parts}, such"
            f" as {near}"
        )
    return global_batch_size // parts


def require_monitored(monitor: str | None, mode: str, metrics: list[str] | None) -> None:
    """A misspelt metric would stop the run only after the first validation, and the other mode would keep the worst."""
    if monitor in METRICS:
        raise InputError(f"checkpoint.monitor is {monitor}; expected val/{monitor}, as its values are logged")
    kind, _, name = (monitor or "").partition("/")
    if kind == "val" and name not in (metrics or []):
        raise InputError(
            f"checkpoint.monitor is {monitor}, and evaluation.metrics is {metrics or 'empty'}; compute that metric"
            f" with --evaluation.metrics [{name}], or monitor another one"
        )
    higher = METRICS[name].higher_is_better if kind == "val" else None
    if higher is not None and mode != (best := "max" if higher else "min"):
        raise InputError(f"checkpoint.mode is {mode}, which keeps the worst {monitor}; give --checkpoint.mode {best}")


def require_folders(trainer: Trainer) -> None:
    """What cannot be written would stop the run only when the first checkpoint is due."""
    if trainer.fast_dev_run:  # type: ignore[attr-defined]  # an attribute that is set elsewhere
        return
    if not trainer.loggers:
        require_writable(Path(trainer.default_root_dir), "--trainer.default_root_dir")
    for callback in trainer.checkpoint_callbacks:
        if folder := getattr(callback, "dirpath", None):
            require_writable(Path(folder), "--checkpoint.dirpath")
