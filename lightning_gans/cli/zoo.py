"""The commands ``zoo show``, ``zoo verify`` and ``zoo export``; the others are functions of ``lightning_gans.zoo``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lightning_gans import zoo
from lightning_gans.errors import InputError
from lightning_gans.files.documents import read_text


def show(name: str) -> str:
    """Print a model's card, and where its weights are.

    Args:
        name: A model of the zoo.

    Raises:
        InputError: for an unknown name, or a card with a wrong field.
    """
    card = zoo.card(name)
    weights = zoo.local(card) or f"not on this machine; url: {card.url}"
    return f"{read_text(card.path).rstrip()}\n\nweights: {weights}"


def verify() -> None:
    """Check every card and the hash of every weights file; exit with 1 if one is wrong.

    Raises:
        SystemExit: 1 if there is a problem.
    """
    problems = zoo.verify()
    print(*problems, f"{len(zoo.names())} models, {len(problems)} problems", sep="\n")
    if problems:
        raise SystemExit(1)


def export(
    checkpoint: str,
    *,
    output: Path,
    format: Literal["safetensors", "onnx", "torch"] = "safetensors",
    name: str | None = None,
    float32: bool = False,
) -> str:
    """Make a weights file and the skeleton of its card, or a graph for other runtimes.

    Args:
        checkpoint: A checkpoint of fit; for a graph also a model of the zoo, or a .safetensors file.
        output: Folder, made if need be.
        format: safetensors: weights file and card, for this package; onnx: a graph for onnxruntime and others; torch:
            a .pt2 file for torch.export.load.
        name: <paper>_<dataset>, or any file name for a graph; the checkpoint's file name when not given.
        float32: Do not store matrices and kernels as float16, as graphs never do.

    Returns:
        The files that were written.

    Raises:
        InputError: as ``zoo.export`` and ``export_graph``.
    """
    if format == "safetensors":
        return str(zoo.export(checkpoint, output, name, half=not float32))
    name = name or Path(checkpoint).stem
    if Path(name).name != name:
        raise InputError(f"--name is {name}; expected a file name without a folder, which --output gives")
    from lightning_gans.zoo.graphs import SUFFIXES, export_graph

    file = output / f"{name}{SUFFIXES[format]}"
    graph = export_graph(zoo.load(checkpoint), file)
    return f"{file} ({file.stat().st_size / 1e6:.1f} MB)\n{graph}"
