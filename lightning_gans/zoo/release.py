"""From a training checkpoint to a released file and the skeleton of its card; and the check of what is released."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

import lightning_gans
from lightning_gans.errors import InputError
from lightning_gans.files.writing import write_whole, written
from lightning_gans.zoo import assets, sources
from lightning_gans.zoo.cards import NAME, Card, Data, missing, required, split
from lightning_gans.zoo.loading import build, fetch
from lightning_gans.zoo.weights import Weights, halved, not_finite, write


class Exported(NamedTuple):
    """Files that were written, and the fields of the card that a person has to fill in."""

    weights: Path
    card: Path
    missing: list[str]

    def __str__(self) -> str:
        size = self.weights.stat().st_size / 1e6
        fill_in = f": fill in {', '.join(self.missing)}" if self.missing else ""
        return f"{self.weights} ({size:.1f} MB)\n{self.card}{fill_in}"


def export(checkpoint: str | Path, output_dir: str | Path, name: str | None = None, half: bool = True) -> Exported:
    """Write the networks that the model's class releases, and a card with what is known.

    Args:
        checkpoint: A ``.ckpt`` that ``fit`` has written.
        output_dir: Made if need be.
        name: ``<paper>_<dataset>``; the checkpoint's stem when not given.
        half: Store matrices and kernels as float16.

    Raises:
        InputError: for a checkpoint that cannot be loaded or has weights that are not finite, a bad name, or a card
            that exists and describes other weights.
    """
    name = checked_name(name or Path(checkpoint).stem)
    weights = fetch(checkpoint)
    module = build(weights)
    released = tuple(getattr(module, "released_networks", ("generator",)))
    absent = [network for network in released if network not in weights.networks]
    if absent:
        raise InputError(f"{checkpoint} lacks {', '.join(absent)}, which a released {weights.model} needs")
    state = {key: value for key, value in weights.state.items() if key.partition(".")[0] in released or "." not in key}
    if half:
        state = halved(state)
    if wrong := not_finite(state):
        raise InputError(
            f"{checkpoint}: {wrong[0]} is not finite{' in float16' if half else ''}; export an earlier checkpoint"
            + (", or with --float32" if half else "")
        )
    return write_entry(replace(weights, networks=released, state=state), module, output_dir, name)


def checked_name(name: str) -> str:
    """The name, if it can name a model of the zoo."""
    if not re.fullmatch(NAME, name):
        raise InputError(f"{name} cannot name a model of the zoo; give --name <paper>_<dataset>, such as dcgan_mnist")
    return name


def write_entry(weights: Weights, module: Any, output_dir: str | Path, name: str) -> Exported:
    """Write a weights file and, where there is none, the skeleton of its card.

    Args:
        weights: What is written, but for the hyper-parameters.
        module: Built from the weights; it has the defaults of the arguments that they leave out.
        output_dir: Made if need be.
        name: ``<paper>_<dataset>``.

    Raises:
        InputError: for a card that exists and describes other weights, and where what is read would be replaced.
    """
    file, card_file = (Path(output_dir, f"{name}{suffix}") for suffix in (".safetensors", ".md"))
    if file.exists() and Path(weights.source).exists() and file.samefile(weights.source):
        raise InputError(f"{file} is the file that is read, and would be replaced; give another --output or --name")
    with written(file) as output:
        digest = write(replace(weights, hparams=arguments(module), version=lightning_gans.__version__), output)
        fields, text = split(card_file) if card_file.exists() else (_skeleton(module, name, digest, output.tell()), "")
        if fields.get("sha256") != digest:
            raise InputError(
                f"{card_file} exists and its results belong to other weights; move it away, or give another --name"
            )
        if not card_file.exists():
            front = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=120)
            write_whole(card_file, f"---\n{front}---\n")
    return Exported(file, card_file, missing(fields, text))


def verify() -> list[str]:
    """Check every card and every weights file that is on this machine.

    Returns:
        A line for each problem: a card that does not hold, a hash that differs, a file or config that is not there.
    """
    problems = []
    for name in sources.names():
        try:
            card = sources.card(name)
            path = sources.local(card)
            if path:
                sources.check(path, card)
            elif card.url is None:
                sources.locate(card)
            assets.config(card.config)
        except InputError as error:
            problems.append(str(error))
            continue
        if card.picture and not (card.path.parent / card.picture).is_file():
            problems.append(f"card {name}: there is no picture {card.path.parent / card.picture}")
    return problems


def config(name: str) -> Path:
    """The path of the config that made a model.

    Args:
        name: A model of the zoo.
    """
    return assets.config(sources.card(name).config)


def arguments(module: Any) -> dict[str, Any]:
    """A module's hyper-parameters, but for what the command line has added; defaults included."""
    accepted = inspect.signature(type(module)).parameters
    return {key: value for key, value in module.hparams.items() if key in accepted}


def _skeleton(module: Any, name: str, digest: str, size: int) -> dict[str, Any]:
    """A card's fields: what is known, and null for the others, so that a check of the card finds them."""
    fields: dict[str, Any] = {field: None for field in required(Card) if field not in ("path", "text")}
    # Each paper's file begins with its citation, the title before a comma or the address.
    doc = (inspect.getmodule(module).__doc__ or "").partition("\n\n")[0]
    citation = re.match(r"([^,(]+?)(?:,| \().*?https://arxiv\.org/abs/(\d+\.\d+)", doc, re.DOTALL)
    return fields | {
        "name": name,
        "model": type(module).__name__,
        "config": name if name in assets.config_names() else None,
        "weights": f"{name}.safetensors",
        "sha256": digest,
        "bytes": size,
        "paper": {"title": citation[1] if citation else None, "arxiv": citation[2] if citation else None},
        "data": dict.fromkeys(required(Data)),
        "results": [dict.fromkeys(("metric", "reported", "reproduced", "protocol"))],
    }
