from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lightning_gans.audio import MelConfig, log_mel
from lightning_gans.data import MelFolder
from lightning_gans.data.batches import MelBatch
from lightning_gans.data.mels.base import LEAST_FRAMES
from lightning_gans.errors import InputError

HOP, BANDS = 16, 6
MEL = dict(name="melgan", sample_rate=8000, n_fft=64, win_length=64, hop_length=HOP, n_mels=BANDS)
CROP = 10 * HOP


def ready(root: Path, **options) -> MelFolder:
    data = MelFolder(str(root), **{"mel": MEL, "crop": CROP, "batch_size": 2, **options})
    data.prepare_data()
    data.setup("fit")
    return data


def noise(seed: int, samples: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-8000, 8000, samples).astype(np.int16)


@pytest.fixture
def said(monkeypatch) -> list[str]:
    """What is told to the user."""
    lines: list[str] = []
    for name in ("mels.base.rank_zero_info", "mels.folder.rank_zero_warn", "audio.sounds.rank_zero_info"):
        monkeypatch.setattr(f"lightning_gans.data.{name}", lines.append)
    monkeypatch.setattr("lightning_gans.data.audio.sounds.rank_zero_warn", lines.append)
    return lines


@pytest.fixture
def talk(tmp_path, sound) -> Path:
    """Seven files of 20 to 26 frames and one sample, of noise."""
    for index in range(7):
        sound(tmp_path / "talk" / f"{index}.wav", noise(index, (20 + index) * HOP + 1), rate=8000)
    return tmp_path


def rows(data: MelFolder) -> dict[str, list[int]]:
    return {split: part.rows.tolist() for split, part in data.splits.items()}


def evaluated(data: MelFolder, loader: str) -> list[MelBatch]:
    return [data.on_after_batch_transfer(batch, 0) for batch in getattr(data, f"{loader}_dataloader")()]


def test_batches(talk, said):
    data = ready(talk, folder="talk", val_pattern="[01]", test_pattern="2", context=1)
    assert (data.audio_kind, data.sample_rate, data.context) == ("mel", 8000, 1)
    assert data.mel == MelConfig.of(MEL)
    assert rows(data) == {"train": [3, 4, 5, 6], "val": [0, 1], "test": [2]}
    assert said == [f"{talk / 'talk'}: files at 8000 Hz: 4 train (0.0 min), 2 val (0.0 min), 1 test (0.0 min)"]
    batches = [data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader()]
    assert [(batch.mel.shape, batch.audio.shape) for batch in batches] == [((2, BANDS, 12), (2, 1, CROP))] * 2
    for loader, files in (("val", [0, 1]), ("test", [2]), ("predict", [2]), ("reference", [3, 4, 5, 6])):
        for batch, index in zip(evaluated(data, loader), files, strict=True):
            audio = torch.from_numpy(noise(index, (20 + index) * HOP + 1) / np.float32(32768))
            assert batch.audio.equal(audio[None, None, :-1])
            mel = log_mel(audio, data.mel)
            assert mel.shape[1] == 20 + index
            torch.testing.assert_close(batch.mel[0, :, 1:-1], mel, atol=1e-5, rtol=0)


def test_some_files_come_more_often(talk):
    data = ready(talk, val_pattern="[01]", repeat={"[34]": 3, "talk": 2}, crops_per_file=2)
    assert sorted(rows(data)["train"]) == [2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6, 6]
    assert rows(data)["val"] == [0, 1]
    assert len(data.splits["train"]) == 24
    assert len(evaluated(data, "reference")) == 5  # each once
    with pytest.raises(InputError, match="repeat '0' finds none of 5 training files, such as talk/2"):
        ready(talk, val_pattern="[01]", repeat={"0": 2})
    with pytest.raises(InputError, match=r"repeat is \{'3': 0\}; expected a whole number of at least 1"):
        MelFolder(mel=MEL, crop=CROP, repeat={"3": 0})
    with pytest.raises(InputError, match=r"repeat '\(' is not a regular expression"):
        MelFolder(mel=MEL, crop=CROP, repeat={"(": 2})


