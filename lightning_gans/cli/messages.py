"""What stands on the command line: names of packaged configs and classes, and what is wrong with it, in one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

import yaml
from lightning.pytorch.cli import LightningArgumentParser

import lightning_gans.data
import lightning_gans.models
from lightning_gans.errors import InputError, closest
from lightning_gans.zoo import assets

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
