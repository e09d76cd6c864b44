"""Released models by name: ``zoo.load("cgan_mnist").sample(64, label=7)``.

A folder is the registry: a card ``<paper>_<dataset>.md`` and a weights file beside it make an entry.
"""

from lightning_gans.zoo.cards import Card
from lightning_gans.zoo.gallery import page
from lightning_gans.zoo.imports import import_checkpoint, import_entry
from lightning_gans.zoo.loading import fetch, init_from, load
from lightning_gans.zoo.push import push
from lightning_gans.zoo.release import Exported, config, export, verify
from lightning_gans.zoo.sources import card, local, names
from lightning_gans.zoo.tables import listing, results_table, write_readme

__all__ = [
    "Card",
    "Exported",
    "card",
    "config",
    "export",
    "fetch",
    "import_checkpoint",
    "import_entry",
    "init_from",
    "listing",
    "load",
    "local",
    "names",
    "page",
    "push",
    "results_table",
    "verify",
    "write_readme",
]