def test_copies_at_other_speeds_come_as_often_as_their_files(talk):
    data = ready(talk, val_pattern="[0-4]", speeds=[0.8], repeat={r"5\.wav$": 3})
    names = [data.splits["train"].sounds.names[row] for row in rows(data)["train"]]
    assert sorted(names) == [
        *["talk/5.wav"] * 3,
        *["talk/5.wav at speed 0.8"] * 3,
        "talk/6.wav",
        "talk/6.wav at speed 0.8",
    ]


def test_held_out(talk):
    assert rows(ready(talk, val_pattern="talk/[45]"))["val"] == [4, 5]
    data = ready(talk, validation=0.3)
    assert len(data.splits["val"]) == 2 and data.test_is_validation
    assert sorted(rows(data)["train"] + rows(data)["val"]) == list(range(7))
    data = ready(talk, validation=0)
    assert [batch.audio.shape[-1] // HOP for batch in evaluated(data, "val")] == list(range(20, 27))
    assert data.test_is_validation
    with pytest.raises(InputError, match="no file is left for train"):
        ready(talk, val_pattern="talk")
    with pytest.raises(InputError, match=r"'x' finds none of 7 files, such as talk/0\.wav"):
        ready(talk, val_pattern="x")


def names_of(data: MelFolder, split: str) -> list[str]:
    return [data.splits[split].sounds.names[row] for row in np.unique(data.splits[split].rows)]


@pytest.mark.parametrize("speeds", [None, [1.25]])
def test_a_skipped_file_moves_no_other_into_validation(talk, sound, speeds):
    options = dict(folder="talk", validation=0.3, speeds=speeds)
    whole = ready(talk, **options)
    broken, *val = names_of(whole, "val")
    silent, *train = names_of(whole, "train")
    (talk / "talk" / broken).write_text("not a sound")
    sound(talk / "talk" / silent, 9999, value=0.0, rate=8000)
    part = ready(talk, **options, on_bad_file="skip")
    assert names_of(part, "val") == val and len(val) == 1
    assert names_of(part, "train") == [name for name in train if not name.startswith(silent)]


def test_all_validation_files_are_skipped(talk):
    (talk / "talk" / "0.wav").write_text("not a sound")
    with pytest.raises(InputError, match=r"^no file is left for val; use more files, or hold out others$"):
        ready(talk, val_pattern="0", on_bad_file="skip")


def test_short_files(talk, sound, said):
    sound(talk / "talk" / "7.wav", noise(7, HOP), rate=8000)
    sound(talk / "talk" / "8.wav", noise(8, HOP - 1), rate=8000)
    sound(talk / "talk" / "9.wav", noise(9, CROP - 1), rate=8000)
    folder, options = talk / "talk", {"folder": "talk", "val_pattern": "[01]"}
    assert rows(ready(talk, **options))["train"] == [2, 3, 4, 5, 6, 7, 9]
    assert said[:2] == [
        f"{folder}: 1 train file(s) have fewer than 1 frame(s) (0.00 s) and are left out",
        f"{folder}: 2 train file(s) are shorter than a crop; zeros follow them",
    ]
    said.clear()
    data = ready(talk, **options, short="skip")
    assert rows(data)["train"] == [2, 3, 4, 5, 6]
    assert said[0] == f"{folder}: 3 train file(s) have fewer than 10 frame(s) (0.02 s) and are left out"
    said.clear()
    data = ready(talk, folder="talk", val_pattern="[01789]")
    assert LEAST_FRAMES == 16 and rows(data)["val"] == [0, 1]
    assert said[0] == f"{folder}: 3 val file(s) have fewer than 16 frame(s) (0.03 s) and are left out"
    with pytest.raises(
        InputError,
        match=r"^no train example: the longest of 3 files has 159 samples \(0.02 s at 8000 Hz\), at least 160"
        r" \(0.02 s\) are needed; use --data.short pad, a smaller --data.crop or longer files$",
    ):
        ready(talk, folder="talk", val_pattern="[0-6]", short="skip")
    with pytest.raises(InputError, match=r"^no val example: the longest of 1 files has 16 .*needed; use longer files$"):
        ready(talk, folder="talk", val_pattern="7")


def test_too_few_for_a_batch(talk):
    with pytest.raises(InputError, match=r"^5 training examples make no batch of 6 on .*batch_size to at most 5"):
        ready(talk, val_pattern="[01]", batch_size=6).train_dataloader()
    data = ready(talk, val_pattern="[01]", batch_size=6, crops_per_file=2)
    assert len(data.train_dataloader()) == 1 and len(data.splits["train"]) == 10


def test_unusable_files(talk, sound, said):
    folder = talk / "talk"
    sound(folder / "3.wav", 999, value=0.0, rate=8000)
    (folder / "4.wav").write_bytes((folder / "4.wav").read_bytes()[:-2])
    with pytest.raises(
        InputError, match=r"^2 sound file\(s\) in .*3.wav \(silent: all samples are 0\), 4.wav \(cut"
    ) as e:
        ready(talk, folder="talk")
    assert str(e.value).endswith("replace or remove them, or leave them out with --data.on_bad_file skip")
    data = ready(talk, folder="talk", val_pattern="[01]", on_bad_file="skip")
    assert [data.splits["train"].sounds.names[row] for row in rows(data)["train"]] == ["2.wav", "5.wav", "6.wav"]
    assert said[0].endswith("they are left out")
    sound(folder / "5.wav", np.repeat([1.0, -1.0], 200), rate=8000)
    said.clear()
    ready(talk, folder="talk", val_pattern="[01]", on_bad_file="skip")
    assert "1 sound file(s)" in said[1]
    assert "5.wav (400 samples" in said[1] and "they are used" in said[1]


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match=r"no folder talk in .*looked for \*.wav.*--data.root DIR"):
        ready(tmp_path, folder="talk")
    with pytest.raises(InputError, match=r"no sound file in .*looked for \*.wav, \*.flac"):
        ready(tmp_path)


