"""Signals outside of a training: to processes that know nothing but ``signals``, and to fits that are set up."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.small_run import fit

from lightning_gans import signals
from lightning_gans.cli import checks
from lightning_gans.tracking.config import SaveConfigToRun

SCRIPT = """
import sys, time
from lightning_gans.signals import ending

with ending():
    print("ready", flush=True)
    time.sleep(60)
"""
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 143, signal.SIGHUP: 143}


def start(*before: str) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(Path(signals.__file__).parents[1])}
    process = subprocess.Popen(
        [*before, sys.executable, "-c", SCRIPT], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.parametrize("number", CODES)
def test_each_has_its_exit_code(number):
    process = start()
    process.send_signal(number)
    assert (process.communicate()[1], process.returncode) == (b"", CODES[number])


def test_a_lost_terminal_may_be_ignored():
    process = start("nohup")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 143
    assert signal.SIGHUP in signals.caught()  # here


def test_the_handlers_before_are_back_afterwards():
    before = [signal.getsignal(number) for number in CODES]
    with signals.ending():
        assert all(signal.getsignal(number) is signals._end for number in CODES)
    assert [signal.getsignal(number) for number in CODES] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
@pytest.mark.parametrize("where", [(checks, "require_folders"), (SaveConfigToRun, "setup")], ids=["before", "within"])
def test_a_fit_that_is_set_up(number, where, tmp_path, monkeypatch, capsys):
    """It ends at once, where nothing is trained yet, and a scheduler knows that there is more to do."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(*where, lambda *_, **__: os.kill(os.getpid(), number))
    with pytest.raises(SystemExit) as stop:
        fit("--run.mode=disabled")
    assert stop.value.code == CODES[number]
    said = capsys.readouterr().err
    assert f"ended by {signal.Signals(number).name} while nothing was trained" in said and "Traceback" not in said
    assert not list(tmp_path.rglob("*.ckpt"))
