"""``metrics.csv`` beside a run, wherever else it is recorded: a row per line of the log, a column per name."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from lightning import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.utilities import rank_zero_only

from lightning_gans.callbacks.run_folder import run_folder
from lightning_gans.errors import InputError
from lightning_gans.tracking.recorded import NAME, read_rows

SECONDS = 5.0
"""For which a row may wait to be written."""


class WriteMetrics(Callback):
    """Adds ``metrics.csv`` to a run that has a logger, and so a folder of its own."""

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        if trainer.fast_dev_run or not trainer.loggers:
            return
        if not any(isinstance(logger, (CSVLogger, MetricsFile)) for logger in trainer.loggers):
            trainer.loggers.append(MetricsFile(run_folder(trainer)))

    def on_train_start(self, trainer: Any, module: Any) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, MetricsFile):
                logger.cut(module.samples_seen)


class MetricsFile(Logger):
    """Writes whole rows at a time, by rank 0 alone, at most every ``SECONDS`` and before each checkpoint.

    Args:
        folder: Of the run; one that is resumed goes on in its file.

    Raises:
        InputError: from all methods that write, where that fails.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / NAME
        self.columns: list[str] = []
        self.rows: list[Mapping[str, float]] = []
        self.written = 0.0

    @property
    def name(self) -> str:
        return self.path.parent.name

    version = name

    @rank_zero_only
    def cut(self, samples_seen: float) -> None:
        """Drop what was recorded behind the checkpoint that training goes on from, since it comes again."""
        rows = read_rows(self.path) if self.path.is_file() else []
        self.columns = [*dict.fromkeys(name for row in rows for name in row)]
        self._replace([*takewhile(lambda row: row.get("samples_seen", 0) <= samples_seen, rows)])

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows.append(metrics)
        if time.monotonic() - self.written > SECONDS:
            self.flush()

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """They are in ``config.yaml``."""

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        self.flush()

    def finalize(self, status: str) -> None:
        self.flush()

    @rank_zero_only
    def flush(self) -> None:
        """Write the rows that wait."""
        rows, self.rows, self.written = self.rows, [], time.monotonic()
        added = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in self.columns]
        if added:
            self.columns += added
            self._replace([*(read_rows(self.path) if self.path.is_file() else []), *rows])
        elif rows:
            self._write("a", self.path, self._text(rows))

    def _replace(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write the file anew, as its columns or rows are others; a reader sees the old one or the new one."""
        if self.columns:
            part = self.path.with_name(f".{NAME}.part")
            self._write("w", part, self._text([dict(zip(self.columns, self.columns, strict=True)), *rows]))
            os.replace(part, self.path)

    def _text(self, rows: Sequence[Mapping[str, Any]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self.columns).writerows(rows)
        return text.getvalue()

    def _write(self, mode: str, path: Path, text: str) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open(mode, newline="", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise InputError(
                f"{path} cannot be written ({error.strerror}); make room, or give another folder with --run.folder"
            ) from error
