"""The faster forms of networks on CPUs, where the package has them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from torch import nn

FORMS = "lightning_gans.cpu"
"""Imported by its name when a model is loaded or a run begins: it knows the papers, and the papers do not know it."""


def use_cpu_forms(module: nn.Module) -> None:
    """Let the networks of a module that have a faster form on CPUs take it; see ``lightning_gans.cpu``."""
    if find_spec(FORMS):
        import_module(FORMS).put_in_place(module)
