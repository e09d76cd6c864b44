"""Texts, JSON and YAML, which is data here: plain values, of a bounded depth, and a bounded size without aliases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lightning_gans.files.reading import AGAIN, TEXT, Damaged, content, reading

DEPTH, NODES = 64, 100_000
"""Of a document: lists in lists, and values with each alias counted as what it stands for."""
TAG = "tag:yaml.org,2002:"
PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")
BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class PlainLoader(BASE):
    """Numbers, truth values, texts and null, in lists and mappings; a date stays the text that it is."""

    yaml_constructors = {
        tag: make
        for tag, make in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.removeprefix(TAG) in PLAIN
    }
    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in rules if tag != f"{TAG}timestamp"]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_text(path: Path, limit: int = TEXT, way_out: str = AGAIN) -> str:
    """A file of UTF-8.

    Raises:
        Damaged: for a file that cannot be read, is larger than ``limit`` bytes, or in another encoding.
    """
    data = content(path, limit, way_out)
    with reading(path, "a text in UTF-8", way_out):
        return data.decode()


def read_json(path: Path, limit: int = TEXT, way_out: str = AGAIN) -> Any:
    """What a JSON file holds.

    Raises:
        Damaged: as ``read_text``, and for what is no JSON.
    """
    text = read_text(path, limit, way_out)
    with reading(path, "JSON", way_out):
        return json.loads(text)


def read_yaml(path: Path, way_out: str = "correct it") -> Any:
    """What a YAML file holds.

    Raises:
        Damaged: as ``read_text`` and ``parse_yaml``.
    """
    return parse_yaml(read_text(path, way_out=way_out), path, way_out)


def parse_yaml(text: str, path: str | Path, way_out: str = "correct it") -> Any:
    """What a text of YAML says, with dates as texts.

    Args:
        text: One document.
        path: Where it is from, for messages.
        way_out: The end of the message.

    Raises:
        Damaged: for what is no YAML or more than plain values, and for one too deep or too large.
    """
    found = parse_all_yaml(text, path, way_out)
    if len(found) > 1:
        raise Damaged(path, f"{len(found)} documents, where one is expected", way_out)
    return found[0] if found else None


def parse_all_yaml(text: str, path: str | Path, way_out: str = "correct it") -> list[Any]:
    """What each document of a text says; see ``parse_yaml``."""
    try:
        with reading(path, "YAML of plain values", way_out):
            _require_bounded(text)
            return list(yaml.load_all(text, PlainLoader))
    except Damaged as error:
        if isinstance(cause := error.__cause__, yaml.MarkedYAMLError) and cause.problem_mark:
            place = f"line {cause.problem_mark.line + 1}: {cause.problem}"
            raise Damaged(path, f"not YAML of plain values; {place}", way_out) from cause
        raise


def _require_bounded(text: str) -> None:
    """Count what stands in a document, before anything is made of it.

    Raises:
        ValueError: for more than ``DEPTH`` or ``NODES``, and for a value that holds itself.
    """
    sizes: dict[str | None, int | None] = {}  # of what has an anchor; None until it ends
    open_ones: list[tuple[str | None, int]] = [(None, 0)]
    for event in _events(text):
        size = 1
        if isinstance(event, yaml.AliasEvent):
            if sizes.get(event.anchor, 0) is None:
                raise ValueError(f"*{event.anchor} stands for what it is in")
            size = sizes.get(event.anchor) or 1
        elif isinstance(event, yaml.CollectionStartEvent):
            open_ones.append((event.anchor, 0))
            size = 0
            if event.anchor:
                sizes[event.anchor] = None
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_ones.pop()
            size += 1
            if anchor:
                sizes[anchor] = size
        elif isinstance(event, yaml.ScalarEvent):
            if event.anchor:
                sizes[event.anchor] = 1
        else:
            continue
        anchor, before = open_ones[-1]
        open_ones[-1] = (anchor, before + size)
        if len(open_ones) > DEPTH:
            raise ValueError(f"more than {DEPTH} lists or mappings in each other")
        if before + size > NODES:
            raise ValueError(f"more than {NODES} values, with aliases written out")


def _events(text: str) -> Iterator[Any]:
    yield from yaml.parse(text, BASE)
