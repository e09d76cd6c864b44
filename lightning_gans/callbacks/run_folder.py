"""Where a run keeps its files."""

from __future__ import annotations

from pathlib import Path

from lightning import Trainer


def run_folder(trainer: Trainer) -> Path:
    """Where this run keeps its checkpoints, pictures and config."""
    logger = trainer.logger
    if logger is None:
        return Path(trainer.default_root_dir)
    if logger.log_dir:  # not with W&B
        return Path(logger.log_dir)
    return Path(logger.save_dir or trainer.default_root_dir, str(logger.name), str(logger.version))
