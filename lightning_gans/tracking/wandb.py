"""Runs in Weights & Biases, with generator updates as the axis."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, get_args

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from lightning_gans.callbacks.last_checkpoint import LastCheckpoint
from lightning_gans.errors import InputError, one_line
from lightning_gans.files.fetching import fetching_errors
from lightning_gans.metrics import METRICS
from lightning_gans.tracking.recorded import AXIS
from lightning_gans.tracking.run_ids import new_run_id, require_run_id
from lightning_gans.training.checkpoints import require_writable

Mode = Literal["auto", "online", "offline", "disabled"]
MODES = get_args(Mode)
OLDER_MODES = {"dryrun": "offline", "run": "online"}
"""Names that W&B still takes."""
UNREACHABLE = "W&B cannot be used now ({}); this run is recorded on this machine, and its end says how to upload it"
PATIENCE = (60.0, 600.0)
"""Seconds for the end of a run to reach W&B, without and with checkpoints; what did not can be sent later."""


class RunLogger(WandbLogger):
    """W&B where there is an account, else an offline run that can be uploaded later; never a prompt.

    Args:
        name: What the run is called; its folder is this and the time.
        project: W&B project, and the folder of its runs in ``folder``; ``$WANDB_PROJECT``, else ``lightning_gans``,
            when not given.
        folder: Where runs lie.
        mode: ``auto`` is ``online`` with a W&B key on this machine and ``offline`` without; ``$WANDB_MODE`` and
            ``$WANDB_DISABLED`` win.
        id: Of the run, and the name of its folder; made of the name, the time and 64 random bits when not given.
        tags: More tags than the paper's and the data set's.
        group: Of runs that belong together, such as those of several seeds.
        log_model: Keep checkpoints in W&B, as versions of the artifact ``model-ID``: the best and the last one when a
            run ends, or those of each validation. ``--init_from wandb://ENTITY/PROJECT/model-ID:best`` takes them.
    """

    def __init__(
        self,
        name: str = "run",
        project: str | None = None,
        folder: str = "runs",
        mode: Mode = "auto",
        id: str | None = None,
        tags: list[str] | None = None,
        group: str | None = None,
        log_model: Literal["no", "end", "all"] = "no",
    ) -> None:
        import wandb

        if id is not None:
            require_run_id(id)
        disabled = os.environ.get("WANDB_DISABLED", "").lower() in ("1", "t", "true", "y", "yes", "on")
        chosen = "disabled" if disabled else os.environ.get("WANDB_MODE") or mode
        chosen = OLDER_MODES.get(chosen, chosen)
        for option, value, choices in (("WANDB_MODE", chosen, MODES), ("log_model", log_model, ("no", "end", "all"))):
            if value not in choices:
                raise InputError(f"{option} is {value}; expected {', '.join(choices)}")
        self.may_go_offline = chosen == "auto"
        if self.may_go_offline:
            chosen = "online" if has_account() else "offline"
        settings = wandb.Settings(silent=chosen != "online", console="off" if chosen != "online" else "auto")
        if "WANDB_FINISH_TIMEOUT" not in os.environ:
            settings.finish_timeout = PATIENCE[log_model != "no"]
        if "WANDB_DISABLE_GIT" not in os.environ:
            settings.disable_git = True  # git would run the fsmonitor of whatever repository the current folder is in
        root = Path(folder).expanduser().resolve()  # W&B's service may have another current folder
        require_writable(root, "--run.folder")
        super().__init__(
            name=name,
            save_dir=str(root),
            id=new_run_id(name) if id is None else id,
            project=project or default_project(),
            mode=chosen,
            settings=settings,
            tags=tags,
            group=group,
            job_type="train",
        )
        self.log_model = log_model
        self.saved: dict[str, Path] = {}
        # What Lightning gives to wandb.init, a private name of its WandbLogger. It always has ``anonymous`` in it, of
        # which W&B warns since https://github.com/wandb/wandb/pull/10909.
        self._wandb_init.pop("anonymous", None)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        created = self._experiment is None  # private too; test_wandb.py sees that both are there
        try:
            run = super().experiment
        except fetching_errors() as error:
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
        run = self.experiment
        return Path(run.dir).parent if run.offline else None

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


def default_project() -> str:
    """The project of runs for which none was given."""
    return os.environ.get("WANDB_PROJECT") or "lightning_gans"


@rank_zero_only
def has_account() -> bool:
    """Whether W&B takes the key of this machine, if there is one; it is said why not. Rank 0 alone is told."""
    import wandb

    try:
        return wandb.login(prompt=False)
    except fetching_errors() as error:
        rank_zero_info(UNREACHABLE.format(one_line(error)))
        return False
