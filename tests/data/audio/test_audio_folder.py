from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lightning_gans.data import AudioFolder
from lightning_gans.data.batches import AudioBatch
from lightning_gans.data.loading import as_batch
from lightning_gans.errors import InputError


def ready(root: Path, **options) -> AudioFolder:
    data = AudioFolder(str(root), **{"length": 8, **options})
    data.prepare_data()
    data.setup("fit")
    return data


def firsts(data: AudioFolder, split: str) -> list[int]:
    """The first sample of each clip, in steps of 1 / 128."""
    return (data.splits[split][:].audio[:, 0, 0] // 256).tolist()


@pytest.fixture
def said(monkeypatch) -> list[str]:
    """What is told to the user."""
    lines: list[str] = []
    for module in ("sounds", "folder"):
        monkeypatch.setattr(f"lightning_gans.data.audio.{module}.rank_zero_info", lines.append)
    return lines


@pytest.fixture
def digits(tmp_path, sound) -> Path:
    """Ten takes of two digits; take i of a digit d has the value (10 * d + i) / 128."""
    for digit in range(2):
        for take in range(10):
            sound(tmp_path / "takes" / f"{digit}_ann_{take}.wav", 8, value=(10 * digit + take) / 128)
    return tmp_path


def test_unlabelled(digits):
    data = ready(digits, folder="takes", validation=0.2)
    assert (data.num_classes, data.class_names) == (None, None)
    assert (data.audio_shape, data.sample_rate) == ((1, 8), 16000)
    train, val = firsts(data, "train"), firsts(data, "val")
    assert (len(train), len(val)) == (16, 4)
    assert sorted(train + val) == list(range(20))
    assert data.test_is_validation
    assert data.splits["train"].label.tolist() == [0] * 16
    # the choice does not depend on the share
    assert set(val) < set(firsts(ready(digits, folder="takes", validation=0.4), "val"))
    everything = ready(digits, folder="takes", validation=0)
    assert len(everything.splits["train"]) == 20
    assert everything.splits["val"] is everything.splits["train"]


def test_classes_from_a_pattern(digits):
    data = ready(digits, label_pattern=r"/(\d)_[a-z]+_\d+\.", val_pattern="_[56]", test_pattern=r"_[0-4]\.")
    assert (data.num_classes, data.class_names) == (2, ["0", "1"])
    assert firsts(data, "test") == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]
    assert firsts(data, "val") == [5, 6, 15, 16]
    assert firsts(data, "train") == [7, 8, 9, 17, 18, 19]
    assert data.splits["val"].label.tolist() == [0, 0, 1, 1]
    data = ready(digits, val_pattern="_[56]")
    assert data.test_is_validation
    assert len(data.splits["train"]) == 16
    data = ready(digits, test_pattern=r"_[0-4]\.", validation=0.2)
    assert {split: len(clips) for split, clips in data.splits.items()} == {"train": 8, "val": 2, "test": 10}


def test_classes_from_folders(tmp_path, sound):
    for index in range(6):
        sound(tmp_path / "bird" / "deep" / f"{index}.flac", 8, value=0.125)
        sound(tmp_path / "cat" / f"{index}.WAV", 8, value=0.75)
    data = ready(tmp_path)
    assert (data.num_classes, data.class_names) == (2, ["bird", "cat"])
    for split in ("train", "val"):
        assert data.splits[split].label.tolist() == [int(value > 64) for value in firsts(data, split)]


