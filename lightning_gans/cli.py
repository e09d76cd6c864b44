"""``fit``, ``validate``, ``test``, ``predict``: LightningCLI with packaged configs, run folders, readable errors."""

from __future__ import annotations

import inspect
import logging
import pkgutil
import re
import warnings
from pathlib import Path
from typing import Any, NoReturn

import torch
import wandb
import yaml
from jsonargparse import Namespace
from lightning import Callback, LightningDataModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar, TQDMProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import MisconfigurationException

import lightning_gans.data
import lightning_gans.models
from lightning_gans import assets, zoo
from lightning_gans.averaging import AverageGenerator
from lightning_gans.callbacks import LogSamples, SavePredictions, StopAtNonFiniteLoss, StopOnSignal, Throughput
from lightning_gans.errors import InputError, closest
from lightning_gans.evaluation import Evaluate
from lightning_gans.module import AdversarialModule
from lightning_gans.tracking import LastCheckpoint, ReportRun, RunLogger, SaveConfigToRun
from lightning_gans.zoo.weights import Weights

CLASSES = {"model": lightning_gans.models, "data": lightning_gans.data}


class Parser(LightningArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise InputError(readable(message, self._options())) from ex

    def _options(self) -> list[str]:
        """What can be given, subcommands' options included."""
        parsers = [self, *(p for a in self._actions if isinstance(a.choices, dict) for p in a.choices.values())]
        return sorted({option for parser in parsers for option in parser._option_string_actions})


def readable(message: str, options: list[str]) -> str:
    """Reduce one of jsonargparse's messages, which list all that was tried, to what was given and what was expected.

    Args:
        message: Of the parser; one of an unknown kind is returned as it is.
        options: Known options, such as ``--trainer.max_steps``.
    """
    if match := re.search(r"arguments are required: (?:\w+\.)?(model|data)\b", message):
        names = ", ".join(CLASSES[match[1]].__all__)
        return f"no {match[1]} given; give --{match[1]} NAME with one of {names}, or --config NAME"
    if match := re.search(r"unrecognized arguments: (-[^\s=]+)", message):
        return f"unknown option {match[1]}; {_closest_option(match[1], options)}"
    if match := re.search(r"unrecognized arguments: (.*)", message):
        return f"{match[1]} stands without an option before it; options begin with --, such as --config NAME"
    if match := re.search(r"(?:Option|does not accept option) '([^']+)'", message):
        return f"unknown option {match[1]}; {_closest_option(f'--{match[1]}', options).replace('--', '')}"
    keys = re.findall(r'Parser key "([^"]+)"', message)
    if not keys:
        return message
    if match := re.search(r"Expected a dot import path string: (\S+)", message):
        if keys[0] in CLASSES:
            return _unknown_class(keys[0], match[1])
        return f"{keys[0]}: {match[1]} is no class; give its name with its package, as in package.module.Class"
    if match := re.search(r"Problem with given class_path '([^']+)':\s*(.+)", message):
        return f"{keys[0]}: {match[1]} cannot be used ({match[2].removeprefix('- ')})"
    reasons = [line for line in re.findall(r"^ +- (.+)$", message, re.MULTILINE) if not re.match("Expected|Does", line)]
    if reasons:  # of the parser of a class, in our words already
        return f"{keys[0]}: {reasons[0]}"
    expected = list(dict.fromkeys(re.findall(r"Expected an? (.+?)(?:\.? Got value: .*)?$", message, re.MULTILINE)))
    given = re.search(r"(?:Got|Given) value: (.*)", message)
    if not (expected and given):
        return message
    return f"{'.'.join(keys)} is {given[1]}; expected {' or '.join(map(_type_name, expected))}"


def _closest_option(given: str, options: list[str]) -> str:
    found = closest(given, options)
    return found if found.startswith("did you mean") else "lightning-gans fit --help lists the options"


def _unknown_class(kind: str, given: str) -> str:
    return f"unknown {kind} {given!r}; {closest(given, CLASSES[kind].__all__)}"


def _type_name(expected: str) -> str:
    """``<class 'int'>`` to int, ``typing.Literal['a', 'b']`` to a, b."""
    if match := re.fullmatch(r"<class '(?:\w+\.)*(\w+)'>", expected):
        return {"NoneType": "null", "int": "a whole number", "float": "a number", "str": "text"}.get(match[1], match[1])
    return re.sub(r"(?:typing\.)?Literal\[(.*?)\]", lambda match: match[1].replace("'", ""), expected)


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
        accepted, given = inspect.signature(data).parameters, config.data.init_args
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
        own = [ReportRun(), Throughput(), StopAtNonFiniteLoss(), SavePredictions(), LastCheckpoint()]
        given = [*(config["callbacks"] or []), *callbacks]
        if config["enable_progress_bar"] is not False and not any(isinstance(c, ProgressBar) for c in given):
            own.append(TQDMProgressBar(refresh_rate=20))  # each refresh waits for the device
        callbacks = own + callbacks
        if (decay := self._get(self.config, "ema")) is not None:
            callbacks.append(AverageGenerator(decay))  # behind what looks at the generator in a validation
        callbacks.append(StopOnSignal())  # behind all that a batch changes, as it saves
        if config["enable_checkpointing"] is False:
            callbacks = [c for c in callbacks if not isinstance(c, ModelCheckpoint)]
        for option, neutral in {"gradient_clip_val": None, "accumulate_grad_batches": 1}.items():
            if config[option] != neutral:
                raise InputError(
                    f"trainer.{option} is {config[option]}, which networks trained in turns cannot share; leave it out"
                )
        if config["logger"] is None:
            run = {**self._get(self.config, "run")}
            if run["id"] is None:
                run |= run_of(self._get(self.config, "ckpt_path"))
            config["logger"] = RunLogger(**run) if self.subcommand == "fit" and not config["fast_dev_run"] else False
        try:
            return super()._instantiate_trainer(config, callbacks)
        except (MisconfigurationException, ValueError, TypeError) as error:  # raised for options it cannot use
            raise InputError(str(error)) from error

    def _parse_ckpt_path(self) -> None:
        """Look at the checkpoint before anything is built. In Lightning it would silently override the config."""
        config = self.config[self.config.subcommand]
        path = config.get("ckpt_path")
        if path in (None, "hpc"):
            return
        if path in ("last", "best"):
            raise InputError(
                f"--ckpt_path is {path}, and this run has no checkpoint yet; give a file, such as"
                " runs/lightning_gans/NAME/checkpoints/last.ckpt"
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
        self._check_monitor()
        self._start_from_weights()

    def _check_monitor(self) -> None:
        """A misspelt figure would stop the run only after the first validation."""
        monitor, metrics = (self._get(self.config, key) for key in ("checkpoint.monitor", "evaluation.metrics"))
        kind, _, name = (monitor or "").partition("/")
        if kind == "val" and name not in (metrics or []):
            raise InputError(
                f"checkpoint.monitor is {monitor}, and evaluation.metrics is {metrics or 'empty'}; compute that figure"
                f" with --evaluation.metrics [{name}], or monitor another one"
            )

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


def resolve(args: list[str]) -> list[str]:
    """Put packaged files in the place of bare config names, and name the run after the first config."""
    resolved, names, previous = [], [], ""
    for arg in args:
        option, between, value = arg.partition("=") if arg.startswith("-") else (previous, " ", arg)
        if between and option in ("--config", "-c"):
            names.append(value)
            value = str(config_file(value))
        elif between and option in ("--model", "--data"):
            kind = option.strip("-")
            if not re.search(r"[./{]", value) and value not in CLASSES[kind].__all__:
                raise InputError(_unknown_class(kind, value))
        resolved.append(value if between == " " else f"{option}{between}{value}")
        previous = arg
    if any(re.fullmatch(r"(--trainer\.logger=)?(CSV|TensorBoard)Logger", arg) for arg in resolved):
        resolved.append("--trainer.logger.save_dir=runs")  # they have no default
    return [*resolved[:1], *([f"--run.name={Path(names[0]).stem}"] if names else []), *resolved[1:]]


def config_file(name_or_path: str) -> Path:
    """A config that holds options by name; jsonargparse would not say which file is at fault."""
    path = assets.config(name_or_path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        raise InputError(f"{path} is not YAML; line {error.problem_mark.line + 1}: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        found = "is empty" if content is None else f"holds a {type(content).__name__}"
        raise InputError(f"{path} {found}; expected options by name, such as model: and data:")
    return path


def run(args: list[str]) -> None:
    """Run one of LightningCLI's commands."""
    warnings.filterwarnings("ignore", ".*args parameter is intended to run from within Python.*")
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", ".*is not supported by the model summary.*")
    warnings.filterwarnings("ignore", ".*recommended to use `self.log.'generator_updates.*")  # equal on all ranks
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
