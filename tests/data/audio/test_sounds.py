import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lightning_gans.data.audio import decoding, sounds
from lightning_gans.data.audio.sounds import SUFFIXES, decoded_sounds
from lightning_gans.data.files import walk
from lightning_gans.errors import InputError


def decoded(root: Path, sample_rate: int = 16000, channels: int = 1, peak: float | None = None) -> sounds.Sounds:
    return decoded_sounds(root, walk(root, SUFFIXES), sample_rate, channels, peak)


def samples(result: sounds.Sounds, name: str) -> np.ndarray:
    row = result.names.index(name)
    start, length = result.start[row], result.length[row]
    return result.samples[start : start + result.channels * length].reshape(result.channels, length)


def tone(frames: int, hertz: float = 440, rate: int = 16000) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(frames) / rate)


def test_16_bit_files_keep_their_samples(tmp_path, sound):
    ramp = np.array([-32768, -32767, -1, 0, 1, 2, 32767], np.int16)
    sound(tmp_path / "a.wav", ramp)
    sound(tmp_path / "sub" / "b.flac", ramp[::-1])
    result = decoded(tmp_path)
    assert result.names == ["a.wav", "sub/b.flac"]
    assert samples(result, "a.wav").tolist() == [ramp.tolist()]
    assert samples(result, "sub/b.flac").tolist() == [ramp[::-1].tolist()]
    assert result.hours() == pytest.approx(14 / 16000 / 3600)
    assert result.hours(np.array([1])) == pytest.approx(7 / 16000 / 3600)


def test_channels(tmp_path, sound):
    sound(tmp_path / "mono.wav", np.array([0.5, -0.25]))
    sound(tmp_path / "stereo.wav", np.array([[0.5, -0.25], [0.125, 0.375]]))
    mono, stereo = decoded(tmp_path), decoded(tmp_path, channels=2)
    assert samples(mono, "mono.wav").tolist() == [[16384, -8192]]
    assert samples(mono, "stereo.wav").tolist() == [[4096, 8192]]
    assert samples(stereo, "mono.wav").tolist() == [[16384, -8192]] * 2
    assert samples(stereo, "stereo.wav").tolist() == [[16384, 4096], [-8192, 12288]]
    sound(tmp_path / "surround.wav", np.full((2, 6), 0.5))
    assert samples(decoded(tmp_path), "surround.wav").tolist() == [[16384, 16384]]
    with pytest.raises(InputError, match=r"surround.wav has 6 channels, .*--data.channels 1"):
        decoded(tmp_path, channels=2)


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_an_mp3_that_does_not_say_how_long_it_is(tmp_path, sound, mode, rate):
    wave = np.concatenate([tone(50_000), tone(50_000) / 2 + np.random.default_rng(0).normal(0, 0.1, 50_000)])
    sound(tmp_path / "told.mp3", wave, rate=rate, format="MP3", bitrate_mode=mode, compression_level=0.3)
    data = (tmp_path / "told.mp3").read_bytes()
    bare = data[data.index(data[:2], 4) :]  # without the first frame, which is silent and says it
    (tmp_path / "bare.mp3").write_bytes(bare)
    (tmp_path / "tagged.mp3").write_bytes(b"ID3\3\0\0\0\6\0\0" + bytes(6 << 14) + bare + b"TAG" + bytes(125))
    result = decoded(tmp_path, rate)
    assert not result.broken
    told, *others = (samples(result, f"{name}.mp3")[0].astype(int) for name in ("told", "bare", "tagged"))
    delay = 1105  # of encoder and decoder: what is told leaves it out
    for other in others:
        assert len(told) == 100_000 and delay + 100_000 <= len(other) < delay + 100_000 + 2 * 1152
        assert np.abs(other[delay : delay + 100_000] - told).max() <= 1


