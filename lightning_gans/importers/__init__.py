"""Other projects' checkpoint files, read into the papers of this package: one file per format.

Each file declares an ``IMPORTER``: the name of the format, what it reads, and the function that does. It knows neither
the zoo nor the command line. ``zoo.import_checkpoint`` makes a module of what it returns.
"""

from __future__ import annotations

import inspect
from pathlib import Path

from lightning_gans.errors import InputError, closest
from lightning_gans.importers import melgan_neurips, melgan_seungwonpark, parallel_wavegan, wavegan
from lightning_gans.importers.imported import Imported, Importer

MODULES = (melgan_neurips, melgan_seungwonpark, parallel_wavegan, wavegan)
IMPORTERS: dict[str, Importer] = {module.IMPORTER.name: module.IMPORTER for module in MODULES}
"""By the name of the format."""

__all__ = ["IMPORTERS", "Imported", "Importer", "read_checkpoint"]


def read_checkpoint(format: str, checkpoint: Path, **options: Path | int | None) -> Imported:
    """Read another project's checkpoint.

    Args:
        format: A name of ``IMPORTERS``.
        checkpoint: What that importer takes.
        options: None where it is not given: ``config``, the settings of the training, where a file of its own holds
            them; ``stats``, statistics of the training data, for papers that need them; ``length`` T, where the
            checkpoint leaves it open; ``sample_rate`` in Hz, where no file tells it.

    Raises:
        InputError: for an unknown format, an option that it has no use for, and as ``Importer``.
    """
    if format not in IMPORTERS:
        raise InputError(f"there is no format {format}; {closest(format, list(IMPORTERS))}")
    read = IMPORTERS[format].read
    given = {option: value for option, value in options.items() if value is not None}
    for option, value in given.items():
        if option not in inspect.signature(read).parameters:
            raise InputError(
                f"--{option} is {value}, and {format} has no use for it; leave it out to read {checkpoint}"
            )
    return read(checkpoint, **given)