def test_folders_of_splits_are_no_classes(tmp_path, sound, said):
    for index in range(8):
        sound(tmp_path / ("valid" if index < 2 else "train") / f"{index}_{'ab'[index % 2]}.wav", 8, value=index / 8)
    data = ready(tmp_path, val_pattern="^valid/")
    assert (data.num_classes, data.class_names) == (None, None)
    assert all(not data.splits[split].label.any() for split in ("train", "val"))
    assert said[0] == (
        f"{tmp_path}: all training files lie in train, so that folders are no classes; give --data.label_pattern if"
        " there are classes"
    )
    data = ready(tmp_path, val_pattern="^valid/", label_pattern="_([ab])")
    assert data.class_names == ["a", "b"] and data.splits["val"].label.tolist() == [0, 1]
    for index in range(2):
        sound(tmp_path / "more" / f"{index}.wav", 8)
    assert ready(tmp_path, val_pattern="^valid/").class_names == ["more", "train", "valid"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_pattern": r"(\d)_ann_[0-8]"}, r"no class in 2 of 20 files: takes/0_ann_9.wav, takes/1_ann_9.wav;"),
        ({"label_pattern": r"takes/(x)?"}, r"no class in 20 of 20 files: takes/0_ann_0.wav, .*0_ann_9.wav \.\.\.;"),
        ({"val_pattern": "bob"}, r"val_pattern 'bob' finds none of 20 files, such as takes/0_ann_0.wav"),
        ({"val_pattern": "0", "test_pattern": "_0_|0_ann_1"}, r"both find 1 files: takes/0_ann_1.wav;"),
    ],
)
def test_patterns_that_do_not_fit(digits, options, message, monkeypatch):
    monkeypatch.setattr("lightning_gans.data.audio.sounds.decode", lambda *_: pytest.fail("decoded before the check"))
    with pytest.raises(InputError, match=message) as error:
        ready(digits, **options)
    assert "\n" not in str(error.value)


def test_all_files_held_out(digits):
    with pytest.raises(InputError, match="no file is left for train; use more files, or hold out fewer"):
        ready(digits, val_pattern="takes")


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match=r"no folder talk in .*looked for \*.wav.*--data.root DIR"):
        ready(tmp_path, folder="talk")
    (tmp_path / "talk").mkdir()
    (tmp_path / "talk" / "notes.txt").write_text("")
    with pytest.raises(InputError, match=r"no sound file in .*looked for \*.wav, \*.flac, .*talk and its sub-folders"):
        ready(tmp_path, folder="talk")


def test_bad_files(digits, said):
    folder = digits / "takes"
    (folder / "0_ann_3.wav").write_bytes((folder / "0_ann_3.wav").read_bytes()[:-2])
    (folder / "0_ann_4.wav").write_text("not a sound")
    message = r"^2 sound file\(s\) in .*takes cannot be used: 0_ann_3.wav \(cut short"
    with pytest.raises(InputError, match=message) as error:
        ready(digits, folder="takes")
    assert "0_ann_4.wav (" in str(error.value)
    assert str(error.value).endswith("or leave them out with --data.on_bad_file skip")
    data = ready(digits, folder="takes", on_bad_file="skip", val_pattern="9", test_pattern=r"_0\.")
    assert firsts(data, "train") == [1, 2, 5, 6, 7, 8, *range(11, 19)]
    assert "2 sound file(s)" in said[0] and "0_ann_3.wav (cut" in said[0] and said[0].endswith("they are left out")
    assert said[1].startswith(f"{folder}: 18 files, ")
    for path in folder.iterdir():
        path.write_text("")
    with pytest.raises(InputError, match=r"20 sound file\(s\).* \.\.\.; replace"):
        ready(digits, folder="takes", on_bad_file="skip")


def test_a_skipped_file_moves_no_other_into_validation(digits):
    whole = ready(digits, folder="takes", validation=0.2)
    (digits / "takes" / f"0_ann_{min(firsts(whole, 'val'))}.wav").write_text("not a sound")
    part = ready(digits, folder="takes", validation=0.2, on_bad_file="skip")
    assert firsts(part, "val") == sorted(firsts(whole, "val"))[1:]
    assert firsts(part, "train") == firsts(whole, "train")


