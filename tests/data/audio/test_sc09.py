import threading
from pathlib import Path

import pytest
import torch

from lightning_gans.data import SC09
from lightning_gans.data.audio.sc09 import OFFICIAL, WORDS
from lightning_gans.errors import InputError

HELD_OUT = {"val": "b", "test": "c"}
"""Of each word there are the takes a, b, c and d."""


@pytest.fixture
def generated(tmp_path, sound, monkeypatch) -> Path:
    """Four takes of each digit, whose value is 5 * digit in steps of 1 / 128; another word; noise."""
    folder = tmp_path / "SpeechCommands" / "speech_commands_v0.01"
    for digit, word in enumerate(WORDS):
        for take in "abcd":
            sound(folder / word / f"{take}_nohash_0.wav", 10, value=5 * digit / 128)
    sound(folder / "bed" / "a_nohash_0.wav", 10)
    sound(folder / "_background_noise_" / "pink.wav", 10)
    for split, name in {"val": "validation_list.txt", "test": "testing_list.txt"}.items():
        words = ["bed", *WORDS, "cat"]
        (folder / name).write_text("".join(f"{word}/{HELD_OUT[split]}_nohash_0.wav\n" for word in words))
    monkeypatch.setitem(OFFICIAL, "v0.01", {"train": 20, "val": 10, "test": 10})
    return tmp_path


def ready(root: Path, **options) -> SC09:
    data = SC09(str(root), **{"version": "v0.01", "length": 16, "batch_size": 4, **options})
    data.prepare_data()
    data.setup("fit")
    return data


@pytest.mark.parametrize("layout", ["SpeechCommands/speech_commands_v0.01", "speech_commands_v0.01", "."])
def test_the_official_split(generated, layout):
    source = generated / "SpeechCommands" / "speech_commands_v0.01"
    root = generated / "elsewhere"
    root.mkdir()
    target = root / layout
    if layout == ".":
        root = source
    else:
        target.parent.mkdir(exist_ok=True)
        source.rename(target)
    data = ready(root)
    assert {split: len(clips) for split, clips in data.splits.items()} == {"train": 20, "val": 10, "test": 10}
    assert (data.num_classes, data.class_names) == (10, WORDS)
    assert (data.audio_shape, data.sample_rate) == ((1, 16), 16000)
    for split, clips in data.splits.items():
        audio, label = clips[:]
        assert label.tolist() == sorted(list(range(10)) * (2 if split == "train" else 1))
        # ten samples of the digit's value, then zeros
        assert (audio[:, 0, :10] == 5 * 256 * label[:, None]).all()
        assert not audio[:, :, 10:].any()
        takes = {clips.sounds.names[row].split("/")[1][0] for row in clips.file}
        assert takes == set(HELD_OUT.get(split, "ad"))


def test_an_incomplete_set(generated, monkeypatch):
    folder = generated / "SpeechCommands" / "speech_commands_v0.01"
    (folder / "six" / "b_nohash_0.wav").unlink()
    message = r"has 20 train, 9 val, 10 test files of the ten digits; expected 20 train, 10 val, 10 test in v0.01"
    with pytest.raises(InputError, match=message) as error:
        ready(generated)
    assert str(error.value).endswith("--data.complete false")
    said = []
    monkeypatch.setattr("lightning_gans.data.audio.folder.rank_zero_info", said.append)
    data = ready(generated, complete=False)
    assert data.splits["val"].label.tolist() == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    assert said[0].startswith(f"{folder}: 39 files") and said[0].endswith("clips: 20 train, 9 val, 10 test")
    for word in WORDS:
        (folder / word / "c_nohash_0.wav").unlink()
    with pytest.raises(InputError, match="no file is left for test"):
        ready(generated, complete=False)


def test_what_is_damaged_is_named(generated):
    folder = generated / "SpeechCommands" / "speech_commands_v0.01"
    path = folder / "two" / "a_nohash_0.wav"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match=r"1 sound file.* cannot be used: two/a_nohash_0.wav \(cut short: its header"):
        ready(generated)
    (folder / "testing_list.txt").unlink()
    with pytest.raises(InputError, match=r"there is no file .*testing_list.txt; fetch Speech"):
        ready(generated)


