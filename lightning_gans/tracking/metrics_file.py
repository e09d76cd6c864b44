"""``metrics.csv`` beside a run, wherever else it is recorded: a row per line of the log, a column per name."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

from lightning import Callback
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn

from lightning_gans.callbacks.run_folder import run_folder
from lightning_gans.errors import one_line
from lightning_gans.files.writing import Unwritable, write_whole
from lightning_gans.tracking.recorded import NAME, read_rows

WAY_OUT = "make room, or give another folder with --run.folder"


class WriteMetrics(Callback):
    """Adds ``metrics.csv`` to a run that has a logger, and so a folder of its own."""

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        has_one = any(isinstance(logger, (CSVLogger, MetricsFile)) for logger in trainer.loggers)
        if trainer.loggers and not has_one and not trainer.fast_dev_run:
            trainer.loggers.append(MetricsFile(run_folder(trainer)))

    def on_train_start(self, trainer: Any, module: Any) -> None:
        for logger in trainer.loggers:
            if not isinstance(logger, MetricsFile):
                continue
            if module.samples_seen:  # some checkpoints do not tell
                logger.cut(module.samples_seen)
            elif not trainer.ckpt_path and not logger.begun:
                logger.cut(-1)  # all of a start that was killed before its first checkpoint


class MetricsFile(Logger):
    """Written by rank 0 alone, line by line, so that a kill loses nothing; a resumed run goes on in its file.

    Raises:
        InputError: where it cannot be written from the beginning.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / NAME
        self.columns: list[str] = []
        self.file: Any = None
        self.begun = self.warned = False

    @property
    def name(self) -> str:
        return self.path.parent.name

    version = name

    @rank_zero_only
    def cut(self, samples_seen: float) -> None:
        """Drop what was recorded behind the checkpoint that training goes on from, since it comes again."""
        if self.path.is_file():
            self._rewrite((), lambda row: row.get("samples_seen", 0) <= samples_seen)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a row; on a full disk training goes on without it, and the next one that fits is behind whole rows."""
        try:
            if self.file is None or not metrics.keys() <= {*self.columns}:
                self._rewrite(metrics, lambda row: True)
            self._write(lambda: csv.DictWriter(self.file, self.columns).writerow(metrics))
            self.begun = True
        except Unwritable as error:
            if not self.begun:
                raise
            if not self.warned:
                rank_zero_warn(f"training goes on without its newest metrics: {one_line(error)}")
            self.warned = True
            self.finalize("")

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """They are in ``config.yaml``."""

    def _rewrite(self, columns: Iterable[str], keep: Callable[[dict[str, float]], bool]) -> None:
        """With more columns, or up to a row that is not kept; a reader sees the old file or the new one."""
        rows = [*takewhile(keep, read_rows(self.path))]
        self.columns = [*dict.fromkeys([*(name for row in rows for name in row), *columns])]
        self._write(lambda: self._replace(rows))

    def _replace(self, rows: list[dict[str, float]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.columns)
        writer.writeheader()
        writer.writerows(rows)
        write_whole(self.path, text.getvalue(), WAY_OUT)
        self.finalize("")
        self.file = self.path.open("a", buffering=1, newline="", encoding="utf-8")

    def _write(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            raise Unwritable(f"{self.path} cannot be written ({error.strerror}); {WAY_OUT}") from error

    def finalize(self, status: str) -> None:
        if self.file is not None:
            with suppress(OSError):  # what a full disk has not taken
                self.file.close()
            self.file = None
