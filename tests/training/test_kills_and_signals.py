"""Series of kills and signals: a run that is ended again and again ends as the one that was left alone, bit for bit.

The processes are forked, so that none of them has to import torch.
"""

import multiprocessing
import os
import pty
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.small_run import SMALL

from lightning_gans.__main__ import main
from lightning_gans.cli import train  # for the processes
from lightning_gans.signals import ending

pytestmark = pytest.mark.slow
STEPS = 42
OPTIONS = [*SMALL, "--run.mode=disabled", "--trainer.max_epochs=-1", "--trainer.limit_train_batches=7"]
OPTIONS += ["--run.id=job", "--ckpt_path=last", f"--trainer.max_steps={STEPS}"]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 143, signal.SIGHUP: 143}
FOLDER = Path("runs/lightning_gans/job/checkpoints")


def job(folder: Path, ready: Any) -> None:
    os.chdir(folder)
    os.environ["WANDB_MODE"] = "disabled"
    torch.set_num_threads(1)
    sink = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    with ending():
        ready.set()
        main(["fit", *OPTIONS])


def start(folder: Path) -> multiprocessing.Process:
    """A process that heeds signals; before it does, a signal ends it as any other program."""
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    process = fork.Process(target=job, args=(folder, ready))
    process.start()
    assert ready.wait(60)
    return process


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Of where the run stands: one that is stopped in its last validation has nothing left to do when it goes on."""
    kept = [torch.load(path, weights_only=True) for path in (folder / FOLDER).glob("[li]*.ckpt")]
    last = max(kept, key=lambda checkpoint: checkpoint["global_step"])
    assert last["global_step"] == STEPS
    return last["state_dict"]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The weights of the run that was left alone, and how many seconds it took."""
    folder, before = tmp_path_factory.mktemp("straight"), time.monotonic()
    process = start(folder)
    process.join()
    assert process.exitcode == 0, (folder / "log").read_text()[-2000:]
    return weights(folder), time.monotonic() - before


def ended_again_and_again(folder: Path, numbers: list[int], straight: tuple[dict, float]) -> list[int]:
    """Exit codes of processes that end by a signal each, at any time; a run that reaches its end is compared."""
    draw, codes, run = random.Random(0), [], 0
    expected, seconds = straight
    while True:
        (here := folder / str(run)).mkdir(exist_ok=True)
        process = start(here)
        process.join(draw.uniform(0.1, 0.8 * seconds) if len(codes) < len(numbers) else None)
        if process.is_alive():
            os.kill(process.pid, numbers[len(codes)])
            process.join()
        for path in (here / FOLDER).glob("*.ckpt"):
            torch.load(path, weights_only=True)  # whole
        if process.exitcode:
            codes.append(process.exitcode)
            continue
        torch.testing.assert_close(weights(here), expected, rtol=0, atol=0)
        assert not list(here.rglob("*.part")) and "Traceback" not in (here / "log").read_text()
        if len(codes) == len(numbers):
            return codes
        run += 1


def test_kills(straight, tmp_path):
    codes = ended_again_and_again(tmp_path, [signal.SIGKILL] * 12, straight)
    assert codes == [-signal.SIGKILL] * 12


def test_signals(straight, tmp_path):
    """Ten of each kind, wherever they strike: when the run is set up, trained, validated, saved."""
    numbers = [*CODES] * 10
    assert ended_again_and_again(tmp_path, numbers, straight) == [CODES[number] for number in numbers]


def test_a_terminal_that_is_lost(tmp_path):
    """Its process is told so, can print no more, and leaves a checkpoint."""
    mine, its = pty.openpty()
    options = ["--run.mode=offline", "--run.id=job", "--trainer.max_epochs=-1", "--trainer.enable_progress_bar=true"]
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "lightning_gans", "fit", *SMALL, *options],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(train.__file__).parents[2])},
        stdin=its,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    os.set_blocking(mine, False)
    while not (tmp_path / FOLDER / "last.ckpt").is_file():
        time.sleep(0.1)
        assert process.poll() is None
        try:
            os.read(mine, 1 << 16)
        except BlockingIOError:
            pass
    os.close(mine)
    assert process.wait(60) == 143
    assert torch.load(tmp_path / FOLDER / "interrupted.ckpt", weights_only=True)["global_step"] > 0
