"""Crops of noise, whose frames are held to those of the whole file."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lightning_gans.audio import MelConfig, log_mel
from lightning_gans.data.audio.decoding import INT16_STEPS
from lightning_gans.data.audio.sounds import Sounds
from lightning_gans.data.batches import MelBatch
from lightning_gans.data.mels.crops import MelCrops, Span, Utterances, halved, to_batch

SMALL = dict(sample_rate=8000, n_fft=64, win_length=64, hop_length=16, n_mels=6, f_max=None)
HOP = MelConfig.of({"name": "melgan", **SMALL})
CENTER = MelConfig.of({"name": "parallel_wavegan", **SMALL})
configs = pytest.mark.parametrize("config", [HOP, CENTER], ids=["hop", "center"])


def noises(*lengths: int) -> Sounds:
    files = [np.random.default_rng(length).integers(-9000, 9000, length).astype(np.int16) for length in lengths]
    start = np.cumsum([0, *lengths])[:-1]
    names = [str(i) for i in range(len(files))]
    return Sounds(names, np.concatenate(files), start, np.array(lengths), 1, 8000, {8000: len(files)}, {})


def audio(sounds: Sounds, file: int, zeros: int = 0) -> Tensor:
    """(T,) in [-1, 1], with zeros behind it."""
    samples = sounds.samples[sounds.start[file] :][: sounds.length[file]]
    return torch.from_numpy(np.pad(samples, (0, zeros)) / np.float32(INT16_STEPS))


def expected(whole: Tensor, config: MelConfig, first: int, frames: int, context: int) -> Tensor:
    """Frames of the whole utterance, its outermost ones repeated beyond its ends."""
    mel = log_mel(whole, config)[:, : len(whole) // config.hop_length]
    return mel[:, torch.arange(first - context, first + frames + context).clamp(0, mel.shape[1] - 1)]


@configs
@settings(deadline=None)
@given(length=st.integers(1, 700), frames=st.integers(3, 9), context=st.integers(0, 3), data=st.data())
def test_frames_of_a_crop_are_those_of_the_whole(config, length, frames, context, data):
    """Wherever it lies, and of files that are shorter than a crop, which zeros follow."""
    sounds, zeros = noises(50, length), max(16 * frames - length, 0)
    crops = MelCrops(sounds, np.arange(2), config, crop_frames=frames, context=context)
    last = (length + zeros) // 16 - frames
    firsts = [0, last, data.draw(st.integers(0, last))]
    batch = to_batch(crops.read([Span(1, first, frames) for first in firsts]), config, context)
    whole = audio(sounds, 1, zeros)
    for row, first in enumerate(firsts):
        assert batch.audio[row, 0].equal(whole[16 * first :][: 16 * frames])
        mel = expected(whole, config, first, frames, context)
        torch.testing.assert_close(batch.mel[row], mel, atol=1e-5, rtol=0)


@configs
@pytest.mark.parametrize("name", ["LJ001-0008", "LJ050-0030"])
def test_frames_of_speech(config, name, data_root):
    import soundfile

    config = MelConfig.of(config.name)
    samples, rate = soundfile.read(data_root / "LJSpeech-1.1" / "wavs" / f"{name}.wav", dtype="int16")
    sounds = Sounds([name], samples, np.array([0]), np.array([len(samples)]), 1, rate, {rate: 1}, {})
    crops = MelCrops(sounds, np.arange(1), config, crop_frames=32, context=2)
    last = len(samples) // 256 - 32
    for first in (0, 1, 60, last - 1, last):
        batch = to_batch(crops.read([Span(0, first, 32)]), config, 2)
        whole = expected(audio(sounds, 0), config, first, 32, 2)
        torch.testing.assert_close(batch.mel[0], whole, atol=1e-5, rtol=0)


@configs
def test_whole_utterances(config):
    sounds = noises(16 * 20, 16 * 30 + 15)
    utterances = Utterances(sounds, np.array([1, 0]), config, context=1)
    assert len(utterances) == 2
    for index, (file, frames) in enumerate(((1, 30), (0, 20))):
        batch = to_batch(utterances.__getitems__([index]), config, 1)
        assert batch.audio.equal(audio(sounds, file)[None, None, : 16 * frames])
        whole = expected(audio(sounds, file), config, 0, frames, 1)
        torch.testing.assert_close(batch.mel[0], whole, atol=1e-5, rtol=0)


def firsts(crops: MelCrops, epochs: range) -> list[list[int]]:
    """Where the crops of each epoch begin."""
    return [[crops.span(epoch * len(crops) + i).first for i in range(len(crops))] for epoch in epochs]


def test_every_start_is_drawn_the_last_one_too():
    crops = MelCrops(noises(16 * 9 + 15, 16 * 7 - 1), np.arange(2), HOP, crop_frames=7)
    drawn = np.array(firsts(crops, range(300)))
    assert np.bincount(drawn[:, 0], minlength=3).min() > 70  # 100 each on average
    assert drawn[:, 0].max() == 2 and not drawn[:, 1].any()


def test_draws_are_functions_of_seed_epoch_and_example():
    sounds, rows = noises(2000, 3000, 4000), np.array([0, 2])
    crops = MelCrops(sounds, rows, HOP, crop_frames=7, per_file=3, gain=(0.3, 1.0), seed=1)
    assert len(crops) == 6
    spans = [crops.span(i) for i in range(18)]
    assert [span.file for span in spans] == [0, 2] * 9
    assert spans == [
        MelCrops(sounds, rows, HOP, crop_frames=7, per_file=3, gain=(0.3, 1.0), seed=1).span(i) for i in range(18)
    ]
    assert len({span.first for span in spans}) > 12 and len({span.gain for span in spans}) == 18
    other = MelCrops(sounds, rows, HOP, crop_frames=7, per_file=3, gain=(0.3, 1.0), seed=2)
    assert not {span.gain for span in spans} & {other.span(i).gain for i in range(18)}
    # the same places with a gain or without one
    assert [MelCrops(sounds, rows, HOP, crop_frames=7, per_file=3, seed=1).span(i).first for i in range(18)] == [
        span.first for span in spans
    ]


def test_the_gain_comes_before_the_mel():
    crops = MelCrops(noises(2000), np.arange(1), HOP, crop_frames=7, gain=(0.3, 0.5))
    plain = MelCrops(noises(2000), np.arange(1), HOP, crop_frames=7)
    gains = np.array([crops.span(i).gain for i in range(200)])
    assert 0.3 <= gains.min() < 0.31 and 0.49 < gains.max() <= 0.5
    loud, quiet = (to_batch(data.__getitems__([4]), HOP, 0) for data in (plain, crops))
    torch.testing.assert_close(quiet.audio, loud.audio * float(gains[4]))
    torch.testing.assert_close(quiet.mel, loud.mel + float(np.log10(gains[4])), atol=1e-5, rtol=0)


def test_one_example():
    crops = MelCrops(noises(2000), np.arange(1), HOP, crop_frames=7)
    one, batch = crops[3], crops.__getitems__([3])
    assert one.audio.shape == (1, 7 * 16 + 2 * HOP.margin)
    assert all(a.equal(b[0]) for a, b in zip(one, batch, strict=True))
    assert isinstance(to_batch(batch, HOP, 0), MelBatch)


@given(st.lists(st.integers(2, 99), min_size=1, max_size=12), st.integers(1, 8))
def test_halves(lengths, parts):
    spans = [Span(file, 0, frames) for file, frames in enumerate(lengths)]
    cut = halved(spans, parts)
    missing = min(-len(spans) % parts, len(spans))  # an example is cut in two at most
    assert len(cut) == len(spans) + missing
    halves = cut[len(spans) - missing :]
    for one, two in zip(halves[::2], halves[1::2], strict=True):
        assert one.file == two.file and two.first == one.frames and 0 <= two.frames - one.frames <= 1
        assert one.frames + two.frames == lengths[one.file]
    assert cut[: len(spans) - missing] == [span for span in spans if span.file not in {half.file for half in halves}]
    assert sorted(lengths)[len(spans) - missing :] == sorted(lengths[half.file] for half in halves[::2])


@configs
def test_halves_lie_in_their_utterance(config):
    sounds = noises(16 * 33 + 5)
    utterances = Utterances(sounds, np.arange(1), config, parts=2, context=2)
    assert len(utterances) == 2
    for index, (first, frames) in enumerate(((0, 16), (16, 17))):
        batch = to_batch(utterances.__getitems__([index]), config, 2)
        whole = expected(audio(sounds, 0), config, first, frames, 2)
        torch.testing.assert_close(batch.mel[0], whole, atol=1e-5, rtol=0)