def test_other_rates_and_peaks(tmp_path, sound, said):
    time = np.arange(16000) / 16000
    sound(tmp_path / "a.wav", 0.2 * np.sin(2 * np.pi * 500 * time), rate=16000)
    data = ready(tmp_path, validation=0, normalize="peak_file", peak=0.5, batch_size=1)
    batch = evaluated(data, "val")[0]
    assert batch.audio.shape == (1, 1, 8000)
    assert batch.audio.abs().max().item() == pytest.approx(0.5, abs=1e-4)
    expected = 0.5 * torch.sin(2 * torch.pi * 500 * torch.arange(8000) / 8000)
    assert (batch.audio[0, 0, 100:-100] - expected[100:-100]).abs().max() < 5e-3
    assert said[0] == f"{tmp_path}: files are resampled to 8000 Hz: 1 of 16000 Hz"


def test_gain_is_for_training_only(talk):
    data = ready(talk, validation=0, gain=(0.25, 0.5), short="skip", crop=20 * HOP, batch_size=1)
    whole = {batch.audio.shape[-1]: batch for batch in evaluated(data, "reference")}
    batch = data.on_after_batch_transfer(data.splits["train"].__getitems__([0]), 0)
    loud = whole[20 * HOP]
    gain = (batch.audio.abs().max() / loud.audio.abs().max()).item()
    assert 0.25 <= gain <= 0.5
    torch.testing.assert_close(batch.mel, loud.mel + np.log10(gain), atol=1e-4, rtol=0)


