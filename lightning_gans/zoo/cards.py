"""A card: what a released model is, how it was made and what it reaches. YAML front matter, then prose."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from lightning_gans.errors import InputError, closest, one_line

NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")
"""<paper>_<dataset>"""
URL_SCHEMES = ("https://", "hf://", "wandb://")

TEXT, NUMBER, VALUE = (str,), (int, float), (str, int, float)
Schema = dict[str, Any]
SCHEMA: Schema = {
    "name": TEXT,
    "model": TEXT,
    "config": TEXT,
    "weights": TEXT,
    "sha256": TEXT,
    "url": TEXT,
    "paper": {"title": TEXT, "arxiv": TEXT},
    "data": {"name": TEXT, "licence": TEXT},
    "licence": TEXT,
    "results": [
        {"metric": TEXT}
        | dict.fromkeys(("reported", "paper_recipe", "reproduced", "baseline", "real"), VALUE)
        | {"unit": TEXT, "protocol": TEXT}
    ],
    "command": TEXT,
    "hours": NUMBER,
    "hardware": TEXT,
    "picture": TEXT,
}
OPTIONAL = {"url", "picture", "reported", "paper_recipe", "baseline", "unit", "real"}


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
        weights: File name in the card's folder.
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
        url: Where the weights are when they are not beside the card.
        picture: File relative to the card.
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
    url: str | None = None
    picture: str | None = None

    @classmethod
    def read(cls, path: Path) -> Card:
        """Read and check a card.

        Raises:
            InputError: for a field that is missing, unknown or wrong; it names the card and the field.
        """
        fields, text = split(path)
        where = f"card {path.stem}"
        wrong = _wrong(fields, SCHEMA)
        if wrong:
            raise InputError(f"{where}: {wrong}; correct it in {path}")
        absent = missing(fields, text)
        if absent:
            raise InputError(f"{where}: nothing is given for {', '.join(absent)}; fill it in, in {path}")
        given = {field: value for field, value in fields.items() if value is not None}
        card = cls(
            **given
            | {
                "paper": Paper(**fields["paper"]),
                "data": Data(**fields["data"]),
                "results": tuple(Result(**result) for result in fields["results"]),
            },
            path=path,
            text=text,
        )
        card._check_values(where)
        return card

    def _check_values(self, where: str) -> None:
        for ok, field, value, expected in [
            (self.name == self.path.stem, "name", self.name, f"the file's stem, {self.path.stem}"),
            (NAME.fullmatch(self.name), "name", self.name, "<paper>_<dataset> in small letters, digits and _"),
            (
                re.fullmatch(r"[\w.-]+\.safetensors", self.weights),
                "weights",
                self.weights,
                "a .safetensors file's name without a folder",
            ),
            (re.fullmatch(r"[0-9a-f]{64}", self.sha256), "sha256", self.sha256, "64 hexadecimal digits"),
            (re.fullmatch(r"\d{4}\.\d{4,5}", self.paper.arxiv), "paper.arxiv", self.paper.arxiv, "such as '1406.2661'"),
            (self.hours > 0, "hours", self.hours, "more than 0"),
            (self.url is None or self.url.startswith(URL_SCHEMES), "url", self.url, " or ".join(URL_SCHEMES)),
            (self.picture is None or _inside(self.picture), "picture", self.picture, "a file beside the card"),
        ]:
            if not ok:
                raise InputError(f"{where}: {field} is {value}; expected {expected}; correct it in {self.path}")
        for index, result in enumerate(self.results):
            if not re.search(r"\d", result.protocol):
                raise InputError(
                    f"{where}: results[{index}].protocol is '{result.protocol}'; expected the number of samples in it;"
                    f" correct it in {self.path}"
                )


def split(path: Path) -> tuple[dict[str, Any], str]:
    """The front matter of a card, unchecked, and its prose."""
    content = path.read_text(encoding="utf-8")
    match = re.match(r"---\n(.*?\n)---\n(.*)", content, re.DOTALL)
    if not match:
        raise InputError(f"card {path.stem}: {path} does not begin with front matter between two lines of ---")
    try:
        fields = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        problem = one_line(error)
        raise InputError(f"card {path.stem}: the front matter of {path} is not valid YAML: {problem}") from None
    if not isinstance(fields, dict):
        raise InputError(f"card {path.stem}: the front matter of {path} is not a mapping of fields")
    return fields, match[2].strip()


def missing(fields: dict[str, Any], text: str) -> list[str]:
    """Required fields that are absent or null, as ``results[0].metric``; ``text`` when there is no prose."""
    return _missing(fields, SCHEMA) + ([] if re.sub(r"(?m)^#.*$", "", text).strip() else ["text (below the ---)"])


def _missing(fields: dict[str, Any], schema: Schema, prefix: str = "") -> list[str]:
    absent: list[str] = []
    for field, kind in schema.items():
        value = fields.get(field)
        if field in OPTIONAL:
            continue
        if value is None or value == []:
            absent.append(prefix + field)
        elif isinstance(kind, dict):
            absent += _missing(value, kind, f"{prefix}{field}.")
        elif isinstance(kind, list):
            for index, item in enumerate(value):
                absent += _missing(item, kind[0], f"{prefix}{field}[{index}].")
    return absent


def _wrong(fields: dict[str, Any], schema: Schema, prefix: str = "") -> str | None:
    """What is wrong with the first field that has a wrong name or type; nulls pass."""
    for field, value in fields.items():
        if field not in schema:
            return f"there is no field {prefix}{field}; {closest(str(field), list(schema))}"
        kind = schema[field]
        if value is None:
            continue
        if isinstance(kind, dict):
            problem = _wrong(value, kind, f"{prefix}{field}.") if isinstance(value, dict) else _expected(field, kind)
        elif isinstance(kind, list):
            if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
                return f"{prefix}{field} is {value!r}; expected a list of entries with {', '.join(kind[0])}"
            problems = (_wrong(item, kind[0], f"{prefix}{field}[{index}].") for index, item in enumerate(value))
            problem = next(filter(None, problems), None)
        elif isinstance(value, bool) or not isinstance(value, kind):
            expected = (
                "a number" if kind is NUMBER else "text; put it in quotes" if kind is TEXT else "a number or text"
            )
            problem = f"{prefix}{field} is {value!r}; expected {expected}"
        else:
            problem = None
        if problem:
            return problem
    return None


def _expected(field: str, kind: Schema) -> str:
    return f"{field} is no mapping; expected the fields {', '.join(kind)}"


def _inside(relative: str) -> bool:
    path = PurePosixPath(relative)
    return not path.is_absolute() and ".." not in path.parts
