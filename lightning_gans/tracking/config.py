"""What a run was: its config and the facts that the config does not tell, beside the run and in W&B."""

from __future__ import annotations

from typing import Any

import lightning
import torch
import yaml
from lightning.pytorch.cli import SaveConfigCallback

import lightning_gans
from lightning_gans.callbacks.run_folder import run_folder
from lightning_gans.errors import InputError
from lightning_gans.files.writing import write_whole
from lightning_gans.tracking.recorded import flat
from lightning_gans.tracking.wandb import RunLogger
from lightning_gans.zoo import assets


class SaveConfigToRun(SaveConfigCallback):
    """Writes ``config.yaml`` into the run's folder, and the same values and the tags to W&B.

    ``ckpt_path`` is left out, so that the config begins a run, also that of a resumed one.

    Raises:
        InputError: on all ranks where they were started with different configs.
    """

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        if trainer.world_size > 1:
            self._compare_ranks(trainer)
        super().setup(trainer, module, stage)

    def _compare_ranks(self, trainer: Any) -> None:
        mine = dict(flat(yaml.safe_load(self.parser.dump(self.config, skip_unset=False))))
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

    def save_config(self, trainer: Any, module: Any, stage: str) -> None:
        if trainer.logger is None:
            return  # there is no run folder, and the current folder may hold a config.yaml of the user's
        config = self.config.clone()
        config.ckpt_path = None  # of this start alone; who takes the config later would go on in this run unasked
        text = self.parser.dump(config, skip_unset=False)
        facts = run_facts(trainer, module)
        for name, content in {"config.yaml": text, "facts.yaml": yaml.safe_dump(facts, sort_keys=False)}.items():
            write_whole(run_folder(trainer) / name, content, "make room, or give another folder with --run.folder")
        if isinstance(trainer.logger, RunLogger):
            run = trainer.logger.experiment
            run.config.update(facts | {"cli": yaml.safe_load(text)}, allow_val_change=True)
            run.tags = tuple({*(run.tags or ()), facts["paper"], facts["data"]})


def run_facts(trainer: Any, module: Any) -> dict[str, Any]:
    """What the config does not tell: the data as it was found, the processes, and which code ran."""
    data = trainer.datamodule
    per_process, fingerprint = getattr(data, "batch_size", None), getattr(data, "fingerprint", None)
    joined = trainer.world_size * module.accumulation[next(iter(module.networks))].batches
    return {
        "paper": type(module).__name__,
        "data": type(data).__name__,
        "data_fingerprint": fingerprint() if fingerprint else None,
        "processes": trainer.world_size,
        "global_batch_size": per_process and per_process * joined,
        "commit": assets.commit(),
        "versions": {package.__name__: str(package.__version__) for package in (lightning_gans, lightning, torch)},
    }
