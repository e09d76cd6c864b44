"""Runs that are told to stop, or killed, and go on: as on a cluster, from the command line."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers.small_run import SMALL, run_folder

from lightning_gans.__main__ import main
from lightning_gans.cli import train as cli
from lightning_gans.tracking.recorded import read_run

JOB = ["--run.id=job", "--ckpt_path=last", "--trainer.devices=2", "--trainer.limit_train_batches=20"]
SECONDS = 45
"""Within which all processes have to be gone."""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    return tmp_path


def start(*args: str) -> subprocess.Popen:
    environment = {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"}  # of other tests
    environment |= {"PYTHONPATH": str(Path(cli.__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, "-m", "lightning_gans", "fit", *SMALL, "--trainer.max_epochs=-1", *args],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(pattern: str, process: subprocess.Popen, seconds: float = 180) -> Path:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        for path in Path().glob(pattern):
            return path
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)  # a second process would keep the output open
    raise AssertionError(f"no {pattern}: {process.communicate()[0][-2000:]}")


def ranks(process: subprocess.Popen) -> list[int]:
    """The processes of a run on two."""
    found = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(process.pid)], capture_output=True, text=True)
    (other,) = [int(line.split()[0]) for line in found.stdout.splitlines() if "lightning_gans" in line]
    return [process.pid, other]


def end(process: subprocess.Popen, others: list[int]) -> str:
    """Wait for the end of all processes; what was said."""
    try:
        said, _ = process.communicate(timeout=SECONDS)  # which all of them have open
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(f"it goes on: {process.communicate()[0][-2000:]}") from None
    for pid in others:
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
        assert not state or state.startswith("Z"), said
    return said


def checkpoint(path: Path) -> dict:
    return torch.load(path, weights_only=True)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The checkpoint of a run of 70 updates."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("WANDB_MODE", "offline")
        process = start(*JOB, "--trainer.max_steps=70")
        said, _ = process.communicate(timeout=180)
    assert process.returncode == 0, said
    return checkpoint(run_folder(folder) / "checkpoints" / "last.ckpt")


def assert_goes_on(expected: dict) -> None:
    """The same command, up to the end of the run that was not interrupted."""
    process = start(*JOB, f"--trainer.max_steps={expected['global_step']}")
    said, _ = process.communicate(timeout=180)
    assert process.returncode == 0, said
    found = checkpoint(Path("runs/lightning_gans/job/checkpoints/last.ckpt"))
    assert found["samples_seen"] == expected["samples_seen"]
    torch.testing.assert_close(found["state_dict"], expected["state_dict"], rtol=0, atol=0)
    rows = read_run("runs/lightning_gans/job").rows
    updates = [row["generator_updates"] for row in rows if "train/loss_g" in row]
    assert updates == sorted({*updates}) and updates[-1] == expected["global_step"]


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(here):
    process = start("--run.name=two words")
    wait_for("runs/lightning_gans/*/checkpoints/last.ckpt", process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    (command,) = re.findall(r"Resume with: lightning-gans (.*)", said)
    checkpoints = run_folder(here) / "checkpoints"
    assert re.search(r"to resume +(.*)", said)[1] == str(checkpoints / "interrupted.ckpt")
    before = checkpoint(checkpoints / "interrupted.ckpt")["global_step"]
    main([*shlex.split(command), f"--trainer.max_steps={before + 4}"])
    assert run_folder(here) / "checkpoints" == checkpoints  # there is one run only
    assert checkpoint(checkpoints / "last.ckpt")["global_step"] == before + 4


@pytest.mark.slow
@pytest.mark.parametrize("signalled", [[0], [1], [0, 1]], ids=["rank 0", "rank 1", "both"])
def test_sigterm_stops_both_processes_with_one_checkpoint(signalled, uninterrupted):
    process = start(*JOB, "--trainer.log_every_n_steps=50")
    wait_for("runs/lightning_gans/*/checkpoints/last.ckpt", process)
    pids = ranks(process)
    for rank in signalled:
        os.kill(pids[rank], signal.SIGTERM)
    said = end(process, pids)
    assert process.returncode == 143, said
    assert "Traceback" not in said
    (interrupted,) = Path().glob("runs/lightning_gans/*/checkpoints/i*")
    assert 0 < checkpoint(interrupted)["global_step"] < 70, "too slow to be interrupted"
    if signalled == [1]:
        assert_goes_on(uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_process_that_is_killed_ends_the_other(killed, uninterrupted):
    """What came after the last checkpoint is lost, and comes again."""
    process = start(*JOB)
    last = wait_for("runs/lightning_gans/*/checkpoints/last.ckpt", process)
    pids = ranks(process)
    os.kill(pids[killed], signal.SIGKILL)
    said = end(process, pids)
    assert process.returncode == (1 if killed else -signal.SIGKILL), said
    assert "Traceback" not in said
    assert re.search(r"lightning-gans: error: another process of this run has ended \(.*gloo.*\); go on from the", said)
    assert checkpoint(last)["global_step"] > 0
    if killed == 1:
        assert_goes_on(uninterrupted)
