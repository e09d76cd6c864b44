"""Words of the command line that stand for something packaged: the names of configs."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from lightning_gans.errors import InputError
from lightning_gans.zoo import assets


def resolve(args: list[str]) -> list[str]:
    """Put packaged files in the place of bare config names, and name the run after the first config.

    Args:
        args: With the command first.

    Raises:
        InputError: for a config that is not there, or that does not hold options by name.
    """
    resolved: list[str] = []
    names: list[str] = []
    for arg in args:
        option, equals, value = arg.partition("=")
        if equals and option in ("-c", "--config"):
            names.append(value)
            arg = f"{option}={config_file(value)}"
        elif resolved and resolved[-1] in ("-c", "--config"):
            names.append(arg)
            arg = str(config_file(arg))
        resolved.append(arg)
    if any(re.fullmatch(r"(--trainer\.logger=)?(CSV|TensorBoard)Logger", arg) for arg in resolved):
        resolved.append("--trainer.logger.save_dir=runs")  # they have no default
    return [*resolved[:1], *(f"--run.name={Path(name).stem}" for name in names[:1]), *resolved[1:]]


def config_file(name_or_path: str) -> Path:
    """A config that holds options by name; jsonargparse would not say which file is at fault."""
    path = assets.config(name_or_path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InputError(f"{path} is not YAML; {line}{error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        found = "is empty" if content is None else f"holds a {type(content).__name__}"
        raise InputError(f"{path} {found}; expected options by name, such as model: and data:")
    return path
