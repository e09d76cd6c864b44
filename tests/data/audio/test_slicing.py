"""Clips of sounds whose sample number t is t, so that a clip shows where it begins."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_gans.data.audio.slicing import AudioClips, choose_slicing, clips_per_file
from lightning_gans.data.audio.sounds import Sounds

CLIP = 4


def ramps(*lengths: int, channels: int = 1) -> Sounds:
    """Files of 100 * file + t + 1, negative in the second channel."""
    files = [100 * i + 1 + np.arange(length) for i, length in enumerate(lengths)]
    files = [np.stack([file, -file][:channels]).astype(np.int16) for file in files]
    start = np.cumsum([0, *(file.size for file in files)])[:-1]
    return Sounds(
        names=[str(i) for i in range(len(files))],
        samples=np.concatenate([file.ravel() for file in files]),
        start=start,
        length=np.array(lengths),
        channels=channels,
        sample_rate=16000,
        source_rates={16000: len(files)},
        broken={},
    )


def clips(sounds: Sounds, slicing: str, rows: list[int] | None = None, **options) -> AudioClips:
    rows = np.arange(len(sounds.names)) if rows is None else np.array(rows)
    return AudioClips(sounds, rows, torch.from_numpy(rows) + 10, CLIP, slicing, **options)


@pytest.mark.parametrize(
    ("lengths", "slicing", "why"),
    [
        ([3] * 8 + [4, 40], "first", "90 % of the files fit into a clip"),
        ([3] * 8 + [5, 40], "random", "only 80 % of the files fit into a clip, and 10 % hold two or more"),
        ([3, 8], "consecutive", "50 % of the files hold two clips or more"),
        ([3, 7], "random", "only 50 % of the files fit into a clip, and 0 % hold two or more"),
        ([5, 6, 7], "random", "only 0 % of the files fit"),
    ],
)
def test_the_mode_follows_from_the_durations(lengths, slicing, why):
    chosen, reason = choose_slicing(np.array(lengths), CLIP)
    assert chosen == slicing
    assert reason.startswith(why)


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    clip_length=st.integers(1, 12),
    share=st.floats(0.01, 1),
    pad_end=st.booleans(),
    channels=st.sampled_from([1, 2]),
)
def test_consecutive_clips_of_any_files(lengths, clip_length, share, pad_end, channels):
    sounds, hop = ramps(*lengths, channels=channels), max(1, round(share * clip_length))
    rows = np.arange(len(lengths))
    data = AudioClips(sounds, rows, torch.from_numpy(rows), clip_length, "consecutive", hop, pad_end)
    assert (
        np.bincount(data.file, minlength=len(lengths)).tolist()
        == clips_per_file(sounds.length, clip_length, hop, pad_end).tolist()
    )
    audio, label = data[:]
    assert label.tolist() == data.file.tolist()
    for file, length in enumerate(lengths):
        clips = audio[label == file, 0].numpy()
        begins = hop * np.arange(len(clips))
        # a clip holds what lies there, and zeros behind the end
        places = begins[:, None] + np.arange(clip_length)
        expected = np.where(places < length, 100 * file + 1 + places, 0)
        assert np.array_equal(clips, expected)
        if pad_end:  # no sample is lost, and no clip is of zeros or of what the one before has
            assert len(clips) and begins[-1] + clip_length >= length
            assert len(clips) == 1 or begins[-2] + clip_length < length
        else:  # as many as fit
            assert not len(clips) or begins[-1] + clip_length <= length
            assert len(clips) * hop + clip_length > length


def test_the_first_clip_of_each_file():
    data = clips(ramps(2, 4, 9), "first")
    audio, label = data[:]
    assert audio.dtype == torch.int16
    assert audio.tolist() == [[[1, 2, 0, 0]], [[101, 102, 103, 104]], [[201, 202, 203, 204]]]
    assert label.tolist() == [10, 11, 12]


def test_channels_stay_apart():
    audio = clips(ramps(6, 3, channels=2), "consecutive", hop=2, pad_end=True)[:].audio
    assert audio.tolist() == [
        [[1, 2, 3, 4], [-1, -2, -3, -4]],
        [[3, 4, 5, 6], [-3, -4, -5, -6]],
        [[101, 102, 103, 0], [-101, -102, -103, 0]],
    ]


def test_consecutive_clips():
    data = clips(ramps(9, 3, 4), "consecutive")
    assert data[:].audio[:, 0].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [201, 202, 203, 204]]
    assert data[:].label.tolist() == [10, 10, 12]
    data = clips(ramps(9, 3, 4), "consecutive", rows=[1, 0], pad_end=True)
    assert data[:].audio[:, 0].tolist() == [[101, 102, 103, 0], [1, 2, 3, 4], [5, 6, 7, 8], [9, 0, 0, 0]]
    assert data[:].label.tolist() == [11, 10, 10, 10]
    assert len(clips(ramps(3, 2), "consecutive")) == 0


def test_random_clips_are_a_function_of_seed_epoch_and_example():
    data = clips(ramps(13, 2, 13, 13), "random", seed=5)
    epochs = [data.__getitems__(range(4 * epoch, 4 * epoch + 4)) for epoch in range(300)]
    begins = torch.stack([batch.audio[:, 0, 0] for batch in epochs])  # (epochs, examples)
    assert all(batch.label.tolist() == [10, 11, 12, 13] for batch in epochs)
    for example in (0, 2, 3):
        begin = begins[:, example] - (100 * example + 1)
        assert begin.unique().tolist() == list(range(10))  # all places of 13 samples, and no other
        assert begin.bincount().min() > 10  # of 30 on average
    assert (epochs[7].audio[1, 0] == torch.tensor([101, 102, 0, 0])).all()  # shorter than the clip_length
    assert (epochs[7].audio[:, 0, 1] == epochs[7].audio[:, 0, 0] + 1).all()
    assert not begins[:, 0].equal(begins[:, 2] - 200)
    # asked for alone, in another order, or of another object
    again = clips(ramps(13, 2, 13, 13), "random", seed=5)
    assert again.__getitems__([30, 29])[0].equal(epochs[7].audio[[2, 1]])
    assert again[31].audio.equal(epochs[7].audio[3])
    other = clips(ramps(13, 2, 13, 13), "random", seed=6)
    assert not other.__getitems__(range(400)).audio.equal(torch.cat([batch.audio for batch in epochs[:100]]))
