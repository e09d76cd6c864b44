"""Where commands print to; they run in processes of their own, whose end is what matters."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import tiny_zoo

from lightning_gans.cli import terminal

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(terminal.__file__).parents[2])}
LISTING = [sys.executable, "-m", "lightning_gans", "zoo", "list"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (LISTING, terminal.CLOSED),
        ([*LISTING[:-2], "--help"], terminal.CLOSED),
        ([*LISTING, "--help"], 0),  # argparse does not care
    ],
    ids=["list", "help", "help of list"],
)
def test_a_reader_that_has_seen_enough(command, code):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, env=ENVIRONMENT, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert not done.stderr and done.returncode == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk():
    with open("/dev/full", "w") as full:
        done = subprocess.run(LISTING, env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "lightning-gans: error: standard output cannot be written (No space left on device); print to another place\n"
    )


def test_a_terminal_that_lacks_letters(tmp_path):
    tiny_zoo.entry(tmp_path)
    tiny_zoo.rewrite(tmp_path / "gan_noise.md", "Nur Geräusche.")
    environment = ENVIRONMENT | {"LIGHTNING_GANS_ZOO": str(tmp_path), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*LISTING[:-1], "show", "gan_noise"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Nur Ger\\xe4usche." in done.stdout