@pytest.mark.parametrize("rate", [8000, 44100])
def test_resampling(tmp_path, sound, rate):
    sound(tmp_path / "a.wav", tone(rate // 2 + 1, rate=rate), rate=rate, subtype="FLOAT")
    sound(tmp_path / "b.wav", tone(8000), subtype="FLOAT")
    result = decoded(tmp_path)
    assert result.source_rates == {rate: 1, 16000: 1}
    assert result.length.tolist() == [{8000: 8002, 44100: 8001}[rate], 8000]
    difference = samples(result, "a.wav")[0, 200:7800] / 32768 - tone(8000)[200:7800]
    assert np.abs(difference).max() < 2e-3


def test_a_resampler_that_misses_the_length(tmp_path, sound, monkeypatch):
    sound(tmp_path / "a.wav", 5, rate=8000)
    for wrong in (9, 10, 12):
        monkeypatch.setenv("LIGHTNING_GANS_CACHE", str(tmp_path / f"cache{wrong}"))
        monkeypatch.setattr(decoding, "resample", lambda audio, *_, wrong=wrong: audio[:, :1].repeat(1, wrong))
        assert samples(decoded(tmp_path), "a.wav").tolist() == [[8192] * min(wrong, 10) + [0] * (10 - wrong)]


def test_a_missing_resampler_is_not_the_files_fault(tmp_path, sound, monkeypatch):
    def refuse(*_):
        raise InputError("torchaudio cannot be loaded")

    sound(tmp_path / "a.wav", 5, rate=8000)
    monkeypatch.setattr("lightning_gans.data.audio.decoding.resample", refuse)
    with pytest.raises(InputError, match="torchaudio cannot be loaded"):
        decoded(tmp_path)


def test_peaks_and_clipping(tmp_path, sound):
    sound(tmp_path / "loud.wav", np.array([2.0, -4.0, 1.0]), subtype="FLOAT")
    sound(tmp_path / "quiet.wav", np.array([[0.25, 0.125], [0, -0.5]]))
    sound(tmp_path / "silent.wav", np.zeros(3))
    assert samples(decoded(tmp_path), "loud.wav").tolist() == [[32767, -32768, 32767]]
    assert samples(decoded(tmp_path), "silent.wav").tolist() == [[0, 0, 0]]
    result = decoded(tmp_path, channels=1, peak=1.0)
    assert samples(result, "loud.wav").tolist() == [[16384, -32768, 8192]]
    assert samples(result, "silent.wav").tolist() == [[0, 0, 0]]
    # one factor for the file, so that its channels keep their balance
    (tmp_path / "loud.wav").unlink()
    assert samples(decoded(tmp_path, channels=2, peak=1.0), "quiet.wav").tolist() == [[16384, 0], [8192, -32768]]


FORMATS = {
    "a.wav": {},
    "float.wav": {"subtype": "FLOAT"},
    "a.flac": {},
    "a.ogg": {"format": "OGG", "subtype": "VORBIS"},
    "a.opus": {"format": "OGG", "subtype": "OPUS"},
    "a.mp3": {},
    "a.aiff": {},
    "a.au": {},
    "a.caf": {},
    "a.w64": {},
    "a.rf64": {"format": "RF64"},
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_whole_and_cut_short(tmp_path, sound, name):
    whole, cut = tmp_path / "whole" / name, tmp_path / "cut" / name
    sound(whole, tone(20001), **FORMATS[name])
    result = decoded(whole.parent)
    assert not result.broken
    assert result.length.tolist() == [20001]
    correlation = np.corrcoef(samples(result, name)[0, :20000], tone(20000))[0, 1]
    assert correlation > 0.99  # not the same samples where they are coded with losses
    cut.parent.mkdir()
    for share in (0.9, 0.5, 0.0):
        data = whole.read_bytes()
        cut.write_bytes(data[: int(share * len(data))])
        result = decoded(cut.parent)
        assert list(result.broken) == [name], share
        assert result.names == []
        assert "\n" not in result.broken[name] and str(cut) not in result.broken[name]


def test_files_that_are_no_sound(tmp_path, sound):
    sound(tmp_path / "good.wav", 100)
    sound(tmp_path / "late.wav", 50, value=0.5)
    sound(tmp_path / "empty.wav", 0)
    sound(tmp_path / "nan.wav", np.array([0.1, np.nan]), subtype="FLOAT")
    (tmp_path / "text.mp3").write_text("not a sound")
    (tmp_path / "notes.txt").write_text("not even its name says so")
    result = decoded(tmp_path)
    assert result.names == ["good.wav", "late.wav"]
    assert set(result.broken) == {"empty.wav", "nan.wav", "text.mp3"}
    assert result.broken["empty.wav"] == "no samples"
    assert result.broken["nan.wav"] == "samples that are not finite"
    assert (samples(result, "late.wav") == 16384).all()
    assert result.source_rates == {16000: 2}


def test_sizes(tmp_path, sound):
    """What a header says is compared with what is there, but for files written into a pipe."""
    sound(tmp_path / "a.wav", tone(1000))
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[4:8] = data[40:44] = b"\xff" * 4
    (tmp_path / "a.wav").write_bytes(data)
    assert decoded(tmp_path).length.tolist() == [1000]
    data[40:44] = (2002).to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    assert decoded(tmp_path).broken["a.wav"] == "cut short: its header promises 2002 bytes, it holds 2000"


def test_the_cache_is_used_until_something_changes(tmp_path, sound, cache, monkeypatch):
    folder = tmp_path / "sounds"
    sound(folder / "a.wav", 10)
    (folder / "b.wav").write_text("not a sound")
    first = decoded(folder)
    with monkeypatch.context() as patch:
        measure = sounds.measure
        patch.setattr(sounds, "measure", lambda path: pytest.fail("again") if path.name == "a.wav" else measure(path))
        again = decoded(folder)
    assert samples(again, "a.wav").tolist() == samples(first, "a.wav").tolist() == [[8192] * 10]
    assert (again.names, again.broken) == (first.names, first.broken)
    kept = cache.parent / "audio"
    assert sorted(path.suffix for path in kept.iterdir()) == [".int16", ".json"]
    assert json.loads(next(kept.glob("*.json")).read_text())["entries"]["length"] == [10]
    for options in ({"sample_rate": 8000}, {"channels": 2}, {"peak": 1.0}):
        decoded(folder, **options)
    assert len(list(kept.glob("*.int16"))) == 4
    sound(folder / "a.wav", 10, value=0.5)
    os.utime(folder / "a.wav", ns=(0, 0))
    assert samples(decoded(folder), "a.wav").tolist() == [[16384] * 10]
    for file in kept.glob("*.int16"):
        file.unlink()  # an index without its samples is no cache
    assert samples(decoded(folder), "a.wav").tolist() == [[16384] * 10]


def test_a_failure_of_the_moment_is_not_kept(tmp_path, sound, monkeypatch):
    for name, value in {"a": 0.25, "b": 0.0, "c": 0.5}.items():
        sound(tmp_path / f"{name}.wav", 10, value=value)
    (tmp_path / "d.wav").write_text("not a sound")

    def scarce(*_, **__):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(soundfile, "info", scarce)
        assert set(decoded(tmp_path).broken) == {"a.wav", "b.wav", "c.wav", "d.wav"}
    for _ in range(2):
        result = decoded(tmp_path)
        assert result.names == ["a.wav", "b.wav", "c.wav"] and set(result.broken) == {"d.wav"}
        assert result.silent == ["b.wav"] and samples(result, "c.wav").tolist() == [[16384] * 10]


def test_a_cache_that_cannot_be_written(tmp_path, sound, monkeypatch):
    sound(tmp_path / "a.wav", 10)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIGHTNING_GANS_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"decoded sounds .*set LIGHTNING_GANS_CACHE to a folder with enough"):
        decoded(tmp_path)


def test_trimming(tmp_path, sound):
    hush = np.full(8192, 1e-4)  # 74 dB below the tone
    sound(tmp_path / "a.wav", np.concatenate([hush, tone(20480), hush]))
    sound(tmp_path / "b.wav", 5000, value=0.0)
    whole = decoded(tmp_path)
    cut = decoded_sounds(tmp_path, walk(tmp_path, SUFFIXES), 16000, 1, trim=True)
    assert whole.length.tolist() == [36864, 5000]
    begin, end = 8192 - 1024, 8192 + 20480 + 1024  # frames of 2048 around every 512th sample that see the tone
    assert abs(cut.length[0] - (end - begin)) <= 1024
    place = samples(whole, "a.wav")[0].tobytes().find(samples(cut, "a.wav")[0].tobytes()) // 2
    assert abs(place - begin) <= 512 and place % 512 == 0
    assert cut.length[1] == 5000  # silence has no ends


def test_silent_and_clipped_files(tmp_path, sound):
    sound(tmp_path / "silent.wav", 100, value=0.0)
    sound(tmp_path / "clipped.wav", np.clip(3 * tone(400), -1, 1))
    sound(tmp_path / "loud.wav", np.array([32767] * 10 + [-32767] * 90, np.int16))
    sound(tmp_path / "quiet.wav", np.array([0, 1], np.int16))
    for peak in (None, 0.5):
        result = decoded(tmp_path, peak=peak)
        assert result.silent == ["silent.wav"]
        beyond = int((np.abs(3 * tone(400)) >= 1 - 1 / 32768).sum())
        assert list(result.loud) == ["clipped.wav", "loud.wav"] and beyond > 100
        assert result.loud["clipped.wav"].startswith(f"{beyond} samples") and "100 samples" in result.loud["loud.wav"]


@pytest.mark.parametrize(("scale", "largest"), [(1.5, "1.5"), (32767.0, "32767")])
def test_floats_beyond_full_scale_are_told_or_scaled(tmp_path, scale, largest):
    loud = (scale * np.sin(np.arange(800) / 5)).astype(np.float32)
    soundfile.write(tmp_path / "float.wav", loud, 16000, subtype="FLOAT")
    beyond = int((np.abs(loud) >= 1 - 1 / 32768).sum())
    cut = decoded(tmp_path)
    assert f"{beyond} samples lie beyond" in cut.loud["float.wav"] and f"up to {largest}" in cut.loud["float.wav"]
    with pytest.warns(UserWarning, match=r"float\.wav .*peak_file"):
        cut.report("error")
    scaled = decoded(tmp_path, peak=1.0)
    assert not scaled.loud
    np.testing.assert_allclose(samples(scaled, "float.wav")[0] / 32768, loud / np.abs(loud).max(), atol=1.1 / 32768)


def test_files_left_out_later(tmp_path, sound):
    for index, length in enumerate((3, 5, 7)):
        sound(tmp_path / f"{index}.wav", length, value=(index + 1) / 8)
    (tmp_path / "3.wav").write_text("not a sound")
    rest = decoded(tmp_path).without({"1.wav": "no mel"})
    assert rest.names == ["0.wav", "2.wav"] and rest.length.tolist() == [3, 7]
    assert samples(rest, "2.wav").tolist() == [[12288] * 7]
    assert set(rest.broken) == {"1.wav", "3.wav"} and rest.broken["1.wav"] == "no mel"
