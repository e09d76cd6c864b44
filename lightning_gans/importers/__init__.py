"""Other projects' checkpoint files, read into the papers of this package: one file per project.

An importer reads; it knows neither the zoo nor the command line. ``zoo.import_checkpoint`` makes a module of what it
returns.
"""

from __future__ import annotations

from lightning_gans.importers import melgan_neurips, melgan_seungwonpark, parallel_wavegan, wavegan
from lightning_gans.importers.imported import Imported, Importer

IMPORTERS: dict[str, Importer] = {
    "melgan_neurips": melgan_neurips.read,
    "melgan_seungwonpark": melgan_seungwonpark.read,
    "parallel_wavegan": parallel_wavegan.read,
    "wavegan": wavegan.read,
}
"""By the name of the project."""

__all__ = ["IMPORTERS", "Imported", "Importer"]
