"""The zoo at a glance: for the terminal and for the README."""

from __future__ import annotations

from pathlib import Path

from lightning_gans.errors import InputError, one_line
from lightning_gans.files.documents import read_text
from lightning_gans.files.writing import write_whole
from lightning_gans.zoo import sources
from lightning_gans.zoo.cards import Card, Result

BEGIN, END = "<!-- zoo:begin -->", "<!-- zoo:end -->"
SHOWN = 3
"""Metrics of each model in the README's table, the first ones of its card."""
VALUES = ("metric", "paper", "ours, paper's recipe", "ours, released", "trivial baseline", "real data")
"""Heads of the columns."""


def cards() -> list[Card]:
    """Every card, by name."""
    return [sources.card(name) for name in sources.names()]


def listing() -> str:
    """Return a table of all models: name, paper, data, size, metrics; below it what is wrong with other cards."""
    rows = [["NAME", "PAPER", "DATA", "MB", "METRICS (the paper's)"]]
    problems = []
    for name in sources.names():
        try:
            card = sources.card(name)
        except InputError as error:
            problems.append(f"left out: {one_line(error)}")
            continue
        values = ", ".join(
            f"{result.metric} {_reproduced(result)}" + (f" ({_text(result.reported)})" if result.reported else "")
            for result in card.results
        )
        rows.append([card.name, card.paper.arxiv, card.data.name, _megabytes(card), values])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join([*("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows), *problems])


def results_table() -> str:
    """A markdown table with a row per metric, ``SHOWN`` of each model; an arrow says whether more or less is better."""
    lines = [f"| model | {' | '.join(VALUES)} |", "|---" * (len(VALUES) + 1) + "|"]
    for card in cards():
        model = f"[`{card.name}`](zoo/{card.name}.md)"
        for result in card.results[:SHOWN]:
            metric, *figures = values(result)
            cells = [model, metric.replace(result.metric, f"`{result.metric}`", 1), *figures]
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
            model = ""
    return "\n".join(lines)


def values(result: Result) -> list[str]:
    """The texts of a result under the heads of ``VALUES``; an arrow says whether more or less is better."""
    from lightning_gans.metrics import METRICS

    arrow = {None: "", True: " ↑", False: " ↓"}[getattr(METRICS.get(result.metric), "higher_is_better", None)]
    figures = (result.reported, result.paper_recipe, result.reproduced, result.baseline, result.real)
    return [f"{result.metric}{f', {result.unit}' if result.unit else ''}{arrow}", *map(_text, figures)]


def write_readme(file: Path = Path("README.md")) -> str:
    """Write the table of results into the README.

    Args:
        file: In which the table stands between two marks.

    Returns:
        What was done.

    Raises:
        InputError: if there is no such file, or no place for the table in it.
    """
    if not file.is_file():
        raise InputError(f"there is no file {file}; run this in the checkout, or give --file")
    before, begin, rest = read_text(file).partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end or BEGIN in rest or END in before + after:
        raise InputError(f"{file} has no place for the table; expected one {BEGIN} and below it one {END}")
    write_whole(file, f"{before}{begin}\n{results_table()}\n{end}{after}")
    return f"the table of {len(sources.names())} models is in {file}"


def _reproduced(result: Result) -> str:
    return f"{_text(result.reproduced)} {result.unit}" if result.unit else _text(result.reproduced)


def _text(value: float | str | None) -> str:
    return "-" if value is None else str(value)


def _megabytes(card: Card) -> str:
    path = sources.local(card)
    return f"{path.stat().st_size / 1e6:.1f}" if path else "-"
