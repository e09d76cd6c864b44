import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lightning_gans.data import LJSpeech
from lightning_gans.data.mels import ljspeech
from lightning_gans.errors import InputError

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
    parts = data._parts([f"LJ{i:05d}" for i in range(ljspeech.CLIPS)])
    assert {name: (len(rows), rows[0], rows[-1]) for name, rows in parts.items()} == {
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


def test_only_its_own_arguments_are_kept():
    assert set(LJSpeech().hparams) == set(LJSpeech.__init__.__annotations__) - {"return"}


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
