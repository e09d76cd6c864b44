"""The table of commands: typed functions, of which jsonargparse makes the command line, and what LightningCLI runs."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from typing import Any, get_type_hints

from lightning_gans import __version__, zoo
from lightning_gans.cli.sample import sample
from lightning_gans.cli.shard import shard
from lightning_gans.cli.vocode import vocode
from lightning_gans.cli.zoo import export, show, verify
from lightning_gans.errors import InputError, closest
from lightning_gans.signals import ending
from lightning_gans.tracking.compare import compare
from lightning_gans.tracking.dashboard import dashboard
from lightning_gans.zoo import assets

TRAINING = {
    "fit": "Train a model.",
    "validate": "Compute the metrics of the validation set.",
    "test": "Compute the metrics of the test set, those of the paper.",
    "predict": "Write generated images or sounds as files.",
}
"""LightningCLI's commands, see ``cli.train``."""

COMMANDS: dict[str, Any] = {
    "sample": sample,
    "vocode": vocode,
    "compare": compare,
    "dashboard": dashboard,
    "data": {"shard": shard},
    "zoo": {
        "list": zoo.listing,
        "show": show,
        "config": zoo.config,
        "page": zoo.page,
        "verify": verify,
        "export": export,
        "import": zoo.import_entry,
        "push": zoo.push,
        "readme": zoo.write_readme,
    },
}
"""Functions by name. Their docstrings are the help, their types the checks; what they return is printed."""
GROUPS = {"data": "Data sets", "zoo": "Released models"}
"""What the commands of a group are about."""


def main(args: Sequence[str]) -> None:
    """Run a command.

    Args:
        args: Without the program's name.

    Raises:
        InputError: for anything given that cannot be used.
        SystemExit: 0 after ``--help``.
    """
    # Both spellings of an option's name, --chunk-seconds and --chunk_seconds
    words = [re.sub(r"^--[^=]+", lambda name: "--" + name[0][2:].replace("-", "_"), word) for word in args]
    if words[:1] == ["--version"]:
        print(f"lightning-gans {__version__}")
        return
    if words[:1] == ["help"] or (words[1:] == ["help"] and words[0] in TRAINING | COMMANDS):
        words = [*(word for word in words if word != "help"), "--help"]
    if words and words[0] in TRAINING:
        if {"-h", "--help"} & set(words):
            from lightning_gans.cli.options import print_help

            print_help(words[0], TRAINING[words[0]])
            return
        with ending() if words[0] == "fit" else nullcontext():
            from lightning_gans.cli.train import run

            run(words)
        return
    if words[:2] == ["zoo", "import"]:  # its checkpoint was an option in 0.1
        words = [word for each in words if (word := re.sub("^--checkpoint(=|$)", "", each))]
    found: Any = TRAINING | COMMANDS
    prog = "lightning-gans"
    while isinstance(found, dict):
        name = words.pop(0) if words else "--help"
        if name in ("-h", "--help"):
            print(overview(found, prog))
            return
        if name not in found:
            raise InputError(f"unknown command {name!r}; {closest(name, list(found))}")
        found, prog = found[name], f"{prog} {name}"
    call(found, words, prog)


def overview(commands: dict[str, Any], prog: str) -> str:
    """A line for each command, and the names of the packaged configs."""
    lines = [f"usage: {prog} COMMAND ...", ""]
    for name, command in commands.items():
        text = f"{GROUPS[name]}: {', '.join(command)}." if isinstance(command, dict) else command
        text = text if isinstance(text, str) else inspect.cleandoc(command.__doc__ or "").partition("\n")[0]
        lines.append(f"  {name:10} {text}")
    if commands not in COMMANDS.values():
        configs = f"A bare NAME after --config is one of the packaged configs: {', '.join(assets.config_names())}."
        lines += ["", *textwrap.wrap(configs)]
    return "\n".join([*lines, "", f"`{prog} COMMAND --help` tells more."])


def call(function: Callable[..., Any], words: Sequence[str], prog: str) -> None:
    """Call a command's function with what the words after it say, and print what it returns."""
    arguments: dict[str, Any] = {}
    if words or inspect.signature(function).parameters:  # else jsonargparse would be half of the time
        from lightning_gans.cli.messages import CommandParser

        description = inspect.cleandoc(function.__doc__ or "").partition("\n\nArgs:")[0].partition("\n\nRaises:")[0]
        # jsonargparse would run what stands under TYPE_CHECKING to know the types, and so import torch
        with suppress(NameError):  # but for a command that needs them
            function.__annotations__.update(get_type_hints(function))
        parser = CommandParser(prog=prog, description=description)
        parser.add_function_arguments(function, as_group=False, as_positional=True)
        arguments = vars(parser.instantiate(parser.parse_args(words)))
    if (result := function(**arguments)) is not None:
        print(result)