def test_no_data_and_no_network(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no route to\nhost")

    monkeypatch.setattr("torchaudio.datasets.SPEECHCOMMANDS", refuse)
    with pytest.raises(InputError) as error:
        ready(tmp_path, version="v0.02")
    for part in [
        f"no Speech Commands v0.02 in {tmp_path}",
        "zero to nine in SpeechCommands/speech_commands_v0.02",
        "--data.root DIR",
        "speech_commands_v0.02.tar.gz",
        "no route to host",
    ]:
        assert part in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"no Speech Commands v0.02 in"):
        SC09(str(tmp_path)).setup("fit")


def test_a_download_is_torchaudios(generated, monkeypatch):
    source = generated / "SpeechCommands"

    def fetch(root: str, url: str, download: bool) -> None:
        assert (url, download) == ("speech_commands_v0.01", True)
        source.rename(Path(root) / "SpeechCommands")

    monkeypatch.setattr("torchaudio.datasets.SPEECHCOMMANDS", fetch)
    assert len(ready(generated / "new").splits["train"]) == 20


def test_a_download_that_does_not_end_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("torchaudio.datasets.SPEECHCOMMANDS", lambda *_, **__: threading.Event().wait())
    monkeypatch.setattr("lightning_gans.data.base.seconds_for", lambda size: size / 1e11)
    with pytest.raises(InputError, match=r"no Speech Commands v0.02 in .*not done after"):
        SC09(str(tmp_path)).prepare_data()


def test_peaks(generated):
    clips = ready(generated, normalize="peak_file").splits["val"]
    assert clips[:].audio.amax((1, 2)).tolist() == [0] + [32767] * 9


def test_wrong_version():
    with pytest.raises(InputError, match=r"version is v3; expected v0.01 or v0.02"):
        SC09(version="v3")


def test_the_numbers_of_the_official_lists(data_root):
    lists = data_root / "SpeechCommands" / "speech_commands_v0.01" / "official_lists"
    for split, name in {"val": "validation_list.txt", "test": "testing_list.txt"}.items():
        words = [line.split("/")[0] for line in (lists / name).read_text().split()]
        assert sum(word in WORDS for word in words) == OFFICIAL["v0.01"][split]
    # all files of the ten words
    assert sum(OFFICIAL["v0.01"].values()) == 23_666
    assert sum(OFFICIAL["v0.02"].values()) == 38_908


def test_the_real_sample(data_root):
    data = ready(data_root, complete=False, length=16384, batch_size=62)
    assert {split: len(clips) for split, clips in data.splits.items()} == {"train": 62, "val": 16, "test": 22}
    label = torch.cat([clips.label for clips in data.splits.values()])
    assert label.bincount().tolist() == [10] * 10
    sounds = data.splits["train"].sounds
    assert sounds.hours() * 3600 == pytest.approx(99.7, abs=0.05)
    assert sounds.length.max() == 16000
    audio = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0).audio
    assert audio.shape == (62, 1, 16384)
    assert not audio[..., 16000:].any()


def test_another_split(generated):
    data = ready(generated, train_pattern="/[cd]_", val_pattern="/a_", label_pattern=None)
    assert {split: len(clips) for split, clips in data.splits.items()} == {"train": 20, "val": 10, "test": 10}
    assert data.test_is_validation and data.splits["train"].label.bincount().tolist() == [2] * 10


def test_one_word_is_one_class_of_ten(generated):
    data = ready(generated, train_pattern="^one/[cd]", val_pattern="^one/a", test_pattern="^two/a", complete=False)
    assert (data.num_classes, data.class_names) == (10, WORDS)
    assert {split: clips.label.tolist() for split, clips in data.splits.items()} == {
        "train": [1, 1],
        "val": [1],
        "test": [2],
    }
