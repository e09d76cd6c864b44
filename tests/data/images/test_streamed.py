"""Images from shards are those of the data set that they were made of, with their labels."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gans.data import Digits, ImageFolder, StreamedImages, StreamedMels
from lightning_gans.data.images.sharded import LABELS
from lightning_gans.data.sharding import write_data
from lightning_gans.data.shards import RECORD, write_shards
from lightning_gans.errors import InputError

pytest.importorskip("litdata")


def ready(data):
    data.setup("fit")
    return data


def seen(loader) -> list[bytes]:
    return [
        image.numpy().tobytes() + str(label).encode() for batch in loader for image, label in zip(*batch, strict=True)
    ]


@pytest.fixture
def folder(tmp_path, picture) -> dict:
    """Two classes of six colored images each."""
    draw = np.random.default_rng(0)
    for index in range(12):
        picture(tmp_path / "pictures" / "ab"[index % 2] / f"{index}.png", draw.integers(0, 256, (8, 8, 3), np.uint8))
    return dict(root=str(tmp_path), folder="pictures", image_size=8, validation=0.25)


@pytest.fixture
def shards(folder, tmp_path) -> str:
    record = write_data(ImageFolder(**folder), tmp_path / "shards", 600)
    assert record.examples == {"train": 9, "val": 3}
    return str(tmp_path / "shards")


def test_an_epoch_has_the_same_images_with_their_labels(folder, shards):
    of_files = ready(ImageFolder(**folder, batch_size=3))
    of_shards = ready(StreamedImages(source=shards, batch_size=3, num_workers=0))
    assert of_shards.image_shape == (3, 8, 8) and len(of_shards.splits["train"].ends) > 2
    assert (of_shards.num_classes, of_shards.class_names) == (2, ["a", "b"])
    theirs, ours = seen(of_files.train_dataloader()), seen(of_shards.train_dataloader())
    assert sorted(theirs) == sorted(ours) and theirs != ours
    for loader in ("val_dataloader", "test_dataloader", "reference_dataloader"):
        assert seen(getattr(of_files, loader)()) == seen(getattr(of_shards, loader)())
    assert of_shards.test_is_validation
    one = of_shards.splits["val"][1]
    assert torch.equal(one.image, of_files.splits["val"][1].image) and one.label == of_files.splits["val"][1].label


def test_gray_images_with_a_test_set(tmp_path):
    digits = ready(Digits())
    record = write_data(digits, tmp_path / "shards")
    data = ready(StreamedImages(source=str(tmp_path / "shards"), eval_batch_size=64, num_workers=0))
    assert data.image_shape == digits.image_shape and data.num_classes == 10
    assert set(record.examples) == {"train", "val"} and data.test_is_validation
    assert seen(digits.val_dataloader()) == seen(data.val_dataloader())
    assert len(data.fingerprint()) == 16


def refused(source: str, told: str, num_workers: int = 0) -> str:
    with pytest.raises(InputError, match=told) as error:
        seen(ready(StreamedImages(source=source, batch_size=1, num_workers=num_workers)).train_dataloader())
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("shape", [None, [3, 8], [4, 8, 8], [3, 0, 8], "3, 8, 8", [3, 16, 16], [1, 8, 8]], ids=str)
def test_a_record_of_another_shape(shards, shape):
    path = Path(shards) / RECORD
    record = json.loads(path.read_text())
    record["facts"]["image_shape"] = shape
    path.write_text(json.dumps(record))
    refused(shards, "train" if shape in ([3, 16, 16], [1, 8, 8]) else RECORD)


@pytest.mark.parametrize(("shape", "kind"), [(8, int), (9, object), (9, "U3"), ((), float), ((9, 1, 1), int)], ids=str)
def test_labels_of_other_images(shards, shape, kind):
    np.save(Path(shards) / "train" / LABELS, np.zeros(shape, kind))
    refused(shards, LABELS)


def test_a_picture_that_unpacks_to_gigabytes_is_not_unpacked(shards, tmp_path):
    Image.new("1", (2**14, 2**14)).save(tmp_path / "large.png")
    for name in ("index.json", *(path.name for path in (Path(shards) / "train").glob("*.bin"))):
        (Path(shards) / "train" / name).unlink()
    write_shards(Path(shards) / "train", [(tmp_path / "large.png").read_bytes()] * 9)
    refused(shards, "image")


def test_damage_that_a_loader_process_meets_is_told_as_here(shards):
    path = sorted((Path(shards) / "train").glob("*.bin"))[0]
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes(len(data) - 100))
    assert refused(shards, "image . of .*train") == refused(shards, "image . of .*train", num_workers=1)


def test_they_are_no_sounds(shards):
    with pytest.raises(InputError, match="StreamedImages"):
        ready(StreamedMels(source=shards))
