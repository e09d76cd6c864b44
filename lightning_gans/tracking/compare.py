"""``compare``: runs side by side in one HTML page that needs no account, no server and no network."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from lightning_gans.errors import InputError, one_line
from lightning_gans.files.writing import write_whole
from lightning_gans.tracking.recorded import AXIS, Run, read_run

AXES = {AXIS: "generator updates", "samples_seen": "training examples seen"}
POINTS, OF_ALL, LEAST = 2000, 20_000, 100
"""Of a curve, of all curves of a plot, and of each of many runs; more are thinned out evenly, the last one kept."""
KINDS = ("val/", "test/", "train/loss", "train/", "perf/")
"""What is shown, in this order."""
CLIPS = 4
"""Sounds of a run."""


def compare(runs: list[Path], output: Path = Path("compare.html")) -> None:
    """Lay runs side by side in a page for the browser.

    The page has the metrics, configs, curves, image grids and sounds of the runs, from what they have recorded on this
    machine, with or without a W&B account. It names the folders that cannot be read.

    Example:
        lightning-gans compare runs/lightning_gans/* --output compare.html

    Args:
        runs: Folders of runs, such as runs/lightning_gans/NAME, and logs, such as zoo/specgan_fsdd.csv.
        output: The page, a .html file, which is replaced.

    Raises:
        InputError: if no folder holds a run, and for another ending of the output.
    """
    if output.suffix != ".html":
        raise InputError(f"--output is {output}; expected a .html file")
    read, problems = [], []
    for folder in runs:
        try:
            read.append(read_run(folder))
        except InputError as error:
            if len(runs) == 1:
                raise
            problems.append(one_line(error))
    if not read:
        raise InputError(f"none of the {len(runs)} folders holds a run: {problems[0]}")
    write_whole(output, page(read, problems))
    names = ", ".join(run.name for run in read)
    print(f"{output} ({output.stat().st_size / 1e6:.1f} MB): {names}", *problems, sep="\n")


def page(runs: Sequence[Run], problems: Sequence[str] = ()) -> str:
    """The whole page: final values, what the configs differ in, curves, pictures and sounds."""
    from jinja2 import Environment, PackageLoader
    from plotly.offline import get_plotlyjs

    names = sorted({name for run in runs for row in run.rows for name in row if name.startswith(KINDS)}, key=_order)
    pages = Environment(loader=PackageLoader("lightning_gans.tracking", "."), autoescape=True)
    return pages.get_template("compare.html").render(
        runs=runs,
        problems=problems,
        plotly=get_plotlyjs(),
        metrics=[(name, [summary(run, name) for run in runs]) for name in names if not name.startswith("train/")],
        options=differing([run.options for run in runs]),
        curves=[_curves(runs, name, f"curve-{index}") for index, name in enumerate(names)],
        pictures=[_data(run.pictures[-1], "image/png") if run.pictures else None for run in runs],
        sounds=[[(path.stem, _data(path, "audio/wav")) for path in run.sounds[:CLIPS]] for run in runs],
        references=[[(path.stem, _data(path, "audio/wav")) for path in run.references[:CLIPS]] for run in runs],
        axis=AXIS,
    )


def summary(run: Run, name: str) -> dict[str, tuple[float, float]] | None:
    """A metric's last value, its smallest and its largest, each with the generator updates at which it was taken."""
    points = [(row[name], row[AXIS]) for row in run.rows if name in row]
    if not points:
        return None
    known = [point for point in points if not math.isnan(point[0])] or points  # NaN is neither less nor more
    return {"last": points[-1], "min": min(known), "max": max(known, key=lambda point: (point[0], -point[1]))}


def differing(options: Sequence[dict[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Options that are not the same in all runs, but for the names of the runs themselves."""
    names = sorted({name for each in options for name in each if not name.startswith("run.")})
    rows = [(name, [each.get(name, "-") for each in options]) for name in names]
    return [(name, values) for name, values in rows if any(value != values[0] for value in values)]


def _order(name: str) -> tuple[int, str]:
    return next(i for i, kind in enumerate(KINDS) if name.startswith(kind)), name


def _curves(runs: Sequence[Run], name: str, place: str) -> str:
    """The plot of one name, in which a menu changes the axis. Plotly takes some tags in texts for HTML."""
    import plotly.graph_objects as go

    plot, along = go.Figure(), dict[str, list[list[float | None]]]((axis, []) for axis in AXES)
    points = min(POINTS, max(LEAST, OF_ALL // len(runs)))
    for run in runs:
        rows = thinned([row for row in run.rows if name in row], points)
        for axis, xs in along.items():
            xs.append([row.get(axis) for row in rows])
        lines = "lines+markers" if len(rows) < 50 else "lines"
        plot.add_scatter(x=along[AXIS][-1], y=[row[name] for row in rows], name=escape(run.name), mode=lines)
    buttons = [
        {"label": title, "method": "update", "args": [{"x": along[axis]}, {"xaxis.title.text": title}]}
        for axis, title in AXES.items()
        if any(x is not None for xs in along[axis] for x in xs)
    ]
    plot.update_layout(
        title=escape(name),
        template="plotly_white",
        height=380,
        margin={"l": 60, "r": 20, "t": 70, "b": 50},
        xaxis_title=AXES[AXIS],
        legend={"orientation": "h", "y": -0.25},
        showlegend=True,
        updatemenus=[{"buttons": buttons, "x": 1, "xanchor": "right", "y": 1.18}] if len(buttons) > 1 else [],
    )
    return plot.to_html(full_html=False, include_plotlyjs=False, div_id=place)


def thinned(rows: list[Any], points: int = POINTS) -> list[Any]:
    """At most so many of them, evenly, and the last."""
    step = -(-len(rows) // points)
    return rows[::-1][::step][::-1] if step > 1 else rows


def _data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
