"""Words of the command line that LightningCLI does not know: names of packaged configs, arguments of older versions."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_gans.errors import InputError
from lightning_gans.files.documents import parse_yaml, read_yaml
from lightning_gans.zoo import assets, moved


def resolve(args: Sequence[str]) -> list[str]:
    """Put packaged files in the place of config names, name the run after the first, and translate old arguments.

    Args:
        args: With the command first.

    Raises:
        InputError: for a config that is not there or does not hold options by name, and a choice that a paper no longer
            offers.
    """
    words = _joined(args)
    names = [word.removeprefix("--config=") for word in words if word.startswith("--config=")]
    contents = {name: read_config(assets.config(name)) for name in names}
    words = _of_today(words, contents)
    paths = {f"--config={name}": f"--config={assets.config(name)}" for name in names}
    words = [paths.get(word, word) for word in words]
    for logger in {"--trainer.logger=CSVLogger", "--trainer.logger=TensorBoardLogger"} & set(words):
        words.insert(words.index(logger) + 1, "--trainer.logger.save_dir=runs")  # no default; a later one wins
    return [*words[:1], *(f"--run.name={Path(name).stem}" for name in names[:1]), *words[1:]]


def read_config(path: Path) -> dict[str, Any]:
    """Options by name; jsonargparse would not say which file is at fault."""
    content = read_yaml(path)
    if not isinstance(content, dict):
        found = "is empty" if content is None else f"holds a {type(content).__name__}"
        raise InputError(f"{path} {found}; expected options by name, such as model: and data:")
    return content


def _joined(args: Sequence[str]) -> list[str]:
    """``--option value`` and ``-c value`` as one word."""
    words: list[str] = []
    for arg in args:
        if words and re.fullmatch(r"--[^=]+|-c", words[-1]) and not re.match("--|-c(=|$)", arg):
            words[-1] += f"={arg}"
        else:
            words.append(arg)
    return [re.sub("^-c=", "--config=", word) for word in words]


def _of_today(words: list[str], contents: dict[str, dict[str, Any]]) -> list[str]:
    """The words, with the model of configs and words together in today's form where it was of an older version."""
    name, given, rest = "", dict[str, Any](), []
    for word in words:
        option, _, value = word.partition("=")
        key = option.removeprefix("--model.").removeprefix("init_args.")
        if word.startswith("--config="):
            model = contents[value].get("model")
            if isinstance(model, dict):
                name = str(model.get("class_path", name))
                given |= init_args if isinstance(init_args := model.get("init_args"), dict) else {}
            else:
                name = str(model or name)
        elif option in ("--model", "--model.class_path"):
            name = value
        elif option.startswith("--model.") and key.isidentifier() and key != "help":
            given[key] = parse_yaml(value, option)
        else:
            rest.append(word)
    short = name.removeprefix("lightning_gans.models.")
    today = moved.translate(short, given)
    if today == (short, given):
        return words
    configs = [json.dumps({k: v for k, v in content.items() if k != "model"}) for content in contents.values()]
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in today[1].items()}
    arguments = [f"--model={today[0]}", *(f"--model.{key}={text}" for key, text in texts.items())]
    return [*rest[:1], *(f"--config={config}" for config in configs), *arguments, *rest[1:]]
