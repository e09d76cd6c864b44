"""``fit``, ``validate``, ``test``, ``predict``: LightningCLI with packaged configs, run folders, readable errors."""

from __future__ import annotations

import inspect
import logging
import pkgutil
import warnings
from pathlib import Path
from typing import Any

import torch
import wandb
from jsonargparse import Namespace
from lightning import Callback, LightningDataModule, Trainer
from lightning.fabric.plugins import CheckpointIO, ClusterEnvironment
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar, TQDMProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lightning_gans import zoo
from lightning_gans.callbacks.evaluation import Evaluate
from lightning_gans.callbacks.last_checkpoint import LastCheckpoint
from lightning_gans.callbacks.nonfinite import StopAtNonFiniteLoss
from lightning_gans.callbacks.predictions import SavePredictions
from lightning_gans.callbacks.preemption import StopOnSignal
from lightning_gans.callbacks.samples import LogSamples
from lightning_gans.callbacks.throughput import Throughput
from lightning_gans.cli.messages import CLASSES, Parser, resolve
from lightning_gans.errors import InputError, LostProcess
from lightning_gans.tracking.config import SaveConfigToRun
from lightning_gans.tracking.metrics_file import WriteMetrics
from lightning_gans.tracking.report import ReportRun
from lightning_gans.tracking.wandb import RunLogger
from lightning_gans.training.accumulation import AccumulateGradients, ClipGradients
from lightning_gans.training.adversarial_module import AdversarialModule
from lightning_gans.training.checkpoints import CheckpointFiles, newest, require_writable
from lightning_gans.training.compilation import CompileNetworks
from lightning_gans.training.ddp import chosen, lost_connection
from lightning_gans.training.ema import AverageGenerator
from lightning_gans.zoo.weights import Weights

SHAPING = {"accumulate": AccumulateGradients, "clip_norm": ClipGradients}
"""Options of each network's updates."""
LIGHTNINGS = (("gradient_clip_val", None, "clip_norm"), ("accumulate_grad_batches", 1, "accumulate"))
"""The Trainer's, which are for one optimizer; their neutral values; ours."""


