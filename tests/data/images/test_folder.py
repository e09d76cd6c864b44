from pathlib import Path

import pytest
import torch

from lightning_gans.data import ImageFolder
from lightning_gans.errors import InputError


def ready(root: Path, **options) -> ImageFolder:
    data = ImageFolder(str(root), **{"image_size": 4, **options})
    data.prepare_data()
    data.setup("fit")
    return data


def values(data: ImageFolder, split: str) -> list[int]:
    return data.splits[split].image[:, 0, 0, 0].tolist()


def test_unlabelled(tmp_path, picture):
    for index in range(20):
        picture(tmp_path / "faces" / f"{index}.png", (index, 0, 0))
    data = ready(tmp_path, folder="faces", validation=0.2)
    assert data.num_classes is None
    assert data.image_shape == (3, 4, 4)
    train, val = values(data, "train"), values(data, "val")
    assert (len(train), len(val)) == (16, 4)
    assert sorted(train + val) == list(range(20))
    assert data.test_is_validation
    assert not data.splits["train"].label.any()
    assert values(ready(tmp_path, folder="faces", validation=0.2), "val") == val
    # the choice hardly depends on what else is there, and not on the share
    assert values(ready(tmp_path, folder="faces", validation=0.4), "val")[:4] == val
    everything = ready(tmp_path, folder="faces", validation=0)
    assert len(everything.splits["train"]) == 20
    assert everything.splits["val"] is everything.splits["train"]


@pytest.mark.parametrize(("share", "held_out"), [(0.1, 1), (0.95, 4)])
def test_few_images_are_held_out_too(tmp_path, picture, share, held_out):
    for index in range(5):
        picture(tmp_path / f"{index}.png", (index, 0, 0))
    data = ready(tmp_path, validation=share)
    train, val = values(data, "train"), values(data, "val")
    assert len(val) == held_out and sorted(train + val) == list(range(5))


def test_classes_from_folders(tmp_path, picture):
    for index in range(6):
        picture(tmp_path / "bird" / "deep" / f"{index}.jpg", 10, mode="L")
        picture(tmp_path / "cat" / f"{index}.bmp", 200, mode="L")
    data = ready(tmp_path, channels=1)
    assert (data.num_classes, data.class_names) == (2, ["bird", "cat"])
    for split in ("train", "val"):
        image, label = data.splits[split][:]
        assert label.tolist() == [int(value > 100) for value in image[:, 0, 0, 0]]
    picture(tmp_path / "lone.png")
    assert ready(tmp_path).num_classes is None


@pytest.fixture
def listed(tmp_path, picture) -> Path:
    """Five images; a list of four of them, and boxes of four, one of which is not sure."""
    for index in range(5):
        picture(tmp_path / "set" / f"{index}.png", (50 * index, 0, 0), size=(30, 20))
    rows = "\n".join(f"{index}.png {1 if index % 2 else -1} -1" for index in range(4))
    (tmp_path / "set" / "list.txt").write_text(f"4\nOdd Never\n{rows}\n")
    rows = "\n".join(f"{index}.png,5,5,10,10,{int(index != 2)}" for index in range(1, 5))
    (tmp_path / "set" / "boxes.csv").write_text(f"image,face_x,face_y,face_w,face_h,sure\n{rows}\n")
    return tmp_path


def test_attributes_and_boxes(listed):
    data = ready(listed, folder="set", attribute_file="list.txt", validation=0)
    assert (data.num_classes, data.class_names) == (2, ["Odd", "Never"])
    labels = dict(zip(values(data, "train"), data.splits["train"].label.tolist(), strict=True))
    assert labels == {0: [0, 0], 50: [1, 0], 100: [0, 0], 150: [1, 0]}

    data = ready(listed, folder="set", attribute_file="list.txt", attributes=["Odd"], boxes="boxes.csv", validation=0)
    assert dict(zip(values(data, "train"), data.splits["train"].label.tolist(), strict=True)) == {
        50: [1],
        100: [0],
        150: [1],
    }
    data = ready(listed, folder="set", boxes="boxes.csv", boxes_where="sure", validation=0)
    assert sorted(values(data, "train")) == [50, 150, 200]
    assert data.num_classes is None


