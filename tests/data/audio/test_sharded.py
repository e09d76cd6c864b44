"""Sounds come back from shards sample by sample, whatever was drawn from them."""

import numpy as np
import pytest
import torch

from lightning_gans.audio import MelConfig
from lightning_gans.data.audio.sharded import LENGTHS, ShardedSounds, write_sounds
from lightning_gans.data.audio.sounds import Sounds
from lightning_gans.data.mels.crops import MelCrops
from lightning_gans.data.places import Place
from lightning_gans.errors import InputError

pytest.importorskip("litdata")

LENGTH = np.array([9000, 7000, 8123, 6500, 30000])


@pytest.fixture
def sounds():
    samples = np.random.default_rng(0).integers(-(2**15), 2**15, LENGTH.sum()).astype(np.int16)
    start = np.cumsum(LENGTH) - LENGTH
    return Sounds([f"{i}.wav" for i in range(5)], samples, start, LENGTH, 1, 22050, {22050: 5}, {})


@pytest.fixture
def folder(sounds, tmp_path):
    write_sounds(tmp_path / "train", sounds, np.arange(5), shard_bytes=40_000)
    return tmp_path / "train"


def test_all_samples_come_back(sounds, folder):
    stored = ShardedSounds(Place(folder))
    assert len(stored.shards.ends) > 1
    for row in (4, 0, 2, 1, 3):
        np.testing.assert_array_equal(stored.part(row, 0, LENGTH[row]), sounds[row])
        np.testing.assert_array_equal(stored.part(row, 4321, 6000), sounds.part(row, 4321, 6000))


def test_the_crops_are_those_of_the_files(sounds, folder):
    config = MelConfig.of("parallel_wavegan")
    of_files, of_shards = (
        MelCrops(each, np.arange(5), config, crop_frames=20, gain=(0.3, 1.0), seed=7)
        for each in (sounds, ShardedSounds(Place(folder)))
    )
    for index in range(10):  # two epochs
        for ours, theirs in zip(of_shards[index], of_files[index], strict=True):
            assert torch.equal(ours, theirs)


def test_lengths_of_other_shards_are_refused(folder):
    np.save(folder / LENGTHS, LENGTH[:3])
    with pytest.raises(InputError, match=LENGTHS):
        ShardedSounds(Place(folder))
