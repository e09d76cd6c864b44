"""The command ``data shard``: whole or not at all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.small_disk import small_disk

from lightning_gans.__main__ import main
from lightning_gans.data import SC09, MelFolder, sharding
from lightning_gans.data.sharding import write_data
from lightning_gans.data.shards import INDEX, RECORD
from lightning_gans.errors import InputError

pytest.importorskip("litdata")

MEL = dict(name="melgan", sample_rate=8000, n_fft=64, win_length=64, hop_length=16, n_mels=6)
WORDS = ["data", "shard", "--data=MelFolder", "--data.mel", str(MEL), "--data.crop=160"]


SEARCHED = os.pathsep.join(map(os.path.abspath, sys.path))


@pytest.fixture(autouse=True)
def talk(tmp_path, sound, monkeypatch) -> Path:
    """Eight files of noise, which FLAC cannot make much smaller than 16 KB each."""
    monkeypatch.chdir(tmp_path)
    for index in range(8):
        sound(tmp_path / "data" / "talk" / f"{index}.wav", np.random.default_rng(index).uniform(-1, 1, 8000), rate=8000)
    return tmp_path


def refused(words: list[str], told: str, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    (said,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert said.startswith("lightning-gans: error: ") and told in said


def test_the_command(talk, capsys):
    main([*WORDS, "--data.folder=talk", "--data.validation=0.25", "--output=shards"])
    assert "6 train, 2 val" in capsys.readouterr().out
    assert (talk / "shards" / RECORD).exists() and not (talk / "shards.part").exists()
    assert sorted(path.parent.name for path in (talk / "shards").glob(f"*/{INDEX}")) == ["train", "val"]
    refused([*WORDS, "--output=shards"], "shards is there already", capsys)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--output=ftp://bucket/x"], "s3://"),
        (["--output=https://bucket/x"], "for reading"),
        (["--output=x", "--megabytes=5000"], "at most 2048"),
        (["--output=x", "--data.repeat={'0': 2}"], "--data.repeat"),
        (["--output=x", "--data.mel_suffix=.npy"], "--data.mel_suffix"),
        (["--output=x", "--data.folder=nothing"], "nothing"),
        (["--output=x", "--data=MelFoldr"], "MelFolder"),
        ([], "--output"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_done(talk, words, told, capsys):
    refused([*WORDS, *words], told, capsys)
    assert not (talk / "x").exists()


def test_data_of_another_kind(talk):
    with pytest.raises(InputError, match="SC09"):
        write_data(SC09(), talk / "x")


def test_without_litdata(talk, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"lightning-gans\[streaming\]"):
        write_data(MelFolder(str(talk), mel=MEL, crop=160), talk / "x")


def test_a_full_disk_leaves_nothing(talk, capsys):
    with small_disk(talk / "disk", 64) as disk:
        refused([*WORDS, f"--output={disk / 'shards'}"], "No space left on device", capsys)
        assert not list(disk.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError("of a sound"), ZeroDivisionError], ids=str)
def test_whatever_ends_it_leaves_nothing(talk, monkeypatch, error):
    def write(folder: Path, *_) -> None:
        folder.mkdir()
        (folder / INDEX).touch()
        raise error

    monkeypatch.setattr(sharding, "write_sounds", write)
    with pytest.raises(error if isinstance(error, type) else type(error)):
        write_data(MelFolder(str(talk), mel=MEL, crop=160), talk / "x")
    assert not [path for path in talk.iterdir() if path.name.startswith("x")]


def test_of_two_runs_to_one_output_the_first_writes(talk, monkeypatch):
    first, second = (MelFolder(str(talk), mel=MEL, crop=160, validation=0.25) for _ in range(2))

    def prepare() -> None:  # minutes, for much data: time for the second to begin
        with pytest.raises(InputError, match=r"x\.part is being written"):
            write_data(second, talk / "x")
        assert (talk / "x.part").is_dir()

    monkeypatch.setattr(first, "prepare_data", prepare)
    assert write_data(first, talk / "x").examples == {"train": 6, "val": 2}
    assert len(list((talk / "x").glob(f"*/{INDEX}"))) == 2 and not (talk / "x.part").exists()


@pytest.mark.parametrize("output", [".", "/", ""])
def test_a_folder_without_a_name_is_there_already(talk, output, capsys):
    refused([*WORDS, "--output", output], "is there already", capsys)


@pytest.mark.slow
def test_a_killed_run_leaves_no_folder_that_passes_for_one(talk, capsys):
    script = (
        "import os, signal, sys\nfrom lightning_gans.data import sharding\nfrom lightning_gans.__main__ import main\n"
        "sharding.write_whole = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\nmain(sys.argv[1:])"
    )
    place = os.environ | {"PYTHONPATH": SEARCHED}
    done = subprocess.run([sys.executable, "-c", script, *WORDS, "--output=shards"], capture_output=True, env=place)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (talk / "shards").exists() and (talk / "shards.part" / "train" / INDEX).exists()
    refused([*WORDS, "--output=shards"], "shards.part", capsys)
