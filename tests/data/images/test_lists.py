from pathlib import Path

import pytest
import torch

from lightning_gans.data.images.lists import Box, read_attributes, read_boxes, read_partition
from lightning_gans.errors import InputError


def write(folder: Path, text: str) -> Path:
    path = folder / "list.txt"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "2\nBald Male Young\na.jpg -1  1 -1\nb/c.jpg  1 -1  1\n",
        "image_id,Bald,Male,Young\na.jpg,-1,1,-1\nb/c.jpg,1,-1,1\n",
    ],
)
def test_attributes_become_zeros_and_ones(tmp_path, text):
    table = read_attributes(write(tmp_path, text))
    assert list(table.row) == ["a.jpg", "b/c.jpg"]
    assert table.names == ["Bald", "Male", "Young"]
    assert table.label.tolist() == [[0, 1, 0], [1, 0, 1]]
    assert table.label.dtype == torch.float32
    assert table.select(["Young", "Bald"]).label.tolist() == [[0, 0], [1, 1]]
    with pytest.raises(InputError, match="unknown attribute Yuong; did you mean Young"):
        table.select(["Yuong"])


def test_tables_of_spreadsheets(tmp_path):
    table = read_attributes(write(tmp_path, "\ufeffimage,Bald,Has Hat\nmy cat.jpg,-1,1\nb.jpg, 1, -1\n,,\n"))
    assert list(table.row) == ["my cat.jpg", "b.jpg"] and table.names == ["Bald", "Has Hat"]
    assert table.label.tolist() == [[0, 1], [1, 0]]
    boxes = read_boxes(write(tmp_path, "\ufeffimage,face_x,face_y,face_w,face_h\nmy cat.jpg,0,0,4,4\n"), margin=0)
    assert boxes == {"my cat.jpg": Box(0, 0, 4, 4)}
    assert read_partition(write(tmp_path, "\ufeffmy cat.jpg,2\n")) == {"my cat.jpg": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3\nBald\na.jpg 1\n", "lists 1 images, expected 3"),
        ("2\nBald Male\na.jpg 1 1\nb.jpg 1\n", "line 4: expected an image and 2 times"),
        ("1\nBald\na.jpg yes\n", "line 3: expected"),
        ("2\nBald\na.jpg 1\n\nb.jpg 1\n", "line 4 is empty"),
        ("", "lists 0 images"),
    ],
)
def test_bad_attribute_lists_are_named_with_the_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as error:
        read_attributes(write(tmp_path, text))
    assert "list.txt" in str(error.value)


def test_partition_as_text_and_csv(tmp_path):
    expected = {"a.jpg": 0, "b.jpg": 2}
    assert read_partition(write(tmp_path, "a.jpg 0\nb.jpg 2\n")) == expected
    assert read_partition(write(tmp_path, "image_id,partition\na.jpg,0\nb.jpg,2\n")) == expected
    with pytest.raises(InputError, match="line 2: expected an image and 0, 1 or 2"):
        read_partition(write(tmp_path, "a.jpg 0\nb.jpg 3\n"))


def test_boxes_are_squares_about_their_centre(tmp_path):
    table = "image,face_x,face_y,face_w,face_h,face_sure\na.jpg,10,20,40,40,1\nb.jpg,0,0,20,40,1\nc.jpg,0,0,9,9,0\n"
    boxes = read_boxes(write(tmp_path, table), margin=0.25, where="face_sure")
    assert boxes == {"a.jpg": Box(0, 10, 60, 70), "b.jpg": Box(-20, -10, 40, 50)}
    assert read_boxes(write(tmp_path, table), margin=0)["a.jpg"] == Box(10, 20, 50, 60)
    assert len(read_boxes(write(tmp_path, table))) == 3


@pytest.mark.parametrize(
    ("row", "where", "message"),
    [
        ("a.jpg,1,2,3,x,1", None, "line 2: the box of a.jpg is not 4 numbers"),
        ("a.jpg,1,2", None, "line 2: the box of a.jpg is not 4 numbers"),
        ("a.jpg,1,2,0,3,1", None, "line 2: the box of a.jpg is 0x3"),
        ("a.jpg,1,2,3,3,0", "face_sure", "no box with 1 in the column face_sure"),
        ("a.jpg,1,2,3,3,0", "face_shure", "no column face_shure; did you mean face_sure"),
    ],
)
def test_bad_boxes_are_named_with_the_line(tmp_path, row, where, message):
    with pytest.raises(InputError, match=message):
        read_boxes(write(tmp_path, f"image,face_x,face_y,face_w,face_h,face_sure\n{row}\n"), where=where)


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*none.txt"):
        read_attributes(tmp_path / "none.txt")


def test_real_lists(data_root):
    faces = data_root / "congress_faces"
    table = read_attributes(faces / "list_attr.txt")
    assert table.names == ["Male", "Born_Before_1950"]
    assert table.label.sum(0).tolist() == [548, 179]  # published in the data's README
    assert len(read_boxes(faces / "attributes.csv")) == 1019
    assert len(read_boxes(faces / "attributes.csv", where="face_sure")) == 978
