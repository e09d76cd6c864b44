"""Runs with an account, on a stand-in for W&B's server; and what they do when it cannot be reached."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import wandb_file
from helpers.small_run import SMALL
from helpers.wandb_server import Server

from lightning_gans.cli import train as cli
from lightning_gans.tracking.recorded import read_run

pytestmark = pytest.mark.slow


def start(folder: Path, url: str, *args: str, **variables: str) -> subprocess.Popen:
    """A run that is to be recorded online."""
    dropped = ("WANDB_SERVICE", "WANDB_MODE")  # what other tests may have left
    environment = {key: value for key, value in os.environ.items() if key not in dropped} | variables
    environment |= {"PYTHONPATH": str(Path(cli.__file__).parents[2])}
    environment |= {"WANDB_API_KEY": 40 * "a", "WANDB_BASE_URL": url, "HOME": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-m", "lightning_gans", "fit", *SMALL, *args],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process: subprocess.Popen) -> str:
    try:
        return process.communicate(timeout=120)[0]
    finally:
        process.kill()


def test_a_run_is_recorded_online(tmp_path):
    with Server() as server:
        process = start(tmp_path, server.url, "--run.tags=[mine]", "--run.group=seeds")
        said = end(process)
    assert process.returncode == 0, said
    name = next((tmp_path / "runs" / "lightning_gans").iterdir()).name
    assert f"{server.url}/me/lightning_gans/runs/{name}" in said
    created = [variables for operation, variables in server.asked if operation == "UpsertBucket"]
    assert {variables["name"] for variables in created} == {name}
    assert set(created[-1]["tags"]) == {"mine", "DCGAN", "Digits"} and created[0]["groupName"] == "seeds"
    config = json.loads(created[-1]["config"])
    assert config["paper"]["value"] == "DCGAN" and config["cli"]["value"]["trainer"]["max_epochs"] == 2
    for rows in (server.lines, read_run(tmp_path / "runs" / "lightning_gans" / name).rows):
        assert [row["generator_updates"] for row in rows if "train/loss_g" in row] == [1, 2, 3, 4, 5, 6]
    assert sum(name.startswith("media/images/val/samples_") for name in server.uploaded) == 2


def test_training_goes_on_when_the_server_goes_away(tmp_path):
    with Server() as server:
        process = start(tmp_path, server.url, "--trainer.max_epochs=40", WANDB_FINISH_TIMEOUT="3")
        while process.poll() is None and not any(operation == "UpsertBucket" for operation, _ in server.asked):
            time.sleep(0.05)
    said = end(process)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    (record,) = tmp_path.glob("runs/wandb/run-*/run-*.wandb")
    updates = [row["generator_updates"] for row in wandb_file.history(record) if "train/loss_g" in row]
    assert updates == list(range(1, 121)) and len(server.lines) < len(updates)
    assert "wandb sync" in said


def test_a_server_that_cannot_be_reached_at_the_start(tmp_path):
    with Server() as server:
        pass  # nobody listens at its address any more
    free, bound = (tmp_path / name for name in ("free", "bound"))
    for folder in (free, bound):
        folder.mkdir()
    runs = [start(free, server.url), start(bound, server.url, "--run.mode=online", WANDB_INIT_TIMEOUT="5")]
    said = [end(run) for run in runs]
    assert [run.returncode for run in runs] == [0, 2], said
    assert "Traceback" not in said[0] + said[1]
    assert "W&B cannot be used now (" in said[0] and "wandb sync" in said[0]
    assert wandb_file.history(wandb_file.run_file(free / "runs"))
    assert "error: W&B did not take the run (" in said[1] and "--run.mode offline records it on this machine" in said[1]
