"""``fit``, ``validate``, ``test``, ``predict``: LightningCLI with packaged configs, run folders, readable errors."""

from __future__ import annotations

import logging
import pkgutil
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
import wandb
from jsonargparse import Namespace
from lightning import Callback, LightningDataModule, Trainer
from lightning.fabric.plugins import CheckpointIO, ClusterEnvironment
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar, TQDMProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lightning_gans import data, models, zoo
from lightning_gans.callbacks.evaluation import Evaluate
from lightning_gans.callbacks.last_checkpoint import LastCheckpoint
from lightning_gans.callbacks.nonfinite import StopAtNonFiniteLoss
from lightning_gans.callbacks.predictions import SavePredictions
from lightning_gans.callbacks.preemption import StopOnSignal
from lightning_gans.callbacks.run_folder import run_folder
from lightning_gans.callbacks.samples import LogSamples
from lightning_gans.callbacks.throughput import Throughput
from lightning_gans.callbacks.validate_at_end import ValidateAtEnd
from lightning_gans.cli import checks, resume
from lightning_gans.cli.arguments import resolve
from lightning_gans.cli.messages import GroupHelp, OneLine, raised, raised_in
from lightning_gans.cli.options import GROUPS, options
from lightning_gans.errors import InputError, LostProcess
from lightning_gans.tracking.config import SaveConfigToRun
from lightning_gans.tracking.metrics_file import WriteMetrics
from lightning_gans.tracking.report import ReportRun
from lightning_gans.tracking.run_ids import require_no_run
from lightning_gans.tracking.run_lock import lock
from lightning_gans.tracking.wandb import RunLogger
from lightning_gans.training.accumulation import AccumulateGradients, ClipGradients
from lightning_gans.training.adversarial_module import AdversarialModule
from lightning_gans.training.checkpoints import CheckpointFiles
from lightning_gans.training.compilation import CompileNetworks
from lightning_gans.training.ddp import chosen, lost_connection
from lightning_gans.training.ema import AverageGenerator
from lightning_gans.zoo import moved
from lightning_gans.zoo.weights import Weights

BY_OPTION: dict[str, Callable[[Any], Callback]] = {
    "ema": AverageGenerator,  # behind what looks at the generator in a validation
    "compile": lambda _: CompileNetworks(),
    "accumulate": AccumulateGradients,
    "clip_norm": ClipGradients,
    "validate_at_end": lambda _: ValidateAtEnd(),
}
"""Callbacks that are there where their option is given, in this order."""

QUIET = (
    ".*args parameter is intended to run from within Python.*",
    ".*does not have many workers.*",
    ".*isinstance.treespec, LeafSpec.*",
    ".*is not supported by the model summary.*",
    ".*recommended to use `self.log.'(generator_updates|samples_seen).*",  # equal on all ranks
    ".*no pre-optimization state was saved.*",
)
"""Warnings that do not concern the user."""


class Parser(OneLine, LightningArgumentParser):
    """Knows the classes by name."""

    classes: ClassVar[dict[str, list[str]]] = {"model": models.__all__, "data": data.__all__}


