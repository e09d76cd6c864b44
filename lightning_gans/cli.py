"""``fit``, ``validate``, ``test``, ``predict``: LightningCLI with packaged configs, run folders, readable errors."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any, NoReturn

from lightning import Callback, LightningDataModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar, TQDMProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_info

import lightning_gans.data
import lightning_gans.models
from lightning_gans import assets, zoo
from lightning_gans.callbacks import (
    EvaluateImages,
    LogSamples,
    SavePredictions,
    StopAtNonFiniteLoss,
    StopOnSignal,
    Throughput,
)
from lightning_gans.errors import InputError, closest
from lightning_gans.module import AdversarialModule
from lightning_gans.tracking import ReportRun, RunLogger, SaveConfigToRun

SHORT_NAMES = {"--model": lightning_gans.models.__all__, "--data": lightning_gans.data.__all__}


class Parser(LightningArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise InputError(message) from ex


class Command(LightningCLI):
    """The command line of all papers."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--init_from", type=str | None, help="Start from a zoo model, or a checkpoint's weights.")
        parser.add_class_arguments(RunLogger, "run", instantiate=False)
        parser.add_lightning_class_args(EvaluateImages, "evaluation")
        parser.add_lightning_class_args(LogSamples, "samples")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.set_defaults(
            {
                "checkpoint.filename": "{step:08d}",
                "checkpoint.auto_insert_metric_name": False,
                "checkpoint.save_last": True,
            }
        )

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> Trainer:
        own = [ReportRun(), Throughput(), StopAtNonFiniteLoss(), StopOnSignal(), SavePredictions()]
        given = [*(config["callbacks"] or []), *callbacks]
        if config["enable_progress_bar"] is not False and not any(isinstance(c, ProgressBar) for c in given):
            own.append(TQDMProgressBar(refresh_rate=20))  # each refresh waits for the device
        if config["enable_checkpointing"] is False:
            callbacks = [c for c in callbacks if not isinstance(c, ModelCheckpoint)]
        if config["logger"] is None:
            run = {**self._get(self.config, "run")}
            run["id"] = run["id"] or run_of(self._get(self.config, "ckpt_path"))
            config["logger"] = RunLogger(**run) if self.subcommand == "fit" and not config["fast_dev_run"] else False
        return super()._instantiate_trainer(config, own + callbacks)

    def _parse_ckpt_path(self) -> None:
        """Look at the checkpoint before anything is built. In Lightning it would silently override the config."""
        config = self.config[self.config.subcommand]
        path = config.get("ckpt_path")
        if path in (None, "last", "best", "hpc"):
            return
        found, model = zoo.fetch(path), config.model
        name = model.class_path.rpartition(".")[2]
        if found.model != name:
            raise InputError(f"{path} is a checkpoint of {found.model}, and the config's model is {name}")
        for key, value in (model.get("init_args") or {}).items():
            if key in found.hparams and not same(found.hparams[key], value):
                raise InputError(
                    f"{path} was trained with {key}={found.hparams[key]!r}, and the config says {value!r}; resume with"
                    f" the same value (--model.{key}), or start anew from its weights with --init_from {path}"
                )

    def before_fit(self) -> None:
        self._start_from_weights()

    def before_test(self) -> None:
        self._start_from_weights()
        if not self._get(self.config, "init_from") and not self._get(self.config, "ckpt_path"):
            raise InputError(
                f"no weights to {self.subcommand}: give --ckpt_path FILE, or --init_from NAME with one of"
                f" {', '.join(zoo.names())}"
            )

    before_validate = before_test
    before_predict = before_test

    def _start_from_weights(self) -> None:
        source = self._get(self.config, "init_from")
        if source:
            absent = zoo.init_from(self.model, source)
            if absent and self.subcommand == "fit":
                rank_zero_info(f"{source} holds no {' and no '.join(absent)}: trained from scratch")


def same(a: Any, b: Any) -> bool:
    """Equality that does not tell lists from tuples."""
    return (list(a) == list(b)) if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) else a == b


def run_of(ckpt_path: str | None) -> str | None:
    """Id of the run whose folder a checkpoint lies in, so that a resumed run goes on in it."""
    folder = Path(ckpt_path).resolve().parent if ckpt_path else None
    return folder.parent.name if folder is not None and folder.name == "checkpoints" else None


def resolve(args: list[str]) -> list[str]:
    """Put packaged files in the place of bare config names, and name the run after the first config."""
    resolved, names, previous = [], [], ""
    for arg in args:
        flag, equals, value = arg.partition("=")
        if previous in ("--config", "-c"):
            names.append(arg)
            arg = str(assets.config(arg))
        elif equals and flag in ("--config", "-c"):
            names.append(value)
            arg = f"{flag}={assets.config(value)}"
        else:
            given, known = (value, SHORT_NAMES.get(flag)) if equals else (arg, SHORT_NAMES.get(previous))
            if known and "." not in given and given not in known:
                raise InputError(f"unknown {(previous or flag).strip('-')} {given!r}; {closest(given, list(known))}")
        resolved.append(arg)
        previous = arg
    return [*resolved[:1], *([f"--run.name={Path(names[0]).stem}"] if names else []), *resolved[1:]]


def run(args: list[str]) -> None:
    """Run one of LightningCLI's commands."""
    warnings.filterwarnings("ignore", ".*args parameter is intended to run from within Python.*")
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", ".*is not supported by the model summary.*")
    warnings.filterwarnings("ignore", ".*no pre-optimization state was saved.*")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda record: "Tip:" not in record.msg)
    Command(
        AdversarialModule,
        LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        load_from_checkpoint_support=False,
        save_config_callback=SaveConfigToRun,
        save_config_kwargs={"save_to_log_dir": False},
        seed_everything_default=0,
        parser_class=Parser,
        parser_kwargs={"prog": "lightning-gans"},
        trainer_defaults={"num_sanity_val_steps": 0},
        args=resolve(args),
    )
