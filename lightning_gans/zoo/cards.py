"""A card: what a released model is, how it was made and what it reaches. YAML front matter, then prose."""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from lightning_gans.errors import InputError
from lightning_gans.files.documents import parse_yaml, read_text
from lightning_gans.files.records import finite, shown, typed

NAME = r"[a-z0-9]+(_[a-z0-9]+)+"
PATTERNS = {
    "name": (NAME, "<paper>_<dataset> in small letters, digits and _"),
    "config": (r"\w[\w.-]*", "a config's name without a folder"),
    "weights": (r"[\w.-]+\.(safetensors|pt|pth|tar|bin)", "a file's name without a folder, best a .safetensors"),
    "sha256": (r"[0-9a-f]{64}", "64 hexadecimal digits"),
    "url": (r"(https|hf|wandb|pypi)://.+", "https://, hf://, wandb:// or pypi://"),
    "paper.arxiv": (r"\d{4}\.\d{4,5}", "such as '1406.2661'"),
    "results[].protocol": (r".*\d.*", "the number of samples in it"),
    "picture": (r"(?!/|.*\.\.).+", "a file beside the card"),
}
"""What the texts of fields look like, and how to say so."""


@dataclass(frozen=True)
class Paper:
    """Title and arXiv number (``1406.2661``)."""

    title: str
    arxiv: str


@dataclass(frozen=True)
class Data:
    """What the model was trained on."""

    name: str
    licence: str


@dataclass(frozen=True)
class Result:
    """The value of one metric.

    Args:
        metric: As it is logged, without ``test/``.
        reproduced: Of the released weights.
        protocol: How it was measured, with the number of samples.
        reported: The paper's; None where the paper has none.
        paper_recipe: Of a training by the paper's recipe, where that of the released weights is another.
        baseline: Of a trivial method, which the protocol names.
        unit: Such as ``nats``.
        real: Of real data in place of generated.
    """

    metric: str
    reproduced: float | str
    protocol: str
    reported: float | str | None = None
    paper_recipe: float | str | None = None
    baseline: float | str | None = None
    unit: str | None = None
    real: float | str | None = None


@dataclass(frozen=True)
class Card:
    """A released model.

    Args:
        name: ``<paper>_<dataset>``, the file's stem.
        model: Class name in ``lightning_gans.models``.
        config: Name of the config that made it.
        weights: File name in the card's folder; of this package, or of a format that ``zoo import`` knows.
        sha256: Of the weights file, 64 hexadecimal digits.
        paper: Whose model it is.
        data: What it was trained on, and under which licence.
        licence: Of the weights.
        results: Reported beside reproduced.
        command: What trained it.
        hours: Training time.
        hardware: Where that was.
        path: The card's file.
        text: The prose below the front matter.
        bytes: Of the weights file; no download becomes larger.
        url: Where the weights are when they are not beside the card.
        picture: File relative to the card.
        formerly: Names that the model was released under before, which still find it.
    """

    name: str
    model: str
    config: str
    weights: str
    sha256: str
    paper: Paper
    data: Data
    licence: str
    results: tuple[Result, ...]
    command: str
    hours: float
    hardware: str
    path: Path
    text: str
    bytes: int | None = None
    url: str | None = None
    picture: str | None = None
    formerly: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Card:
        """Read and check a card.

        Raises:
            InputError: for a field that is missing, unknown or wrong; it names the card and the field.
        """
        given, text = split(path)
        if absent := missing(given, text):
            raise InputError(f"card {path.stem}: nothing is given for {', '.join(absent)}; fill it in, in {path}")
        try:
            card = typed(cls, given | {"path": path, "text": text}, check=_check)
            if card.name != path.stem:
                raise ValueError(f"name is {card.name}; expected the file's stem, {path.stem}")
            if card.hours <= 0:
                raise ValueError(f"hours is {card.hours}; expected more than 0")
        except ValueError as error:
            raise InputError(f"card {path.stem}: {error}; correct it in {path}") from None
        return card


def split(path: Path) -> tuple[dict[str, Any], str]:
    """The front matter of a card, unchecked, and its prose."""
    content = read_text(path)
    match = re.match(r"---\n(.*?\n)---\n(.*)", content, re.DOTALL)
    if not match:
        raise InputError(f"card {path.stem}: {path} does not begin with front matter between two lines of ---")
    given = parse_yaml(match[1], f"card {path.stem}: the front matter of {path}")
    if not isinstance(given, dict):
        raise InputError(f"card {path.stem}: the front matter of {path} is not a mapping of fields")
    return given, match[2].strip()


def missing(given: dict[str, Any], text: str) -> list[str]:
    """Required fields that are absent or null, as ``results[0].metric``; ``text`` when there is no prose."""
    prose = re.sub(r"(?m)^#.*$", "", text).strip()
    absent = _missing(Card, given | {"path": "given", "text": prose})
    return [name if name != "text" else "text (below the ---)" for name in absent]


def required(kind: Any) -> dict[str, Any]:
    """Types of a dataclass's fields without a default, by name."""
    types = get_type_hints(kind)
    return {field.name: types[field.name] for field in fields(kind) if field.default is MISSING}


def _missing(kind: Any, given: dict[str, Any], prefix: str = "") -> list[str]:
    absent: list[str] = []
    for name, expected in required(kind).items():
        value, where = given.get(name), prefix + name
        if value in (None, "", []):
            absent.append(where)
        elif isinstance(value, dict) and is_dataclass(expected):
            absent += _missing(expected, value, f"{where}.")
        elif isinstance(value, list) and get_origin(expected) is tuple:
            for index, item in enumerate(item for item in value if isinstance(item, dict)):
                absent += _missing(get_args(expected)[0], item, f"{where}[{index}].")
    return absent


def _check(where: str, value: Any) -> None:
    """The look of a text, and numbers that are numbers.

    Raises:
        ValueError: for another one.
    """
    finite(where, value)
    pattern, looks = PATTERNS.get(re.sub(r"\[\d+\]", "[]", where), (".*", ""))
    if isinstance(value, str) and not re.fullmatch(pattern, value, re.DOTALL):
        raise ValueError(f"{where} is {shown(value)}; expected {looks}")
