"""Whose a run's folder is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.small_run import fit

from lightning_gans.errors import InputError
from lightning_gans.files.writing import Unwritable
from lightning_gans.tracking import run_lock
from lightning_gans.tracking.run_lock import NAME, lock

SCRIPT = """
import sys
from pathlib import Path
from lightning_gans.tracking.run_lock import lock
held = lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """A process that has the folder ``run``."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "run")],
        env=os.environ | {"PYTHONPATH": str(Path(run_lock.__file__).parents[2])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_folder_is_that_of_one_process_while_it_lives(other, tmp_path):
    with pytest.raises(InputError, match=rf"run is that of a run which process {other.pid} on \S+ since 20.* --run.id"):
        lock(tmp_path / "run")
    assert f"process {other.pid}" in (tmp_path / "run" / NAME).read_text()
    other.kill()
    other.wait()
    with lock(tmp_path / "run"):
        assert f"process {os.getpid()} on" in (tmp_path / "run" / NAME).read_text()


def test_a_fit_with_the_id_of_another(other, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "lightning_gans").symlink_to(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        fit("--run.mode=offline", "--run.id=run", "--ckpt_path=last")
    assert f"process {other.pid}" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run").iterdir()] == [NAME]
    other.kill()
    other.wait()
    fit("--run.mode=offline", "--run.id=run", "--trainer.max_epochs=1")
    assert torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 3
    subprocess.run(  # a run that is at its end has let go of its folder
        [sys.executable, "-c", SCRIPT, str(tmp_path / "run")],
        env=os.environ | {"PYTHONPATH": str(Path(run_lock.__file__).parents[2])},
        stdin=subprocess.DEVNULL,
        check=True,
    )


def test_a_folder_that_cannot_be_locked(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(Unwritable, match="cannot be written to"):
        lock(tmp_path / "file" / "run")

    def lockf(*_: object) -> None:
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr(run_lock.fcntl, "lockf", lockf)
    with pytest.warns(UserWarning, match="cannot be locked .*Function not implemented"):
        lock(tmp_path / "run").close()
