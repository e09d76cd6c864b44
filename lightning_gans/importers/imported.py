"""What every importer declares, and what several of them do."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightning_gans import models
from lightning_gans.errors import InputError, one_line

SHOWN = 12
"""Names that a message lists of each kind."""
Shapes = Mapping[str, tuple[int, ...]]
Renaming = tuple[tuple[str, str], ...]


class Imported(NamedTuple):
    """A model that was read from another project's files.

    Args:
        model: Class name in ``lightning_gans.models``.
        hparams: Arguments of the class; defaults may be left out.
        networks: Attributes whose tensors are in ``state``.
        state: Those tensors, and the tensors that hang on the module itself, under the names of the module.
    """

    model: str
    hparams: dict[str, Any]
    networks: tuple[str, ...]
    state: dict[str, Tensor]


class Opened(NamedTuple):
    """A checkpoint of another project, opened once.

    Args:
        path: The file of weights, beside which others may be; of TensorFlow's files, what their names have in common.
        content: What the file holds: a state dict, or several by name. Of TensorFlow's files, what the index has of
            each variable, by its name.
    """

    path: Path
    content: dict[str, Any]


class Config(NamedTuple):
    """The settings of a training: a JSON or YAML file of plain values."""

    path: Path
    values: dict[str, Any]


class Importer(NamedTuple):
    """A foreign format.

    An importer's file ends with ``IMPORTER = Importer(...)`` and is listed in ``detect.MODULES``. ``recognizes`` looks
    at keys alone, reads no values and raises nothing; exactly one importer must say yes to a checkpoint that is
    complete, and none to a stranger's. ``torch_files.layers`` gives a network's layers in every spelling of weight
    norm.

    ::

        def recognizes(content, config):
            return {"conv_pre", "ups.0"} <= layers(content.get("generator"))

        def read(files: Opened, *, config: Config, stats: Path | None = None) -> Imported: ...

    Args:
        name: For ``--format``.
        reads: Whose files, and which.
        files: Usual names of the file of weights, as patterns, the best first; for folders and repositories.
        recognizes: From the content of ``Opened`` and the values of ``Config``, empty where there is none, to whether
            it is this format.
        read: Reads an ``Opened``. Of the options of ``read_checkpoint`` it has those, by keyword, that it has a use
            for; ``config`` is a ``Config``, and needed if it has no default. It raises ``InputError`` for variables
            that are missing or of a wrong shape, settings that are missing, and an option that the model needs.
        beside: Names, as patterns, of what ``read`` looks for beside the file of weights, but for the config; fetched
            along with it from a repository.
        discriminators: What becomes of a generator's file name to be that of its discriminators, as patterns and what
            takes their place; ``discriminators_file`` reads it. Such files are large: fetched where training begins.
    """

    name: str
    reads: str
    files: tuple[str, ...]
    recognizes: Callable[[Mapping[str, Any], Mapping[str, Any]], bool]
    read: Callable[..., Imported]
    beside: tuple[str, ...] = ()
    discriminators: Renaming = ()


def discriminators_file(generator: str, renaming: Renaming) -> str | None:
    """The name of the file that holds the discriminators of a generator's; None for names that have none."""
    for pattern, other in renaming:
        if re.search(pattern, generator):
            return re.sub(pattern, other, generator)
    return None


def module_shapes(model: str, hparams: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of a module's state; nothing is allocated, and no random number drawn."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return {key: tuple(value.shape) for key, value in getattr(models, model)(**hparams).state_dict().items()}


def require_fit(source: str, what: str, pairs: Iterable[tuple[Mapping[str, Any], Shapes]]) -> None:
    """Raise ``InputError`` that lists what is missing, left over, or no array of floats of its shape.

    Args:
        source: The file, for the message.
        what: What is expected, for the message.
        pairs: For each network its arrays by name, and the shapes that there should be.
    """
    missing: list[str] = []
    strange: list[str] = []
    wrong: list[str] = []
    for found, expected in pairs:
        missing += [name for name in expected if name not in found]
        strange += [name for name in found if name not in expected]
        for name in [name for name in expected if name in found]:
            dtype = str(getattr(found[name], "dtype", f"a {type(found[name]).__name__}"))
            given = tuple(found[name].shape) if "float" in dtype else dtype
            if given != expected[name]:
                wrong.append(f"{name} is {given} where {expected[name]} is expected")
    problems = []
    for label, names in (("it lacks ", missing), ("it has unknown ", strange), ("", wrong)):
        more = [f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
        if names:
            problems.append(f"{label}{', '.join([*names[:SHOWN], *more])}")
    if problems:
        raise InputError(f"{source} does not fit {what}: {'; '.join(problems)}; choose another checkpoint")


def mean_and_deviation(
    source: str, read: Callable[[], tuple[Any, Any]], size: int, way_out: str
) -> tuple[Tensor, Tensor]:
    """Statistics of the bands of a training's features.

    Args:
        source: What messages call the file.
        read: Reads both.
        size: How many bands there are.
        way_out: The end of messages.

    Returns:
        Both (M,), in float32; the second above 0.

    Raises:
        InputError: for a damaged file, other shapes, and values that nothing can be divided by.
    """
    try:
        mean, deviation = (np.asarray(values, np.float32) for values in read())
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"{source} cannot be read as a mean and a deviation ({one_line(error)}); {way_out}") from None
    for name, values, above in (("mean", mean, ""), ("deviation", deviation, " above 0")):
        if values.shape != (size,) or not np.isfinite(values).all() or (above and values.min() <= 0):
            raise InputError(
                f"{source}: the {name}, of shape {values.shape}, is not {size} finite values{above}; {way_out}"
            )
    return torch.from_numpy(mean), torch.from_numpy(deviation)
