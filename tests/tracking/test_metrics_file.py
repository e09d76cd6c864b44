"""``metrics.csv`` beside a run."""

import csv
import os
from pathlib import Path

import pytest
import wandb
from helpers import tiny_runs
from helpers.small_disk import fill, small_disk
from lightning.pytorch.loggers import CSVLogger, WandbLogger

from lightning_gans.errors import InputError
from lightning_gans.tracking import metrics_file
from lightning_gans.tracking.metrics_file import MetricsFile, WriteMetrics
from lightning_gans.tracking.recorded import read_rows


def row(updates: int, **values: float) -> dict[str, float]:
    return {"generator_updates": float(updates), "samples_seen": 16.0 * updates, **values}


def record(folder: Path, updates: range, name: str, seen: float | None = None) -> None:
    """A part of a run, which begins anew or behind so many examples."""
    file = MetricsFile(folder)
    file.cut(16.0 * (updates[0] - 1))
    for n in updates:
        file.log_metrics(row(n, **{name: n / 10}))
    file.finalize("success")


def test_columns_may_change(tmp_path):
    file = MetricsFile(tmp_path)
    written = [row(1, a=0.1), row(2, a=1e-30, b=float("inf")), row(2, c=-3.0), row(3, a=1 / 3)]
    for each in written:
        file.log_metrics(each)
    assert read_rows(file.path) == written
    with file.path.open(newline="") as text:
        assert next(csv.reader(text)) == ["generator_updates", "samples_seen", "a", "b", "c"]
    assert os.listdir(tmp_path) == ["metrics.csv"]


def test_what_comes_again_counts_once(tmp_path):
    """A run that was killed after 6 updates goes on from the checkpoint of the third, and again behind its end."""
    record(tmp_path, range(1, 7), "first")
    record(tmp_path, range(4, 6), "second")
    record(tmp_path, range(6, 8), "first")
    parts = [(row["generator_updates"], "first" in row) for row in read_rows(tmp_path / "metrics.csv")]
    assert parts == [(1, True), (2, True), (3, True), (4, False), (5, False), (6, True), (7, True)]


def test_nothing_is_kept_of_a_start_that_left_no_checkpoint(tmp_path):
    folder = tmp_path / "lightning_logs" / "mine"
    record(folder, range(1, 7), "dead")
    logger = WandbLogger(save_dir=tmp_path, mode="offline", id="mine")
    tiny_runs.fit(tiny_runs.build("gan"), callbacks=[WriteMetrics()], logger=logger)
    wandb.finish()
    rows = read_rows(folder / "metrics.csv")
    assert [row["generator_updates"] for row in rows if "train/loss_g" in row] == [1, 2]
    assert not any("dead" in row for row in rows)


def test_each_row_is_there_at_once(tmp_path):
    """So that a kill loses nothing; in one piece, so that a reader never sees a part of it."""
    file = MetricsFile(tmp_path)
    for n in (1, 2, 3):
        file.log_metrics(row(n))
        assert [each["generator_updates"] for each in read_rows(file.path)] == [*range(1, n + 1)]


@pytest.mark.parametrize("end", ["3.0,4", "3.0", "3.0,48.0,0.12"])
def test_a_line_that_is_cut_short_is_left_out(end, tmp_path):
    record(tmp_path, range(1, 3), "a")
    path = tmp_path / "metrics.csv"
    path.write_text(path.read_text() + end)
    assert [row["generator_updates"] for row in read_rows(path)] == [1, 2]
    record(tmp_path, range(3, 4), "a")
    assert [row["a"] for row in read_rows(path)] == [0.1, 0.2, 0.3]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    file = MetricsFile(tmp_path / "file" / "run")
    with pytest.raises(InputError, match=r"metrics.csv\S* cannot be written \(Not a directory\).*--run.folder"):
        file.log_metrics(row(1))


@pytest.mark.parametrize("logger", [WandbLogger, CSVLogger])
def test_whatever_logger_there_is(logger, tmp_path):
    """Lightning's own for W&B gets a file beside it, and a CSVLogger has one already."""
    options = {"mode": "offline", "id": "mine"} if logger is WandbLogger else {}
    tiny_runs.fit(tiny_runs.build("gan"), callbacks=[WriteMetrics()], logger=logger(save_dir=tmp_path, **options))
    wandb.finish()
    (path,) = tmp_path.rglob("metrics.csv")
    assert path.parent == tmp_path / "lightning_logs" / ("mine" if options else "version_0")
    assert [row["generator_updates"] for row in read_rows(path) if "train/loss_g" in row] == [1, 2]


def test_a_disk_that_is_full_in_between_costs_rows_and_no_training(tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(metrics_file, "rank_zero_warn", said.append)
    with small_disk(tmp_path / "disk", 64) as disk:
        file = MetricsFile(disk)
        file.log_metrics({"a": 1.0})
        fill(disk)
        for number in range(2, 1500):  # beyond the page that the file has
            file.log_metrics({"a": float(number)})
        assert len(said) == 1 and "metrics.csv cannot be written (No space left on device)" in said[0]
        (disk / "filling").unlink()
        file.log_metrics({"a": -1.0, "b": 2.0})
        file.finalize("")
        values = [row["a"] for row in read_rows(disk / "metrics.csv")]
    assert values == [*map(float, range(1, len(values))), -1.0] and 1 < len(values) < 1499
