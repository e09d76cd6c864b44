"""Which format a checkpoint of another project has, from its keys and the settings beside it; it is opened once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from lightning_gans.errors import InputError, one_line
from lightning_gans.importers import (
    bigvgan,
    dcgan,
    hifigan,
    melgan_neurips,
    melgan_seungwonpark,
    parallel_wavegan,
    torch_files,
    vocos,
    wavegan,
)
from lightning_gans.importers.imported import Config, Importer, Opened, discriminators_file
from lightning_gans.importers.tensorflow_bundle import bundle_prefix, read_index

MODULES = (
    dcgan,
    melgan_neurips,
    melgan_seungwonpark,
    parallel_wavegan,
    bigvgan,
    hifigan,
    vocos,
    wavegan,
)
IMPORTERS: dict[str, Importer] = {module.IMPORTER.name: module.IMPORTER for module in MODULES}
"""By the name of the format."""
CONFIGS = ("config.json", "config.yml", "config.yaml")
"""What settings beside a checkpoint are called."""
OWN = ("*.safetensors", "*.ckpt")
"""Files of this package, which any project may have too."""
SHOWN = 6
"""Keys that a message lists."""


def opened(checkpoint: Path, formats: Iterable[Importer] = IMPORTERS.values()) -> Opened:
    """Open a file, the file of weights in a folder, or TensorFlow's files.

    Raises:
        InputError: for what is missing, damaged, or would be unpickled.
    """
    if checkpoint.is_dir():
        checkpoint /= weights_among([path.name for path in checkpoint.iterdir()], str(checkpoint), formats)
    prefix = bundle_prefix(checkpoint)
    index = prefix.with_name(f"{prefix.name}.index")
    if index.is_file():
        return Opened(prefix, read_index(prefix)[1])
    if not checkpoint.is_file():
        raise InputError(f"there is no file {checkpoint}, and no {index.name} of TensorFlow; give an existing one")
    return Opened(checkpoint, torch_files.load(checkpoint))


def weights_among(names: Iterable[str], place: str, formats: Iterable[Importer] = IMPORTERS.values()) -> str:
    """The file of weights among the names in a folder or a repository; of several steps the last.

    Args:
        names: Of files.
        place: Their folder, for the message.
        formats: Whose names are looked for.

    Raises:
        InputError: if none has a usual name.
    """
    patterns = [*(pattern for importer in formats for pattern in importer.files), *OWN]
    names = sorted(names, key=lambda name: ([int(part) for part in re.findall(r"\d+", name)], name))
    for pattern in patterns:
        found = [name for name in names if fnmatchcase(name, pattern) and "/" not in name]
        if len({re.sub(r"\d+", "", name) for name in found}) > 1:
            raise InputError(f"{place} holds {', '.join(found)}; name one of them")
        if found:
            return found[-1]
    raise InputError(
        f"{place} holds no file {' or '.join(patterns)}; found {', '.join(names[:SHOWN]) or 'nothing'}; name the file"
        " of weights"
    )


def needed(names: Iterable[str], weights: str, discriminators: bool) -> list[str]:
    """What of a repository is fetched along with a file of weights, from the same folder.

    Args:
        names: Of the repository's files, with their folders.
        weights: One of them.
        discriminators: Whether those are needed too.
    """
    folder, _, file = weights.rpartition("/")
    patterns = list(CONFIGS)
    for importer in IMPORTERS.values():
        if any(fnmatchcase(file, pattern) for pattern in importer.files):
            patterns += importer.beside
            other = discriminators_file(file, importer.discriminators)
            patterns += [other] if discriminators and other else []
    beside = [name for name in names if name.rpartition("/")[0] == folder]
    return [name for name in beside if any(fnmatchcase(name.rpartition("/")[2], pattern) for pattern in patterns)]


def config_of(checkpoint: Path, given: Path | None) -> Config | None:
    """The settings that were given, or those beside a checkpoint; None where there are none.

    Raises:
        InputError: if the given file is not there, and for what is no mapping of plain values.
    """
    if given and not given.is_file():
        raise InputError(f"there is no file {given}; give --config an existing one")
    found = given or next((path for name in CONFIGS if (path := checkpoint.with_name(name)).is_file()), None)
    if found is None:
        return None
    try:
        values = yaml.safe_load(found.read_text(encoding="utf-8"))  # of which JSON is a part
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = one_line(error)
        raise InputError(f"--config {found} is not YAML of plain values ({reason}); take objects out of it") from None
    if not isinstance(values, dict):
        raise InputError(f"--config {found} is no mapping; expected the settings of a training, by their names")
    return Config(found, values)


def recognized(files: Opened, config: Config | None) -> Importer:
    """The importer whose format it is.

    Raises:
        InputError: if it is none's; it says what was seen.
    """
    for importer in IMPORTERS.values():
        if importer.recognizes(files.content, config.values if config else {}):
            return importer
    formats = "; ".join(f"{importer.name} ({importer.reads})" for importer in IMPORTERS.values())
    raise InputError(
        f"{files.path} has no format that is known here: it holds {seen(files.content)}"
        f"{f', and beside it is {config.path}' if config else ''}; known: {formats}"
    )


def seen(content: Mapping[Any, Any]) -> str:
    """The first keys with the shapes of their tensors, as ``generator.conv_pre.bias (512,)``."""
    keys: list[str] = []

    def walk(values: Mapping[Any, Any], prefix: str) -> None:
        for key, value in values.items():
            if isinstance(value, Mapping) and value:
                walk(value, f"{prefix}{key}.")
            else:
                shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
                keys.append(f"{prefix}{key} {shape}")

    walk(content, "")
    more = [f"{len(keys) - SHOWN} more"] if len(keys) > SHOWN else []
    return ", ".join([*keys[:SHOWN], *more]) or "nothing"
