"""What tells one data set from another, in the config of each run."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.tiny_runs import TinyClips, TinyImages, TinySpeech, build

from lightning_gans.data import Digits
from lightning_gans.data.audio.slicing import AudioClips
from lightning_gans.data.loading import ImagesInMemory, evenly, fingerprint
from lightning_gans.data.mels.crops import MelCrops


def images(label=0, pixel=0, count=2500):
    image = torch.zeros(count, 1, 2, 2, dtype=torch.uint8)
    image[count // 2] = pixel
    labels = torch.zeros(count, dtype=torch.long)
    labels[1] = label  # which is not among the images that are looked at
    return ImagesInMemory(image, labels)


def test_examples_at_even_distances():
    assert evenly(3) == [0, 1, 2] and evenly(0) == []
    assert evenly(10, 4) == [0, 2, 5, 7]
    assert 1 not in evenly(2500) and 1250 in evenly(2500)


def test_images():
    known = fingerprint({"train": images(), "val": images(count=3)})
    assert known == fingerprint({"val": images(count=3), "train": images()})
    others = [
        {"train": images(label=1), "val": images(count=3)},
        {"train": images(pixel=1), "val": images(count=3)},
        {"train": images(count=2499), "val": images(count=3)},
        {"val": images(), "train": images(count=3)},
        {"train": images()},
    ]
    found = [known, *map(fingerprint, others)]
    assert len(set(found)) == len(found) and all(len(digits) == 16 for digits in found)


def varied(sounds):
    """The same files, but for one thing each."""
    samples = sounds.samples.copy()
    samples[int(sounds.start[5]) + 7] += 1
    length = sounds.length.copy()
    length[5] -= 1
    yield replace(sounds, samples=samples)
    yield replace(sounds, length=length)
    yield replace(sounds, names=["another", *sounds.names[1:]])
    yield replace(sounds, sample_rate=sounds.sample_rate + 1)


def test_clips():
    clips = TinyClips().splits["train"]
    rows, label = np.arange(16), clips.label

    def of(sounds, rows=rows, label=label, **options):
        return fingerprint({"train": AudioClips(sounds, rows, label, 100, **options)})

    known = of(clips.sounds)
    moved = replace(
        clips.sounds, samples=np.append(np.int16([3, 4]), clips.sounds.samples), start=clips.sounds.start + 2
    )
    assert of(moved) == known  # in another place of the cache
    assert of(clips.sounds, slicing="random", seed=1) == of(clips.sounds, slicing="random", seed=2)
    others = [of(sounds) for sounds in varied(clips.sounds)]
    others += [of(clips.sounds, rows[:-1], label[:-1]), of(clips.sounds, label=label.flip(0))]
    assert len({known, *others}) == len(others) + 1


def test_crops():
    data = TinySpeech(build("melgan"))
    data.setup("fit")
    crops = data.splits["train"]

    def of(sounds, seed=0):
        return fingerprint({"train": MelCrops(sounds, crops.rows, crops.config, crop_frames=4, seed=seed)})

    others = [of(sounds) for sounds in varied(crops.sounds)]
    assert of(crops.sounds) == of(crops.sounds, seed=1)
    assert len({of(crops.sounds), *others}) == len(others) + 1


@pytest.mark.parametrize("data", [Digits, TinyImages, TinyClips, lambda: TinySpeech(build("melgan"))])
def test_all_data_sets_have_one(data):
    made = [data(), data()]
    for each in made:
        each.prepare_data()
        each.setup("fit")
    assert made[0].fingerprint() == made[1].fingerprint() is not None


def test_a_data_set_of_the_users_has_none():
    assert fingerprint({"train": [1, 2, 3]}) is None