def test_what_is_said(tmp_path, sound, said):
    for index, rate in enumerate([8000, 8000, 16000, 44100]):
        sound(tmp_path / f"{index}.wav", rate // 2, rate=rate)
    ready(tmp_path, validation=0.25)
    assert said == [
        f"{tmp_path}: files are resampled to 16000 Hz: 2 of 8000 Hz, 1 of 44100 Hz",
        f"{tmp_path}: 4 files, 0.00 h; slicing consecutive, 100 % of the files hold two clips or more; clips: 3000"
        " train, 1000 val",
    ]
    sound(tmp_path / "short.wav", 4)
    said.clear()
    ready(tmp_path, val_pattern="0")
    assert said[1].endswith("clips: 3000 train, 1000 val (1 files are shorter than a clip and give none)")


def test_slicing(tmp_path, sound):
    for index in range(4):
        sound(tmp_path / f"{index}.wav", np.arange(20, dtype=np.int16) + 100 * index)
    options = {"val_pattern": "0", "slicing": "consecutive", "overlap": 0.5}
    data = ready(tmp_path, **options)
    assert data.splits["val"][:].audio[:, 0, 0].tolist() == [0, 4, 8, 12]
    assert len(data.splits["train"]) == 12
    data = ready(tmp_path, **{**options, "overlap": 0, "pad_end": True})
    assert data.splits["val"][:].audio[:, 0, 0].tolist() == [0, 8, 16]
    assert data.splits["val"][2].audio.tolist() == [[16, 17, 18, 19, 0, 0, 0, 0]]
    assert ready(tmp_path).splits["train"].slicing == "consecutive"
    assert ready(tmp_path, length=15).splits["train"].slicing == "random"
    assert ready(tmp_path, length=20).splits["train"].slicing == "first"


def test_no_clip_at_all(tmp_path, sound):
    for index in range(4):
        sound(tmp_path / f"{index}.wav", 6 + index)
    with pytest.raises(
        InputError,
        match=r"^no train clip: the longest of 3 files has 9 samples \(0.00 s at 16000 Hz\), at least 10 .*"
        r"use --data.slicing first, --data.pad_end true or a shorter --data.length$",
    ):
        ready(tmp_path, length=10, slicing="consecutive", val_pattern="0")
    with pytest.raises(InputError, match=r"^no val clip: the longest of 1 files has 6 samples"):
        ready(tmp_path, slicing="consecutive", val_pattern="0")
    with pytest.raises(InputError, match=r"3 training clips make no batch of 64 .*or use more clips"):
        ready(tmp_path, slicing="random", val_pattern="0").train_dataloader()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"length": 0}, "length is 0"),
        ({"sample_rate": 0}, "sample_rate is 0"),
        ({"channels": 3}, "channels is 3"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"slicing": "last"}, "slicing is last"),
        ({"overlap": 1.0}, "overlap is 1.0"),
        ({"overlap": 0.99}, "overlap is 0.99"),  # of 16 samples, less than one is left for the hop
        ({"normalize": "loud"}, "normalize is loud"),
        ({"validation": 1.0}, "validation is 1.0"),
        ({"on_bad_file": "cry"}, "on_bad_file is cry"),
        ({"label_pattern": "[0-9"}, r"label_pattern '\[0-9' is not a regular expression"),
        ({"test_pattern": "(a"}, r"test_pattern '\(a' is not a regular expression"),
        ({"label_pattern": "[0-9]"}, r"label_pattern '\[0-9\]' has no group"),
        ({"label_pattern": ""}, "label_pattern '' has no group"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(InputError, match=message):
        AudioFolder(**{"length": 16, **wrong})


def test_scaling_and_peaks():
    audio = torch.tensor([[0, 0], [8192, -16384], [32767, -32768]], dtype=torch.int16)[:, None]
    batch = AudioBatch(audio, torch.arange(3))
    scaled = AudioFolder().on_after_batch_transfer(batch, 0)
    assert scaled.audio.tolist() == [[[0, 0]], [[0.25, -0.5]], [[32767 / 32768, -1]]]
    assert scaled.label.tolist() == [0, 1, 2]
    scaled = AudioFolder(normalize="peak_slice").on_after_batch_transfer(batch, 0)
    assert scaled.audio.tolist() == [[[0, 0]], [[0.5, -1]], [[32767 / 32768, -1]]]  # silence stays silence
    stereo = AudioBatch(torch.tensor([[[100, 0], [0, -200]]], dtype=torch.int16), torch.zeros(1))
    scaled = AudioFolder(normalize="peak_slice").on_after_batch_transfer(stereo, 0)
    assert scaled.audio.tolist() == [[[0.5, 0], [0, -1]]]
    assert audio[1].tolist() == [[8192, -16384]]


def test_peaks_of_files(tmp_path, sound):
    for index in range(2):
        sound(tmp_path / f"{index}.wav", np.array([0.25] * 8 + [0.5] * 8) * index)
    data = ready(tmp_path, slicing="consecutive", normalize="peak_file", validation=0)
    assert data.splits["train"][:].audio[:, 0, 3].tolist() == [0, 0, 16384, 32767]


def test_batches_from_single_clips(digits):
    clips = ready(digits, folder="takes").splits["train"]
    batch = as_batch([clips[0], clips[3]])
    assert isinstance(batch, AudioBatch)
    assert batch.audio.equal(clips.__getitems__([0, 3]).audio)
    assert batch.label.shape == (2,)


def counting(folder: Path, sound) -> AudioFolder:
    """Files whose samples tell which file they are of, and where they are in it."""
    for index in range(10):
        path = folder / f"{index}.wav"
        if not path.exists():
            sound(path, np.arange(500, dtype=np.int16) + 1000 * index)
    return AudioFolder(str(folder), length=8, slicing="random", batch_size=2)


def test_each_process_draws_what_one_would(tmp_path, sound):
    def seen(world_size: int, epoch: int) -> set[int]:
        found = []
        for rank in range(world_size):
            data = counting(tmp_path, sound)
            data.setup("fit")
            progress = SimpleNamespace(current=SimpleNamespace(processed=0))
            loop = SimpleNamespace(restarting=False, epoch_progress=progress)
            loop.epoch_loop = SimpleNamespace(batch_progress=None)
            data.trainer = SimpleNamespace(world_size=world_size, global_rank=rank, fit_loop=loop)
            loader = data.train_dataloader()
            loader.sampler.set_epoch(epoch)
            found += [value for batch in loader for value in batch.audio[:, 0, 0].tolist()]
        assert len({value // 1000 for value in found}) == len(found) == 8
        return set(found)

    everything = [set(), set()]
    for epoch in range(12):  # nine files for training, one is left out in turns
        one, two = seen(1, epoch), seen(2, epoch)
        assert len({value // 1000 for value in one} & {value // 1000 for value in two}) >= 7
        everything = [before | now for before, now in zip(everything, (one, two), strict=True)]
        same = [value for value in two if any(value // 1000 == other // 1000 for other in one)]
        assert set(same) <= one
    assert len(everything[0]) > 80  # another place in almost every epoch
    data = counting(tmp_path, sound)
    data.setup("fit")
    held_out = [torch.cat([batch.audio for batch in data.val_dataloader()]) for _ in range(2)]
    assert held_out[0].equal(held_out[1])


def test_the_free_spoken_digits(data_root, said):
    data = ready(
        data_root,
        folder="fsdd",
        length=16384,
        label_pattern=r"(\d)_[a-z]+_\d+\.",
        test_pattern=r"_[0-4]\.[a-z]+$",
        val_pattern=r"_[5-9]\.[a-z]+$",
    )
    assert {split: len(clips) for split, clips in data.splits.items()} == {"train": 2400, "val": 300, "test": 300}
    assert data.class_names == list("0123456789")
    assert data.splits["test"].label.bincount().tolist() == [30] * 10
    assert said == [
        f"{data_root / 'fsdd'}: files are resampled to 16000 Hz: 3000 of 8000 Hz",
        f"{data_root / 'fsdd'}: 3000 files, 0.36 h; slicing first, 99 % of the files fit into a clip;"
        " clips: 2400 train, 300 val, 300 test",
    ]
    sounds = data.splits["train"].sounds
    assert sounds.hours() * 3600 == pytest.approx(1312, abs=1)
    assert (sounds.length <= 16384).sum() == 2983
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch.audio.shape == (64, 1, 16384)
    power = torch.fft.rfft(batch.audio).abs().square().mean((0, 1))
    assert power[4200:].sum() < 1e-3 * power.sum()  # resampled from 8 kHz: nothing above 4 kHz