def test_a_box_is_what_is_seen(tmp_path, picture):
    import numpy as np

    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[10:20, 20:30] = 255
    picture(tmp_path / "a.png", pixels)
    (tmp_path / "b.csv").write_text("image,face_x,face_y,face_w,face_h\na.png,20,10,10,10\n")
    tight = ready(tmp_path, boxes="b.csv", boxes_margin=0, validation=0, image_size=10)
    assert tight.splits["train"].image.unique().tolist() == [255]
    grown = ready(tmp_path, boxes="b.csv", boxes_margin=0.5, validation=0, image_size=20)
    assert (grown.splits["train"].image == 255).sum() == 3 * 10 * 10
    assert (grown.splits["train"].image[..., 5:15, 5:15] == 255).all()


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match=r"no folder faces in .*looked for \*.png.*--data.root DIR"):
        ready(tmp_path, folder="faces")
    (tmp_path / "faces").mkdir()
    with pytest.raises(InputError, match=r"no image in .*looked for \*.png, .*faces and its sub-folders"):
        ready(tmp_path, folder="faces")


def test_a_broken_file_is_named(tmp_path, picture):
    picture(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 not much")
    with pytest.raises(InputError, match=r"1 image file\(s\) in .* cannot be used: bad.jpg \("):
        ready(tmp_path)


def test_images_that_a_list_names_must_be_there(listed):
    for index in (1, 3):
        (listed / "set" / f"{index}.png").unlink()
    with pytest.raises(InputError, match=r"list.txt names 2 images that are not in .*: 1.png, 3.png$"):
        ready(listed, folder="set", attribute_file="list.txt")
    with pytest.raises(InputError, match=r"boxes.csv names 2 images that are not in .*: 1.png, 3.png$"):
        ready(listed, folder="set", boxes="boxes.csv")


def test_no_image_in_both_lists(listed):
    (listed / "set" / "list.txt").write_text("1\nOdd\n0.png 1\n")
    with pytest.raises(InputError, match=r"no image of .*set is both in boxes.csv and in list.txt"):
        ready(listed, folder="set", attribute_file="list.txt", boxes="boxes.csv")


def test_too_few_images_for_a_batch(tmp_path, picture):
    for index in range(10):
        picture(tmp_path / f"{index}.png")
    with pytest.raises(
        InputError, match=r"9 training images make no batch of 64 .*lower --data.batch_size to at most 9"
    ):
        ready(tmp_path).train_dataloader()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"image_size": 0}, "image_size is 0"),
        ({"channels": 4}, "channels is 4"),
        ({"validation": 1.0}, "validation is 1.0"),
        ({"crop": 0}, "crop is 0"),
        ({"crop": 8, "boxes": "b.csv"}, "crop is 8, with boxes"),
        ({"attributes": ["Odd"]}, "attributes Odd without an attribute_file"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(InputError, match=message):
        ImageFolder(**wrong)


def test_real_faces(data_root):
    faces = {"folder": "congress_faces", "boxes": "attributes.csv", "boxes_where": "face_sure", "image_size": 64}
    data = ready(data_root, **faces)
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 880, "val": 98, "test": 98}
    both = ready(data_root, **faces, attribute_file="list_attr.txt", validation=0)
    assert both.class_names == ["Male", "Born_Before_1950"]
    # a face in the middle is brighter than what is around it; a wrong crop would not show that
    image = torch.cat([data.splits["train"].image, data.splits["val"].image]).float().mean((0, 1))
    assert image[24:48, 24:40].mean() > image[:8].mean() + 15
