import errno
import multiprocessing
import os
import random
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers.small_run import SMALL, fit, run_folder

from lightning_gans.cli import train as cli
from lightning_gans.errors import InputError
from lightning_gans.training import checkpoints
from lightning_gans.training.checkpoints import CheckpointFiles, newest
from lightning_gans.zoo import assets

NUMBERS = 2_000_000


def save_again_and_again(path: Path) -> None:
    step = torch.load(path, weights_only=True)["step"]
    while True:
        step += 1
        CheckpointFiles().save_checkpoint({"step": step, "weight": torch.full((NUMBERS,), float(step))}, path)


@pytest.mark.slow
def test_a_kill_while_a_file_is_written_leaves_a_whole_one(tmp_path):
    path, seconds, previous = tmp_path / "last.ckpt", random.Random(0), 0
    CheckpointFiles().save_checkpoint({"step": 0, "weight": torch.zeros(NUMBERS)}, path)
    for _ in range(20):
        process = multiprocessing.get_context("fork").Process(target=save_again_and_again, args=(path,))
        process.start()
        time.sleep(seconds.uniform(0.05, 0.2))
        process.kill()
        process.join()
        found = torch.load(path, weights_only=True)
        assert found["step"] >= previous and found["weight"].eq(found["step"]).all()
        previous = found["step"]
    assert previous > 0 and list(tmp_path.glob(".last.ckpt.*.part"))  # it was killed in the middle
    assert newest(tmp_path) == path


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("PytorchStreamWriter failed")]
)
def test_a_full_disk_leaves_the_previous_file(error, tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    CheckpointFiles().save_checkpoint({"step": 1}, path)

    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr(checkpoints.torch, "save", full)
    reason = error.strerror if isinstance(error, OSError) else str(error)
    with pytest.raises(InputError, match=rf"last.ckpt cannot be written \({reason}\).* go on with --ckpt_path .*last"):
        CheckpointFiles().save_checkpoint({"step": 2}, path)
    monkeypatch.undo()
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_the_newest_is_that_written_last(tmp_path):
    assert newest(tmp_path, tmp_path / "absent") is None
    for age, name in enumerate(("interrupted.ckpt", "last.ckpt", "00000100.ckpt", "config.yaml")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert newest(tmp_path).name == "interrupted.ckpt"


def test_the_same_command_starts_a_run_and_goes_on_with_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    monkeypatch.setattr(cli.resume, "rank_zero_info", said.append)
    job = ["--run.mode=offline", "--run.id=job-1", "--ckpt_path=last"]
    for epochs in (1, 2):
        fit(*job, f"--trainer.max_epochs={epochs}")
    assert said == ["runs/lightning_gans/job-1 has no checkpoint yet: this is its start"]
    assert run_folder(tmp_path).name == "job-1"
    assert torch.load(run_folder(tmp_path) / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 6


# ---- SLURM, played by two scripts

SRUN = """#!/bin/bash
export SLURM_NTASKS=1 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0 SLURM_NODELIST=localhost
export SLURM_JOB_NAME=lightning_gans
shift  # lightning-gans
{python} -m lightning_gans "$@" {options} &
child=$!
if [ ! -e signalled ]; then
    until ls runs/lightning_gans/*/checkpoints/last.ckpt; do sleep 0.1; done > /dev/null 2>&1
    touch signalled
    kill -USR1 $child
fi
wait $child
"""
SCONTROL = """#!/bin/bash
echo "$@" >> requeued
"""


@pytest.mark.slow
def test_a_job_that_has_to_make_room_is_queued_again_and_goes_on(tmp_path):
    options = [option for option in SMALL if not option.startswith(("--config", "--trainer.max_epochs"))]
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        file = tmp_path / name
        file.write_text(text.format(python=sys.executable, options=" ".join(options)))
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(cli.__file__).parents[2]),
        "WANDB_MODE": "offline",
        "SLURM_JOB_ID": "1234",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_NTASKS_PER_NODE": "1",
    }

    def submit(*last: str) -> subprocess.CompletedProcess:
        command = ["bash", assets.configs() / "slurm.sbatch", "dcgan_digits", *last]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    first = submit("--trainer.max_epochs=-1")
    assert first.returncode == 143, first.stdout + first.stderr
    assert (tmp_path / "requeued").read_text() == "requeue 1234\n"
    folder = run_folder(tmp_path)
    assert folder.name == "dcgan_digits-1234"
    before = torch.load(folder / "checkpoints" / "interrupted.ckpt", weights_only=True)["global_step"]
    assert not list(tmp_path.rglob("hpc_ckpt*"))  # Lightning's, which it would write in the middle of a step

    second = submit("--trainer.max_epochs=-1", f"--trainer.max_steps={before + 4}")
    assert second.returncode == 0, second.stdout + second.stderr
    assert (tmp_path / "requeued").read_text() == "requeue 1234\n"
    assert run_folder(tmp_path) == folder
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == before + 4


def test_a_job_without_a_config_says_so():
    done = subprocess.run(["bash", assets.configs() / "slurm.sbatch"], capture_output=True, text=True)
    assert done.returncode != 0 and re.search("no config given", done.stderr)