class Command(LightningCLI):
    """The command line of all papers."""

    found: Weights | None = None
    """What ``--ckpt_path`` holds."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--init_from", type=str | None, help="Start from a zoo model, or a checkpoint's weights.")
        parser.add_argument(
            "--ema",
            type=float | None,
            help="Evaluate and save an average of G's weights with this decay, such as 0.999.",
        )
        each = "for all networks, or for each, as in {{g: {}, d: {}}}."
        parser.add_argument(
            "--accumulate",
            type=int | dict[str, int] | None,
            help="Batches whose gradients make an update: " + each.format(2, 4),
        )
        parser.add_argument(
            "--clip_norm",
            type=float | dict[str, float] | None,
            help="Largest norm of the gradients: " + each.format("10.0", "1.0"),
        )
        parser.add_argument("--compile", type=bool, default=False, help="Train with torch.compile of the networks.")
        parser.add_argument(
            "--global_batch_size",
            type=int | None,
            help="Training examples of an update, of all processes and batches together; in place of data.batch_size.",
        )
        parser.add_class_arguments(RunLogger, "run", instantiate=False)
        parser.add_lightning_class_args(Evaluate, "evaluation")
        parser.add_lightning_class_args(LogSamples, "samples")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.set_defaults({"checkpoint.filename": "{step:08d}", "checkpoint.auto_insert_metric_name": False})

    def before_instantiate_classes(self) -> None:
        """Give the data what a vocoder says of its mels, so that it is said once; what differs from a default stays."""
        config = self.config[self.subcommand]
        model, data = (pkgutil.resolve_name(config[kind].class_path) for kind in CLASSES)
        if not hasattr(model, "data_options"):
            return
        options = {name: item.default for name, item in inspect.signature(model).parameters.items()}
        options |= vars(config.model.get("init_args") or Namespace())
        accepted = {k: v for c in reversed(data.__mro__) for k, v in inspect.signature(c.__init__).parameters.items()}
        given = config.data.init_args
        for name, value in model.data_options(options).items():
            if name in accepted and given.get(name) == accepted[name].default:
                given[name] = value

    def instantiate_classes(self) -> None:
        """Let what a constructor raises through; jsonargparse would bury it in a message about types."""
        refusals: list[Exception] = []

        def build(class_type: type, *args: Any, **kwargs: Any) -> Any:
            try:
                return class_type(*args, **kwargs)
            except Exception as error:
                refusals.append(error)
                raise

        for base in (AdversarialModule, LightningDataModule, Callback, Logger):
            self.parser.add_instantiator(build, base, subclasses=True)
        try:
            super().instantiate_classes()
        except ValueError:
            if not refusals:
                raise
            if isinstance(refusals[0], ImportError):  # a logger whose package is not installed
                raise InputError(str(refusals[0])) from None
            raise refusals[0] from None

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> Trainer:
        own = [ReportRun(), WriteMetrics(), Throughput(), StopAtNonFiniteLoss(), SavePredictions(), LastCheckpoint()]
        given = [*(config["callbacks"] or []), *callbacks]
        if config["enable_progress_bar"] is not False and not any(isinstance(c, ProgressBar) for c in given):
            own.append(TQDMProgressBar(refresh_rate=20))  # each refresh waits for the device
        callbacks = own + callbacks
        if (decay := self._get(self.config, "ema")) is not None:
            callbacks.append(AverageGenerator(decay))  # behind what looks at the generator in a validation
        if self._get(self.config, "compile"):
            callbacks.append(CompileNetworks())
        for option, callback in SHAPING.items():
            if (value := self._get(self.config, option)) is not None:
                callbacks.append(callback(value))
        callbacks.append(StopOnSignal())  # behind all that a batch changes, as it saves
        if config["enable_checkpointing"] is False:
            callbacks = [c for c in callbacks if not isinstance(c, ModelCheckpoint)]
        for option, neutral, ours in LIGHTNINGS:
            if config[option] != neutral:
                raise InputError(
                    f"trainer.{option} is {config[option]}, which networks trained in turns cannot share; use"
                    f" --{ours} {config[option]}, for all networks or for each"
                )
        if config["logger"] is None:
            run = {**self._get(self.config, "run")}
            if run["id"] is None:
                run |= run_of(self._get(self.config, "ckpt_path"))
            config["logger"] = RunLogger(**run) if self.subcommand == "fit" and not config["fast_dev_run"] else False
        given = config["plugins"] or []
        config["plugins"] = [*(given if isinstance(given, list) else [given])]
        if not any(isinstance(plugin, CheckpointIO) for plugin in config["plugins"]):
            config["plugins"].append(CheckpointFiles())
        if SLURMEnvironment.detect() and not any(isinstance(p, ClusterEnvironment) for p in config["plugins"]):
            config["plugins"].append(SLURMEnvironment(auto_requeue=False))  # which would save in the middle of a step
        try:
            config["strategy"] = chosen(*(config[key] for key in ("strategy", "accelerator", "devices", "num_nodes")))
            return super()._instantiate_trainer(config, callbacks)
        except (MisconfigurationException, ValueError, TypeError) as error:  # raised for options it cannot use
            raise InputError(str(error)) from error

    def _parse_ckpt_path(self) -> None:
        """Look at the checkpoint before anything is built. In Lightning it would silently override the config."""
        config = self.config[self.config.subcommand]
        path = config.get("ckpt_path")
        if path in (None, "hpc"):
            return
        run = config.get("run")
        if path == "last" and run is not None and run.id is not None:
            folder = Path(run.folder, run.project, run.id)
            config.ckpt_path = path = (found := newest(folder / "checkpoints")) and str(found)
            if path is None:
                rank_zero_info(f"{folder} has no checkpoint yet: this is its start")
                return
        if path in ("last", "best"):
            raise InputError(
                f"--ckpt_path is {path}; give a file, such as runs/lightning_gans/NAME/checkpoints/last.ckpt, or"
                " --ckpt_path last with --run.id NAME, which starts a run or goes on with it"
            )
        if Path(path).suffix != ".ckpt":
            raise InputError(f"--ckpt_path is {path}; expected a .ckpt file: weights of the zoo go to --init_from")
        found, model = zoo.fetch(path), config.model
        name = model.class_path.rpartition(".")[2]
        if found.model != name:
            raise InputError(f"{path} is a checkpoint of {found.model}, and the config's model is {name}")
        self.found = found

    def after_instantiate_classes(self) -> None:
        """Compare a checkpoint's arguments with the model's, which may have made several of one, as of a preset."""
        if (found := self.found) is None:
            return
        for key, value in self.model.hparams.items():
            if key in found.hparams and not same(before := found.hparams[key], value):
                if isinstance(value, dict) and isinstance(before, dict):
                    differing = [name for name in value if value[name] != before.get(name)]
                    before, value = ({name: x.get(name) for name in differing} for x in (before, value))
                raise InputError(
                    f"{found.source} was trained with {key}={before!r}, and the config says {value!r}; resume with the"
                    f" same value (--model.{key}), or start anew from its weights with --init_from {found.source}"
                )

    def before_fit(self) -> None:
        self._share_batch()
        self._check_monitor()
        self._check_folders()
        self._start_from_weights()

    def _share_batch(self) -> None:
        size, processes = self._get(self.config, "global_batch_size"), self.trainer.num_devices * self.trainer.num_nodes
        if size is None:
            return
        batches = self._get(self.config, "accumulate") or 1
        if not isinstance(batches, int):
            raise InputError(
                f"global_batch_size is {size}, and accumulate {batches}; give one number for all networks, or"
                " --data.batch_size"
            )
        parts = processes * max(batches, 1)
        if size < 1 or size % parts:
            near = max(round(size / parts), 1) * parts
            among = f"{processes} process(es)" + f" with {batches} batches each" * (batches > 1)
            raise InputError(
                f"global_batch_size is {size}, which {among} cannot share; give a multiple of {parts}, such as {near}"
            )
        self.datamodule.batch_size = size // parts

    def _check_monitor(self) -> None:
        """A misspelt figure would stop the run only after the first validation."""
        monitor, metrics = (self._get(self.config, key) for key in ("checkpoint.monitor", "evaluation.metrics"))
        kind, _, name = (monitor or "").partition("/")
        if kind == "val" and name not in (metrics or []):
            raise InputError(
                f"checkpoint.monitor is {monitor}, and evaluation.metrics is {metrics or 'empty'}; compute that figure"
                f" with --evaluation.metrics [{name}], or monitor another one"
            )

    def _check_folders(self) -> None:
        """What cannot be written would stop the run only when the first checkpoint is due."""
        if self.trainer.fast_dev_run:
            return
        if not self.trainer.loggers:
            require_writable(Path(self.trainer.default_root_dir), "--trainer.default_root_dir")
        for callback in self.trainer.checkpoint_callbacks:
            if callback.dirpath:
                require_writable(Path(callback.dirpath), "--checkpoint.dirpath")

    def before_test(self) -> None:
        self._start_from_weights()
        if not self._get(self.config, "init_from") and not self._get(self.config, "ckpt_path"):
            raise InputError(
                f"no weights to {self.subcommand}; give --ckpt_path FILE, or --init_from NAME with one of"
                f" {', '.join(zoo.names()) or 'the zoo, which is empty'}"
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


def run_of(ckpt_path: str | None) -> dict[str, str]:
    """Options of the run that a checkpoint lies in, so that a resumed one goes on in its folder; else none."""
    folder = Path(ckpt_path).resolve().parent if ckpt_path else None
    if folder is None or folder.name != "checkpoints" or not (folder.parent / "config.yaml").is_file():
        return {}
    run = folder.parent
    return {"id": run.name, "project": run.parent.name, "folder": str(run.parent.parent)}


def run(args: list[str]) -> None:
    """Run one of LightningCLI's commands."""
    warnings.filterwarnings("ignore", ".*args parameter is intended to run from within Python.*")
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", ".*is not supported by the model summary.*")
    # equal on all ranks:
    warnings.filterwarnings("ignore", ".*recommended to use `self.log.'(generator_updates|samples_seen).*")
    warnings.filterwarnings("ignore", ".*no pre-optimization state was saved.*")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda record: "Tip:" not in record.msg)
    failed = 1
    try:
        command(args)
        failed = 0
    except MisconfigurationException as error:
        raise InputError(str(error)) from error
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
    return Command(
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
