"""Other projects' checkpoint files, read into the papers of this package: one file per format.

Each file declares an ``IMPORTER``, see there: the name of the format, what its files are called, by what it is
recognized, and the function that reads it. It knows neither the zoo nor the command line. ``detect.MODULES`` lists the
files. ``zoo.import_checkpoint`` makes a module of what is read.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

from lightning_gans.errors import InputError, closest
from lightning_gans.importers.detect import CONFIGS, IMPORTERS, config_of, opened, recognized
from lightning_gans.importers.imported import Imported, Importer

__all__ = ["IMPORTERS", "Imported", "Importer", "read_checkpoint"]


def read_checkpoint(
    checkpoint: str | Path,
    config: str | Path | None = None,
    stats: str | Path | None = None,
    format: str | None = None,
    length: int | None = None,
    sample_rate: int | None = None,
) -> Imported:
    """Read another project's checkpoint.

    Args:
        checkpoint: A file, a folder of files, or what their names have in common.
        config: The settings of the training; those beside the checkpoint when not given.
        stats: Statistics of the training data, for papers that need them.
        format: A name of ``IMPORTERS``; found from what is in the files when not given.
        length: T, where the checkpoint leaves it open.
        sample_rate: In Hz, where no file tells it.

    Raises:
        InputError: for an unknown format, files that have none, an option that the format has no use for, and as
            ``Importer``.
    """
    if format is not None and format not in IMPORTERS:
        raise InputError(f"there is no format {format}; {closest(format, list(IMPORTERS))}")
    if str(checkpoint) in IMPORTERS and not os.path.exists(checkpoint):
        raise InputError(
            f"there is no file {checkpoint}, which is the name of a format; give the checkpoint first:"
            f" import_checkpoint(FILE, format={str(checkpoint)!r}), or without format, which is found by itself"
        )
    if sample_rate is not None and sample_rate < 1:
        raise InputError(f"--sample_rate is {sample_rate}; expected the Hz of the audio that the model was trained on")
    files = opened(Path(checkpoint), [IMPORTERS[format]] if format else IMPORTERS.values())
    settings = config_of(files.path, Path(config) if config else None)
    importer = IMPORTERS[format] if format else recognized(files, settings)
    taken = inspect.signature(importer.read).parameters
    options = {"config": config, "stats": Path(stats) if stats else None, "length": length, "sample_rate": sample_rate}
    given: dict[str, Any] = {option: value for option, value in options.items() if value is not None}
    for option, value in given.items():
        if option not in taken:
            raise InputError(
                f"--{option} is {value}, and {importer.name} has no use for it; leave it out to read {checkpoint}"
            )
    if "config" in taken and settings:
        given["config"] = settings
    elif "config" in taken and taken["config"].default is inspect.Parameter.empty:
        raise InputError(
            f"there is no {', '.join(CONFIGS)} beside {files.path}, and a checkpoint of {importer.name} is of no use"
            " without it; give --config the one of its training"
        )
    return importer.read(files, **given)
