import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from lightning_gans.data import LJSpeech
from lightning_gans.data.mels import ljspeech
from lightning_gans.errors import InputError
from lightning_gans.zoo import assets

PARTS = dict(complete=False, val_pattern="^LJ050-00(29|30|31)", test_pattern="^(LJ014|LJ050-003[23])")


def ready(root: Path, **options) -> LJSpeech:
    data = LJSpeech(str(root), **options)
    data.prepare_data()
    data.setup("fit")
    return data


@pytest.fixture
def clips(tmp_path, sound) -> Path:
    for index in range(9):
        sound(tmp_path / "LJSpeech-1.1" / "wavs" / f"LJ00{index}-0001.wav", 5000, rate=22050)
    return tmp_path


def test_official_split(clips, monkeypatch):
    data = LJSpeech()
    rows = data._rows([f"LJ{i:05d}" for i in range(ljspeech.CLIPS)])
    assert {name: (len(of_split), of_split[0], of_split[-1]) for name, of_split in rows.items()} == {
        "train": (12_600, 0, 12_599),
        "val": (250, 12_600, 12_849),
        "test": (250, 12_850, 13_099),
    }
    monkeypatch.setattr(ljspeech, "CLIPS", 9)
    monkeypatch.setattr(ljspeech, "HELD_OUT", 2)
    data = ready(clips)
    assert {name: part.rows.tolist() for name, part in data.splits.items()} == {
        "train": [0, 1, 2, 3, 4],
        "val": [5, 6],
        "test": [7, 8],
    }
    assert data.audio_kind == "mel" and data.sample_rate == 22050 and data.mel.name == "parallel_wavegan"


def test_a_skipped_clip_moves_no_other_into_the_held_out_ones(clips, monkeypatch):
    monkeypatch.setattr(ljspeech, "CLIPS", 9)
    monkeypatch.setattr(ljspeech, "HELD_OUT", 2)
    (clips / "LJSpeech-1.1" / "wavs" / "LJ007-0001.wav").write_text("not a sound")
    data = ready(clips, on_bad_file="skip")
    names = data.splits["train"].sounds.names
    assert {split: [names[row][4] for row in part.rows] for split, part in data.splits.items()} == {
        "train": list("01234"),
        "val": list("56"),
        "test": list("8"),
    }


def test_a_part_of_it(clips):
    with pytest.raises(InputError, match=r"wavs has 9 clips; expected 13,100; .*--data.complete false and a"):
        ready(clips)
    with pytest.raises(InputError, match=r"^complete is false, .* give --data.val_pattern too$"):
        LJSpeech(complete=False)
    with pytest.raises(InputError, match=r"^test_pattern is given, .* give --data.val_pattern too$"):
        LJSpeech(test_pattern="LJ050")
    (clips / "LJSpeech-1.1" / "wavs").rename(clips / "wavs")
    data = ready(clips, complete=False, val_pattern="^LJ00[78]")
    assert [len(data.splits[split]) for split in ("train", "val")] == [7, 2]
    assert data.test_is_validation


def test_nothing_there(tmp_path, monkeypatch):
    asked = []

    def refuse(root: str, download: bool) -> None:
        asked.append((root, download))
        raise OSError("no network")

    monkeypatch.setitem(sys.modules, "torchaudio.datasets", SimpleNamespace(LJSPEECH=refuse))
    with pytest.raises(InputError, match=r"^no LJ Speech in .*LJSpeech-1.1/wavs or wavs; .*failed: no network"):
        ready(tmp_path)
    assert asked == [(str(tmp_path), True)]
    with pytest.raises(InputError, match=r"^no LJ Speech in .*LJSpeech-1.1.tar.bz2$"):
        LJSpeech(str(tmp_path)).setup("fit")


def test_the_arguments_are_kept():
    given = {"root": "here", "crop": 512, "mel": "melgan", "gain": (0.3, 1.0)}
    kept = dict(LJSpeech(**given).hparams)
    assert given.items() <= kept.items() and kept["complete"] and kept["batch_size"] == 6
    assert dict(LJSpeech(**kept).hparams) == kept


@pytest.mark.parametrize("config", ["vocos_lj001", "hifigan_lj001"])
def test_the_configs_of_lj001_leave_the_rest_of_the_data_set_out(tmp_path, sound, config):
    chapters = {"LJ001": range(1, 187, 5), "LJ002": range(3), "LJ014": range(284, 287), "LJ050": range(26, 36)}
    names = [f"{chapter}-{number:04d}" for chapter, numbers in chapters.items() for number in numbers]
    for name in names:
        sound(tmp_path / "LJSpeech-1.1" / "wavs" / f"{name}.wav", 9000, rate=22050)
    options = yaml.safe_load(assets.config(config).read_text())["data"]["init_args"]
    data = ready(tmp_path, **options)
    names_of = data.splits["train"].sounds.names
    used = {split: [names_of[row][:-4] for row in part.rows] for split, part in data.splits.items()}
    assert used["train"] == [name for name in names if "LJ001" in name and int(name[-4:]) <= 32]
    assert used["val"] == ["LJ050-0029", "LJ050-0030", "LJ050-0031"]
    assert used["test"] == ["LJ014-0285", "LJ050-0032", "LJ050-0033"]
    assert len(data.splits["train"].sounds.names) == 13  # nothing else was decoded


def test_the_sample(data_root):
    data = ready(data_root, **PARTS, context=2)
    names = np.array(data.splits["train"].sounds.names)
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [32, 3, 3]
    assert all(name.startswith("LJ001") for name in names[data.splits["train"].rows])
    assert names[data.splits["val"].rows].tolist() == [f"LJ050-00{i}.wav" for i in (29, 30, 31)]
    assert names[data.splits["test"].rows].tolist() == ["LJ014-0285.wav", "LJ050-0032.wav", "LJ050-0033.wav"]
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch.mel.shape == (6, 80, 104) and batch.audio.shape == (6, 1, 25600)
    lengths = [data.on_after_batch_transfer(batch, 0).audio.shape for batch in data.val_dataloader()]
    assert lengths == [(1, 1, length // 256 * 256) for length in (104349, 42397, 217245)]
