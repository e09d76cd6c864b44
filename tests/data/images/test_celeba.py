import sys
import zipfile
from pathlib import Path

import pytest

from lightning_gans.data import CelebA
from lightning_gans.data.images.celeba import OFFICIAL
from lightning_gans.errors import InputError

NAMES = [f"Attribute_{index}" for index in range(39)] + ["Smiling"]
COUNT = 20


def attribute(image: int, index: int) -> int:
    return int((image * 7 + index * 3) % 5 == 0)


@pytest.fixture
def celeba(tmp_path, picture) -> Path:
    """Twenty images, number i of red i * 10; every fourth is for validation, every fifth of the others for test."""
    base = tmp_path / "celeba"
    rows, parts = [], []
    for image in range(COUNT):
        name = f"{image + 1:06d}.jpg"
        picture(base / "img_align_celeba" / name, (image * 10, 0, 0), size=(178, 218))
        rows.append(name + "".join(f"{attribute(image, index) * 2 - 1:3d}" for index in range(40)))
        parts.append(f"{name} {1 if image % 4 == 0 else 2 if image % 5 == 0 else 0}")
    (base / "list_attr_celeba.txt").write_text("\n".join([str(COUNT), " ".join(NAMES), *rows, ""]))
    (base / "list_eval_partition.txt").write_text("\n".join([*parts, ""]))
    return tmp_path


def ready(root: Path, **options) -> CelebA:
    data = CelebA(str(root), **{"image_size": 8, **options})
    data.prepare_data()
    data.setup("fit")
    return data


def images(data: CelebA, split: str) -> list[int]:
    """Numbers of the images, from their color."""
    return [round(value / 10) for value in data.splits[split].image[:, 0].float().mean((1, 2)).tolist()]


def test_splits_and_all_attributes(celeba):
    data = ready(celeba)
    assert data.num_classes == 40
    assert data.class_names == NAMES
    assert images(data, "val") == [0, 4, 8, 12, 16]
    assert images(data, "test") == [5, 10, 15]
    assert images(data, "train") == [1, 2, 3, 6, 7, 9, 11, 13, 14, 17, 18, 19]
    for split in OFFICIAL:
        expected = [[attribute(image, index) for index in range(40)] for image in images(data, split)]
        assert data.splits[split].label.tolist() == expected


def test_chosen_attributes(celeba):
    data = CelebA(str(celeba), attributes=["Smiling", "Attribute_2"], image_size=8)
    assert data.num_classes == 2  # known before the files are read
    data.setup("fit")
    expected = [[attribute(image, 39), attribute(image, 2)] for image in images(data, "train")]
    assert data.splits["train"].label.tolist() == expected
    with pytest.raises(InputError, match="unknown attribute smiling; did you mean Smiling"):
        ready(celeba, attributes=["smiling"])


def test_without_labels_and_partition(celeba):
    (celeba / "celeba" / "list_attr_celeba.txt").unlink()
    (celeba / "celeba" / "list_eval_partition.txt").unlink()
    data = ready(celeba, attributes=[])
    assert data.num_classes is None
    assert not data.splits["train"].label.any()
    assert images(data, "train") == list(range(16))  # 20 * 162,770 / 202,599 = 16.07
    assert images(data, "val") == [16, 17]
    with pytest.raises(InputError, match=r"no CelebA list of attributes in .*or train without labels"):
        ready(celeba)


def test_the_fallback_is_the_official_split_where_all_images_are_there(tmp_path):
    names = [f"{number:06d}.jpg" for number in range(1, 202_600)]
    counts, order = CelebA(str(tmp_path))._split(names)
    assert counts == OFFICIAL == {"train": 162_770, "val": 19_867, "test": 19_962}
    assert order == names


@pytest.mark.parametrize("nested", ["", "img_align_celeba/"])
def test_an_archive_is_read_as_it_is(celeba, nested):
    expected = ready(celeba)
    base = celeba / "celeba"
    with zipfile.ZipFile(base / "img_align_celeba.zip", "w") as archive:
        for path in (base / "img_align_celeba").iterdir():
            archive.write(path, f"img_align_celeba/{nested}{path.name}")
            path.unlink()
    (base / "img_align_celeba").rmdir()
    data = ready(celeba)
    for split in OFFICIAL:
        assert data.splits[split].image.equal(expected.splits[split].image)
        assert data.splits[split].label.equal(expected.splits[split].label)


def test_the_layout_of_the_authors_drive(celeba):
    base = celeba / "celeba"
    for folder, name in {
        "Img": "img_align_celeba",
        "Anno": "list_attr_celeba.txt",
        "Eval": "list_eval_partition.txt",
    }.items():
        (base / folder).mkdir()
        (base / name).rename(base / folder / name)
    assert images(ready(celeba), "test") == [5, 10, 15]


def test_the_crop_is_centred(tmp_path, picture):
    import numpy as np

    pixels = np.zeros((218, 178, 3), np.uint8)
    pixels[55:163, 35:143] = 255  # the square of 108 pixels in the middle
    picture(tmp_path / "img_align_celeba" / "000001.png", pixels)
    assert ready(tmp_path, crop=108, attributes=[], image_size=54).splits["train"].image.min() == 255
    white = (ready(tmp_path, crop=148, attributes=[], image_size=148).splits["train"].image == 255).float().mean()
    assert white == pytest.approx(108**2 / 148**2)


def test_files_that_do_not_belong_together(celeba):
    (celeba / "celeba" / "img_align_celeba" / "000007.jpg").unlink()
    with pytest.raises(InputError, match=r"differ in 1 names, such as 000007.jpg"):
        ready(celeba)
    (celeba / "celeba" / "list_eval_partition.txt").unlink()
    with pytest.raises(InputError, match=r"list_attr_celeba.txt names 1 images .*: 000007.jpg"):
        ready(celeba)


def test_a_list_that_lacks_images(celeba):
    path = celeba / "celeba" / "list_attr_celeba.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(["19", *lines[1:-1]]))
    with pytest.raises(InputError, match=r"list_attr_celeba.txt lacks 1 images, such as 000020.jpg"):
        ready(celeba)


def test_no_data_and_a_refused_download(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("Too many users have viewed or downloaded this file recently")

    monkeypatch.setattr("torchvision.datasets.CelebA", refuse)
    with pytest.raises(InputError) as error:
        CelebA(str(tmp_path)).prepare_data()
    for part in [
        f"no CelebA images in {tmp_path}",
        "img_align_celeba.zip",
        "--data.root DIR",
        "mmlab.ie.cuhk.edu.hk",
        "Too many users",
    ]:
        assert part in str(error.value)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(InputError, match="gdown"):
        CelebA(str(tmp_path)).prepare_data()


def test_crops_that_the_images_do_not_hold():
    with pytest.raises(InputError, match="crop is 200; expected a whole number of at most 178"):
        CelebA(crop=200)
