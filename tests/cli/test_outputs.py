"""Outputs that cannot be written: one line that says why, and nothing is left."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers import tiny_zoo
from helpers.small_disk import fill, small_disk
from helpers.small_run import fit, run_folder
from helpers.tiny_mels import small_discriminators, tiny_melgan

from lightning_gans.__main__ import main

COMMANDS = {
    "sample": ("sample gan.ckpt --num 4 --output", "grid.png"),
    "walk": ("sample gan.ckpt --interpolate 3 --output", "walk.gif"),
    "clips": ("sample wavegan.ckpt --num 2 --output", "clips"),
    "vocode": ("vocode melgan.ckpt in.wav", "out.wav"),
    "folder": ("vocode melgan.ckpt in", "out"),
    "compare": ("compare run --output", "page.html"),
    "export": ("zoo export gan.ckpt --name gan_noise --output", "zoo"),
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_zoo.checkpoint(tmp_path / "gan.ckpt")
    tiny_zoo.checkpoint(tmp_path / "wavegan.ckpt", "WaveGAN")
    with small_discriminators():
        tiny_zoo.checkpoint(tmp_path / "melgan.ckpt", tiny_melgan())
        (tmp_path / "in").mkdir()
        for path in ("in.wav", "in/a.wav"):
            soundfile.write(path, np.sin(np.arange(4000) / 9), 8000)
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "metrics.csv").write_text("generator_updates,val/a\n1,2\n")
        yield tmp_path


def refused(command: str, output: Path, capsys) -> str:
    with pytest.raises(SystemExit, match="2"):
        main([*command.split(), str(output)])
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("lightning-gans: error: ") and str(output) in said, said
    return said


@pytest.mark.parametrize("name", COMMANDS)
def test_below_a_file(name, here, capsys):
    command, output = COMMANDS[name]
    (here / "file").touch()
    refused(command, here / "file" / output, capsys)
    assert (here / "file").read_bytes() == b""


@pytest.mark.parametrize("name", ["sample", "walk", "vocode", "compare"])
def test_a_folder_in_its_place(name, here, capsys):
    command, output = COMMANDS[name]
    (here / output).mkdir()
    assert "Is a directory" in refused(command, here / output, capsys)
    assert not list((here / output).iterdir())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk(name, here, capsys):
    command, output = COMMANDS[name]
    with small_disk(here / "disk", 64) as disk:
        fill(disk)
        assert "No space left on device" in refused(command, disk / output, capsys)
        assert not [path for path in disk.rglob("*") if path.is_file() and path.name != "filling"]


def test_a_disk_that_is_full_in_mid_training(here, monkeypatch):
    """The pictures of a validation are given up, and training goes on; a checkpoint ends it, and the last one stays."""
    from lightning_gans.callbacks import samples

    said: list[str] = []
    monkeypatch.setattr(samples, "rank_zero_warn", said.append)
    (here / "runs" / "lightning_gans" / "job" / "samples").parent.mkdir(parents=True)
    (here / "runs" / "lightning_gans" / "job" / "samples").touch()  # no place for pictures
    fit("--run.mode=disabled", "--run.id=job")
    assert len(said) == 2 and "training goes on" in said[0] and "00000003.png cannot be written" in said[0]
    last = run_folder(here) / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 6
