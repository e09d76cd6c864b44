"""The closing report of a run."""

from __future__ import annotations

from typing import Any

from lightning import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from lightning_gans.callbacks.evaluation import Evaluate
from lightning_gans.callbacks.last_checkpoint import LastCheckpoint
from lightning_gans.callbacks.samples import LogSamples
from lightning_gans.tracking.metrics_file import MetricsFile
from lightning_gans.tracking.wandb import RunLogger


class ReportRun(Callback):
    """Says at the end where everything lies, and how the metrics went."""

    def on_fit_end(self, trainer: Any, module: Any) -> None:
        self.report(trainer)

    def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
        if trainer.state.fn == "fit" and trainer.global_step:
            self.report(trainer)

    @rank_zero_only
    def report(self, trainer: Any) -> None:
        """Print it."""
        lines: list[tuple[str, Any]] = []
        for callback in trainer.callbacks:
            if isinstance(callback, ModelCheckpoint):
                name = "to resume" if isinstance(callback, LastCheckpoint) else "checkpoint"
                lines += [(name, callback.best_model_path)]
            elif isinstance(callback, LogSamples):
                lines += [("samples", callback.latest), ("clips", callback.clips)]
            elif isinstance(callback, Evaluate) and callback.history:
                (first_step, first), (last_step, last) = callback.history[0], callback.history[-1]
                for name in last:
                    values = f"{first[name]:.4g} after {first_step} updates, {last[name]:.4g} after {last_step}"
                    lines += [(f"val/{name}", values)]
        for logger in trainer.loggers:
            if isinstance(logger, MetricsFile):
                lines += [("metrics", logger.path)]
            elif isinstance(logger, RunLogger):
                offline = logger.offline_run
                upload = f"{offline}  (upload it with: wandb sync {offline})"
                lines += [("W&B run", upload if offline else logger.experiment.url)]
        lines = [(name, value) for name, value in lines if value]
        width = max((len(name) for name, _ in lines), default=0) + 2
        rank_zero_info("\n" + "\n".join(f"{name:{width}s}{value}" for name, value in lines))