def test_trimmed(tmp_path, sound):
    sound(tmp_path / "a.wav", np.concatenate([np.zeros(20000), noise(0, 8000) / 32768, np.zeros(20000)]), rate=8000)
    lengths = [ready(tmp_path, validation=0, trim_silence=t).splits["val"].sounds.length[0] for t in (False, True)]
    assert lengths[0] == 48000 and 8000 <= lengths[1] < 8000 + 4096


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"crop": 100},
            r"^crop is 100 .*frames of 16 samples \(mel melgan\); use 96 \(6 .*\) or 112 \(7 frames\)$",
        ),
        ({"crop": 7}, r"; use 16 \(1 frames\)$"),
        ({"crop": 0}, "crop is 0"),
        ({"crops_per_file": 0}, "crops_per_file is 0"),
        ({"context": -1}, "context is -1"),
        ({"normalize": "peak_slice"}, "normalize is peak_slice; expected none or peak_file"),
        ({"peak": 1.5}, "peak is 1.5"),
        ({"gain": (0.0, 1.0)}, "gain is .* expected numbers, each a number above 0"),
        ({"gain": (0.9, 0.3)}, "gain is .* expected two numbers"),
        ({"short": "cut"}, "short is cut; expected pad or skip"),
        ({"on_bad_file": "cry"}, "on_bad_file is cry"),
        ({"validation": 1.0}, "validation is 1.0"),
        ({"val_pattern": "[a"}, r"val_pattern '\[a' is not a regular expression"),
        ({"mel": "melgun"}, "unknown mel 'melgun'"),
        ({"mel_suffix": ".mel"}, "mel_suffix is '.mel'; expected an ending such as .npy"),
        (
            {"mel_suffix": ".npy", "gain": (0.3, 1), "trim_silence": True},
            "^gain and trim_silence would change the sound and not its mel file",
        ),
        ({"mel_suffix": ".npy", "normalize": "peak_file"}, "^normalize peak_file would change"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(InputError, match=message):
        MelFolder(**{"mel": MEL, "crop": CROP, **wrong})


# ---- mels from files


def ramp(file: int, frames: int) -> np.ndarray:
    """Value -file - frame / 100 in all bands, of (L, M)."""
    return np.repeat((-file / 2 - np.arange(frames) / 100)[:, None], BANDS, 1).astype(np.float32)


@pytest.fixture
def pairs(talk) -> Path:
    """A mel beside each sound, of as many frames, one more or one less, either axis first."""
    for index in range(7):
        mel = ramp(index, 20 + index + index % 3 - 1)
        np.save(talk / "talk" / f"{index}_mel.npy", mel.T if index % 2 else mel)
    return talk


def test_mels_from_files(pairs):
    data = ready(pairs, mel_suffix="_mel.npy", val_pattern="[01]\\.", context=2, crops_per_file=20)
    assert rows(data)["val"] == [0, 1] and rows(data)["train"] == [2, 3, 4, 5, 6]
    for index, batch in enumerate(evaluated(data, "val")):
        frames = 20 + index - (index == 0)  # the sound is cut to the mel, and the mel to the sound
        expected = torch.from_numpy(ramp(index, frames)).T
        assert batch.mel[0, :, 2:-2].equal(expected)
        assert batch.mel[0, 0, [0, 1, -2, -1]].tolist() == expected[0, [0, 0, -1, -1]].tolist()
        audio = noise(index, (20 + index) * HOP + 1)[: frames * HOP] / np.float32(32768)
        assert batch.audio[0, 0].equal(torch.from_numpy(audio))
    crops = data.splits["train"]
    for index in range(len(crops)):
        file, first = crops.span(index)[:2]
        batch = data.on_after_batch_transfer(crops.__getitems__([index]), 0)
        length = 20 + file - (file % 3 == 0)
        frame = torch.arange(first - 2, first + 12).clamp(0, length - 1)
        assert first + 10 <= length and batch.mel[0].T.equal(torch.from_numpy(ramp(file, 30))[frame])
        audio = noise(file, (20 + file) * HOP + 1)[first * HOP :][:CROP] / np.float32(32768)
        assert batch.audio[0, 0].equal(torch.from_numpy(audio))


def test_mels_that_do_not_fit(pairs, said):
    folder = pairs / "talk"
    np.save(folder / "2_mel.npy", ramp(2, 24))
    np.save(folder / "3_mel.npy", np.full((23, BANDS), np.nan))
    np.save(folder / "4_mel.npy", ramp(4, 24)[:, 1:])
    (folder / "5_mel.npy").unlink()
    with pytest.raises(InputError) as error:
        ready(pairs, folder="talk", mel_suffix="_mel.npy")
    assert str(error.value).startswith(
        f"4 sound file(s) in {folder} cannot be used: 2.wav (2_mel.npy has 24 frames, 353 samples at 8000 Hz make 22 of"
        " 16), 3.wav (3_mel.npy: values that are not finite, first in frame 0), 4.wav (4_mel.npy: its shape is (24, 5);"
        " expected (frames, 6) or (6, frames)), 5.wav (there is no 5_mel.npy beside it); replace"
    )
    data = ready(pairs, folder="talk", mel_suffix="_mel.npy", val_pattern="[01]", on_bad_file="skip")
    assert [data.splits["train"].sounds.names[row] for row in rows(data)["train"]] == ["6.wav"]
    batch = data.on_after_batch_transfer(data.splits["train"].__getitems__([0]), 0)
    assert -3.3 < batch.mel.min() and batch.mel.max() <= -3


def test_mels_of_another_convention(pairs, said):
    np.save(pairs / "talk" / "6_mel.npy", np.full((26, BANDS), np.log(1e-5)))
    ready(pairs, folder="talk", mel_suffix="_mel.npy")
    assert said[0].startswith(f"{pairs / 'talk'}: the mel has values from -11.51 to ")


# ---- several processes


def place(world_size: int, rank: int) -> SimpleNamespace:
    progress = SimpleNamespace(current=SimpleNamespace(processed=0))
    loop = SimpleNamespace(restarting=False, epoch_progress=progress, epoch_loop=SimpleNamespace(batch_progress=None))
    return SimpleNamespace(world_size=world_size, global_rank=rank, fit_loop=loop)


@pytest.mark.parametrize("world_size", [2, 3])
def test_every_process_has_as_many_batches_and_no_frame_is_lost(talk, world_size):
    shares = []
    for rank in range(world_size):
        data = ready(talk, validation=0)
        data.trainer = place(world_size, rank)
        shares.append(evaluated(data, "val"))
    assert len({len(share) for share in shares}) == 1
    assert sum(batch.audio.shape[-1] for share in shares for batch in share) == sum(range(20, 27)) * HOP
    one = np.sort(torch.cat([batch.mel.sum(1).flatten() for batch in evaluated(ready(talk, validation=0), "val")]))
    many = np.sort(torch.cat([batch.mel.sum(1).flatten() for share in shares for batch in share]))
    np.testing.assert_allclose(many, one, atol=1e-4)


def test_processes_share_the_crops_of_one(talk):
    def seen(world_size: int) -> list[tuple[float, ...]]:
        found = []
        for rank in range(world_size):
            data = ready(talk, val_pattern="0", batch_size=6 // world_size, gain=(0.3, 1.0))
            data.trainer = place(world_size, rank)
            found += [
                (gain, *audio[0, :50].tolist())
                for batch in data.train_dataloader()
                for audio, gain in zip(batch.audio, batch.gain.tolist(), strict=True)
            ]
        return sorted(found)

    assert len(set(seen(1))) == 6 and seen(1) == seen(2) == seen(3)


def test_training_files_at_other_speeds(talk):
    plain, faster = (ready(talk, folder="talk", val_pattern="[01]", speeds=speeds) for speeds in (None, [0.8, 1.25]))
    sounds, train = faster.splits["train"].sounds, rows(faster)["train"]
    names = [sounds.names[row] for row in train]
    own = [plain.splits["train"].sounds.names[row] for row in rows(plain)["train"]]
    assert names[: len(own)] == own and len(names) == 3 * len(own)
    assert rows(faster)["val"] == rows(plain)["val"]
    for row, name in zip(train[len(own) :], names[len(own) :], strict=True):
        file, speed = sounds.copies[name]
        file_length = sounds.length[sounds.names.index(file)]
        assert name.startswith(file) and abs(sounds.length[row] - file_length / speed) <= 1
    assert faster.fingerprint() != plain.fingerprint()


def test_nothing_held_out_validates_on_the_files_as_they_are(talk):
    data = ready(talk, folder="talk", validation=0, speeds=[0.8])
    validated = data.splits["val"].rows
    assert {*validated.tolist()} < {*data.splits["train"].rows.tolist()}
    assert not {data.splits["val"].sounds.names[row] for row in validated} & data.splits["val"].sounds.copies.keys()


def test_a_tone_at_twice_the_speed_is_an_octave_higher(tmp_path, sound):
    for name in "ab":
        sound(tmp_path / f"{name}.wav", np.sin(2 * np.pi * 440 * np.arange(8000) / 8000) / 2, rate=8000)
    sounds = ready(tmp_path, folder=".", val_pattern="^a", speeds=[2.0]).splits["train"].sounds
    spectrum = np.abs(np.fft.rfft(sounds[sounds.names.index("b.wav at speed 2")][0]))
    assert len(sounds.names) == 3 and np.argmax(spectrum) * 8000 / 4000 == 880
