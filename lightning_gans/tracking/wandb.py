"""Where a run is recorded: W&B with generator updates as the axis, the config beside the run, and a closing report."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Literal, get_args

import lightning
import torch
import yaml
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

import lightning_gans
from lightning_gans.callbacks.evaluation import Evaluate
from lightning_gans.callbacks.run_folder import run_folder
from lightning_gans.callbacks.samples import LogSamples
from lightning_gans.errors import InputError, one_line
from lightning_gans.metrics import METRICS
from lightning_gans.tracking.recorded import AXIS, flat
from lightning_gans.training.checkpoints import require_writable
from lightning_gans.zoo import assets

Mode = Literal["auto", "online", "offline", "disabled"]
MODES = get_args(Mode)
UNREACHABLE = "W&B cannot be used now ({}); this run is recorded on this machine, and its end says how to upload it"
PATIENCE = (60.0, 600.0)
"""Seconds for the end of a run to reach W&B, without and with checkpoints; what did not can be sent later."""


class RunLogger(WandbLogger):
    """W&B where there is an account, else an offline run that can be uploaded later; never a prompt.

    Args:
        name: What the run is called; its folder is this and the time.
        project: W&B project, and the folder of its runs in ``folder``.
        folder: Where runs lie.
        mode: ``auto`` is ``online`` with a W&B key on this machine and ``offline`` without; ``$WANDB_MODE`` wins.
        id: Continue the run of this id.
        tags: More tags than the paper's and the data set's.
        group: Of runs that belong together, such as those of several seeds.
        log_model: Keep checkpoints in W&B, as versions of the artifact ``model-ID``: the best and the last one when a
            run ends, or those of each validation. ``--init_from wandb://ENTITY/PROJECT/model-ID:best`` takes them.
    """

    def __init__(
        self,
        name: str = "run",
        project: str = "lightning_gans",
        folder: str = "runs",
        mode: Mode = "auto",
        id: str | None = None,
        tags: list[str] | None = None,
        group: str | None = None,
        log_model: Literal["no", "end", "all"] = "no",
    ) -> None:
        import wandb

        mode = os.environ.get("WANDB_MODE", mode)
        if mode not in MODES:
            raise InputError(f"WANDB_MODE is {mode}; expected {', '.join(MODES)}")
        self.may_go_offline = mode == "auto"
        if mode == "auto":
            mode = "online" if rank_zero_only.rank == 0 and has_account() else "offline"
        settings = wandb.Settings(silent=mode != "online", console="off" if mode != "online" else "auto")
        if "WANDB_FINISH_TIMEOUT" not in os.environ:
            settings.finish_timeout = PATIENCE[log_model != "no"]
        root = Path(folder).resolve()  # W&B's service may have another current folder
        require_writable(root, "--run.folder")
        id = id or f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(2).hex()}"
        if log_model not in (choices := ("no", "end", "all")):
            raise InputError(f"log_model is {log_model}; expected {', '.join(choices)}")
        shown = {"tags": tags, "group": group, "job_type": "train"}
        super().__init__(name, str(root), id=id, project=project, mode=mode, settings=settings, **shown)
        self.log_model = log_model
        self.saved: dict[str, Path] = {}
        self._wandb_init.pop("anonymous", None)  # Lightning passes it on always, and W&B warns of it always

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        created = self._experiment is None
        try:
            run = super().experiment
        except Exception as error:  # of whatever kind W&B lets through
            self._go_offline(error)
            run = super().experiment
        if created:
            run.define_metric(AXIS)
            run.define_metric("*", step_metric=AXIS, step_sync=True)
            for name, metric in METRICS.items():
                best = {True: "max", False: "min", None: "min,max"}[metric.higher_is_better]
                run.define_metric(f"val/{name}", step_metric=AXIS, step_sync=True, summary=f"{best},last")
        return run

    def _go_offline(self, error: Exception) -> None:
        reason, mode = one_line(error), self._wandb_init["mode"]
        if mode == "offline" or not self.may_go_offline:
            offline = "" if mode == "offline" else "; --run.mode offline records it on this machine"
            raise InputError(f"W&B did not take the run ({reason}){offline}") from error
        rank_zero_info(UNREACHABLE.format(reason))
        self._wandb_init["mode"] = "offline"

    @property
    def offline_run(self) -> Path | None:
        """Folder of an offline run, for ``wandb sync``; None where nothing needs uploading."""
        run = self._experiment
        return Path(run.dir).parent if run is not None and run.settings._offline else None

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        name = "last" if isinstance(checkpoint_callback, LastCheckpoint) else "best"
        self.saved[name] = Path(checkpoint_callback.best_model_path)
        if self.log_model == "all":
            self._send_checkpoints()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self.log_model == "end":  # an interrupted run's too
            self._send_checkpoints()

    def _send_checkpoints(self) -> None:
        import wandb

        for alias in ("best", "last"):  # W&B's alias latest goes to the last one
            if (path := self.saved.get(alias)) and path.is_file():
                artifact = wandb.Artifact(f"model-{self.version}", "model", metadata={"file": path.name})
                artifact.add_file(str(path), "model.ckpt")
                self.experiment.log_artifact(artifact, aliases=[alias])
        self.saved = {}


def has_account() -> bool:
    """Whether W&B takes the key of this machine, if there is one; it is said why not."""
    import wandb

    try:
        return wandb.login(prompt=False)
    except Exception as error:  # of whatever kind W&B lets through
        rank_zero_info(UNREACHABLE.format(one_line(error)))
        return False


class LastCheckpoint(ModelCheckpoint):
    """``last.ckpt`` at every validation, whatever the monitored figure says, and at the end of training."""

    def __init__(self) -> None:
        super().__init__(filename="last", enable_version_counter=False)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        super().on_train_end(trainer, module)
        if not trainer.fast_dev_run and self._last_global_step_saved != trainer.global_step:
            self.best_model_path = str(Path(self.dirpath, "last.ckpt"))
            trainer.save_checkpoint(self.best_model_path, weights_only=False)  # the optimizers' state too


class SaveConfigToRun(SaveConfigCallback):
    """Writes ``config.yaml`` into the run's folder, and the same values and the tags to W&B.

    Raises:
        InputError: on all ranks where they were started with different configs.
    """

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        if trainer.world_size > 1:
            self._compare_ranks(trainer)
        super().setup(trainer, module, stage)

    def _compare_ranks(self, trainer: Trainer) -> None:
        mine = dict(flat(yaml.safe_load(self.parser.dump(self.config, skip_none=False))))
        first = trainer.strategy.broadcast(mine)
        keys = [key for key in {**first, **mine} if first.get(key) != mine.get(key)]
        found: list[list[str]] = [[]] * trainer.world_size
        torch.distributed.all_gather_object(
            found,
            [f"{key} is {first.get(key)} on rank 0, {mine.get(key)} on rank {trainer.global_rank}" for key in keys],
        )
        for differences in filter(None, found):
            raise InputError(
                f"the configs of the processes differ: {'; '.join(differences)}; start all with the same options"
            )

    def save_config(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        if trainer.logger is None:
            return  # there is no run folder, and the current folder may hold a config.yaml of the user's
        text = self.parser.dump(self.config, skip_none=False)
        path = run_folder(trainer) / "config.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        facts = run_facts(trainer, module)
        path.with_name("facts.yaml").write_text(yaml.safe_dump(facts, sort_keys=False))
        if isinstance(trainer.logger, RunLogger):
            run = trainer.logger.experiment
            run.config.update(facts | {"cli": yaml.safe_load(text)}, allow_val_change=True)
            run.tags = tuple({*(run.tags or ()), facts["paper"], facts["data"]})


def run_facts(trainer: Trainer, module: LightningModule) -> dict[str, Any]:
    """What the config does not tell: the data as it was found, the processes, and which code ran."""
    data = trainer.datamodule
    per_process, fingerprint = getattr(data, "batch_size", None), getattr(data, "fingerprint", None)
    joined = trainer.world_size * module.updates[next(iter(module.networks))].batches
    return {
        "paper": type(module).__name__,
        "data": type(data).__name__,
        "data_fingerprint": fingerprint() if fingerprint else None,
        "processes": trainer.world_size,
        "global_batch_size": per_process and per_process * joined,
        "commit": assets.commits(),
        "versions": {package.__name__: str(package.__version__) for package in (lightning_gans, lightning, torch)},
    }


class ReportRun(Callback):
    """Says at the end where everything lies, and how the figures went."""

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.report(trainer)

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        if trainer.state.fn == "fit" and trainer.global_step:
            self.report(trainer)

    @rank_zero_only
    def report(self, trainer: Trainer) -> None:
        """Print it."""
        lines = []
        for callback in trainer.callbacks:
            if isinstance(callback, ModelCheckpoint):
                name = "to resume" if isinstance(callback, LastCheckpoint) else "checkpoint"
                lines += [(name, callback.best_model_path)]
            elif isinstance(callback, LogSamples):
                lines += [("picture", callback.latest), ("clips", callback.clips)]
            elif isinstance(callback, Evaluate) and callback.history:
                (first_step, first), (last_step, last) = callback.history[0], callback.history[-1]
                for name in last:
                    lines.append(
                        (
                            f"val/{name}",
                            f"{first[name]:.4g} after {first_step} updates, {last[name]:.4g} after {last_step}",
                        )
                    )
        logger = trainer.logger
        if isinstance(logger, RunLogger):
            offline = logger.offline_run
            lines.append(
                ("W&B run", f"{offline}  (upload it with: wandb sync {offline})" if offline else logger.experiment.url)
            )
        lines = [(name, value) for name, value in lines if value]
        width = max((len(name) for name, _ in lines), default=0) + 2
        rank_zero_info("\n" + "\n".join(f"{name:{width}s}{value}" for name, value in lines))