class Command(LightningCLI):
    """The command line of all papers."""

    held: ClassVar[ExitStack]
    """What is let go of at the end."""
    found: Weights | None = None
    """What ``--ckpt_path`` holds."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_function_arguments(options, as_group=False)
        parser.add_class_arguments(RunLogger, "run", instantiate=False)
        parser.add_lightning_class_args(Evaluate, "evaluation")
        parser.add_lightning_class_args(LogSamples, "samples")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.set_defaults({"checkpoint.filename": "{step:08d}", "checkpoint.auto_insert_metric_name": False})
        for option in ("mel", "context"):
            parser.link_arguments(("model", "data"), f"data.init_args.{option}", partial(of_model, option))
        for group in GROUPS:
            parser.add_argument(f"--{group}.help", action=GroupHelp)

    def option(self, name: str) -> Any:
        """The value of an option, as ``checkpoint.monitor``."""
        return self._get(self.config, name)

    def instantiate_classes(self) -> None:
        """Let what a constructor raises through; jsonargparse would bury it in a message about types."""
        try:
            super().instantiate_classes()
        except ValueError as error:
            cause = raised(error)
            if isinstance(cause, ImportError):  # a logger whose package is not installed
                raise InputError(str(cause)) from None
            raise cause from None

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> Trainer:
        checks.require_usable(config)
        config["logger"] = self._logger(config)
        config["plugins"] = self._plugins(config["plugins"])
        try:
            config["strategy"] = chosen(*(config[key] for key in ("strategy", "accelerator", "devices", "num_nodes")))
            return super()._instantiate_trainer(config, self._callbacks(config, callbacks))
        except (MisconfigurationException, ValueError, TypeError) as error:  # raised for options it cannot use
            raise InputError(str(error)) from error

    def _callbacks(self, config: dict[str, Any], own: list[Callback]) -> list[Callback]:
        """All but the user's: what every run has, those of the command line's classes, those of its options."""
        first: list[Callback] = [ReportRun(), WriteMetrics(), Throughput(), StopAtNonFiniteLoss()]
        first.append(SavePredictions())
        own = [*own, LastCheckpoint()]  # behind the one of the best, of which it says where it is
        users = config["callbacks"] or []
        given = [*(users if isinstance(users, list) else [users]), *own]
        if config["enable_progress_bar"] is not False and not any(isinstance(c, ProgressBar) for c in given):
            first.append(TQDMProgressBar(refresh_rate=20))  # each refresh waits for the device
        if config["enable_checkpointing"] is False:
            first, own = ([c for c in some if not isinstance(c, ModelCheckpoint)] for some in (first, own))
        asked = {name: self.option(name) for name in BY_OPTION}
        last = [BY_OPTION[name](value) for name, value in asked.items() if value not in (None, False)]
        return [*first, *own, *last, StopOnSignal()]  # behind all that a batch changes, as it saves

    def _logger(self, config: dict[str, Any]) -> Any:
        if config["logger"] is not None:
            return config["logger"]
        if self.subcommand != "fit" or config["fast_dev_run"]:
            return False
        run = self.option("run")
        found = resume.run_of(self.option("ckpt_path")) if run.id is None else {}
        if found:
            folder = Path(found["folder"], found["project"], found["id"])
            if folder != resume.folder_of(run, found["id"]).resolve():
                rank_zero_info(f"The run goes on in {folder}; to begin another one elsewhere give --run.id NAME, too")
                run.folder, run.project = found["folder"], found["project"]  # for config.yaml
        return RunLogger(**{**run, **found})

    def _plugins(self, given: Any) -> list[Any]:
        plugins = given if isinstance(given, list) else [given] if given else []
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            plugins = [*plugins, CheckpointFiles(moved.checkpoint)]
        if SLURMEnvironment.detect() and not any(isinstance(plugin, ClusterEnvironment) for plugin in plugins):
            # Lightning's would save in the middle of a step
            plugins = [*plugins, SLURMEnvironment(auto_requeue=False)]
        return plugins

    def _parse_ckpt_path(self) -> None:
        """Look at the checkpoint before anything is built. In Lightning it would silently override the config."""
        config = self.config[self.config.subcommand]
        if config.get("ckpt_path") == "last":
            config.ckpt_path = resume.newest_of_run(config.get("run"))
        if config.get("ckpt_path") not in (None, "hpc"):
            self.found = resume.read(config.ckpt_path, config.model.class_path)

    def after_instantiate_classes(self) -> None:
        if self.found is not None:
            resume.require_same(self.found, self.model)

    def before_fit(self) -> None:
        if (size := self.option("global_batch_size")) is not None:
            processes = self.trainer.num_devices * self.trainer.num_nodes
            self.datamodule.batch_size = checks.batch_size(size, self.option("accumulate"), processes)
        checks.require_monitored(*map(self.option, ("checkpoint.monitor", "checkpoint.mode", "evaluation.metrics")))
        checks.require_folders(self.trainer)
        if self.trainer.is_global_zero and not self.option("trainer.fast_dev_run"):
            self._take_folder()
        self._start_from_weights()

    def _take_folder(self) -> None:
        """Refuse the folder of another run, which its checkpoints would replace, and keep other processes out of it."""
        named = isinstance(self.trainer.logger, RunLogger)
        if not named and self.trainer.logger is not None:  # another logger makes a folder of its own each time
            return
        path, folder = self.option("ckpt_path"), run_folder(self.trainer)
        if path != "hpc" and not (path and folder.resolve() in Path(path).resolve().parents):  # not its own
            newest = "last" if named else str(folder / "checkpoints" / "last.ckpt")
            require_no_run(folder, newest, "--run.id" if named else "--trainer.default_root_dir")
        if named:
            self.held.enter_context(lock(folder))

    def before_test(self) -> None:
        source, path = self.option("init_from"), self.option("ckpt_path")
        if source is not None and path:  # as with the config of a run that began from weights
            rank_zero_info(f"The weights are those of --ckpt_path {path}, not of --init_from {source}")
        elif source is not None:
            self._start_from_weights()
        elif not path:
            raise InputError(
                f"no weights to {self.subcommand}; give --ckpt_path FILE, or --init_from NAME with one of"
                f" {', '.join(zoo.names()) or 'the zoo, which is empty'}"
            )

    before_validate = before_test
    before_predict = before_test

    def _start_from_weights(self) -> None:
        if (source := self.option("init_from")) is not None:  # an empty one, as of a script's variable, is a mistake
            absent = zoo.init_from(self.model, source)
            if absent and self.subcommand == "fit":
                rank_zero_info(f"{source} holds no {' and no '.join(absent)}: trained from scratch")


def of_model(option: str, model: Namespace | None, data: Namespace | None) -> Any:
    """An option of the data: what was given, else what a vocoder's arguments say of its mels; both are compared later.

    Args:
        option: ``mel`` or ``context``.
        model: Class and arguments; None where it was not given, which is an error later.
        data: As ``model``.
    """
    given, arguments = ((of and of.get("init_args")) or Namespace() for of in (data, model))
    model_class: Any = pkgutil.resolve_name(model.class_path) if model else None
    if given.get(option) is not None or not hasattr(model_class, "data_options"):
        return given.get(option)
    return model_class.data_options(vars(arguments))[option]


def run(args: list[str]) -> None:
    """Run one of LightningCLI's commands."""
    for message in QUIET:
        warnings.filterwarnings("ignore", message)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda record: "Tip:" not in record.msg)
    failed = 1
    try:
        command(args)
        failed = 0
    except (MisconfigurationException, ValueError) as error:
        if not raised_in(error, "lightning"):
            raise
        raise InputError(str(error)) from error  # an option that it cannot use, as it finds when it begins
    except torch.OutOfMemoryError as error:
        raise InputError(f"the device has too little memory ({error}); lower --data.batch_size") from error
    except RuntimeError as error:
        if reason := lost_connection(error):
            raise LostProcess(
                f"another process of this run has ended ({reason}); go on from the last checkpoint with --ckpt_path"
                " FILE, or with the same command where it has --run.id NAME --ckpt_path last"
            ) from error
        raise
    finally:
        if wandb.run is not None:  # else the next run of this process would go on in it
            wandb.finish(exit_code=failed)


def command(args: list[str]) -> Command:
    """Parse the arguments, build what they name, and do it."""

    class ThisCommand(Command):
        """Without parsers for the other commands, which take as long again."""

        @staticmethod
        def subcommands() -> dict[str, set[str]]:
            return {args[0]: Command.subcommands()[args[0]]}

    with ExitStack() as ThisCommand.held:
        return ThisCommand(
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
