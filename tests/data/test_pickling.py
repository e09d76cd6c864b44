"""What is sent to workers that are spawned: a place in a file, not what lies there."""

import pickle

import numpy as np
import torch

from lightning_gans.data import AudioFolder, ImageFolder, MelFolder
from lightning_gans.data.caching import Mapped
from lightning_gans.data.loading import ImagesInMemory


def test_a_part_of_a_mapped_file(tmp_path):
    values = np.arange(100_000, dtype=np.int16)
    values.tofile(tmp_path / "values")
    mapped = Mapped(tmp_path / "values", np.int16, "c")
    for part in (mapped, mapped[7:90_000], mapped[10:20].reshape(2, 5), mapped[:0]):
        data = pickle.dumps(part)
        again = pickle.loads(data)
        assert len(data) < 1000 and np.array_equal(again, part) and again.shape == part.shape
    assert np.array_equal(pickle.loads(pickle.dumps(mapped[::3])), values[::3])


def test_data_sets(tmp_path, sound, picture):
    for name in "abcd":
        sound(tmp_path / "sounds" / f"{name}.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 40_000), rate=16000)
        picture(tmp_path / "images" / f"{name}.png", np.full((64, 64), ord(name), np.uint8))
    pictures = ImageFolder(str(tmp_path), folder="images", image_size=64, channels=1, validation=0.25)
    clips = AudioFolder(str(tmp_path), folder="sounds", length=8192, val_pattern="^a")
    crops = MelFolder(str(tmp_path), folder="sounds", mel={"name": "hifigan", "sample_rate": 16000}, val_pattern="^a")
    for data in (pictures, clips, crops):
        data.prepare_data()
        data.setup("fit")
        for split in data.splits.values():
            sent = pickle.dumps(split)
            again = pickle.loads(sent)
            assert len(sent) < 8000 and len(again) == len(split)
            for ours, theirs in zip(split.__getitems__([0]), again.__getitems__([0]), strict=True):
                if isinstance(ours, torch.Tensor):
                    assert torch.equal(ours, theirs)


def test_images_that_are_no_file():
    data = ImagesInMemory(torch.arange(8, dtype=torch.uint8).view(2, 1, 2, 2), torch.tensor([3, 4]))
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again.image, data.image) and torch.equal(again.label, data.label)
