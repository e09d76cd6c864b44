import os
import struct
import zipfile
from io import BytesIO

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from lightning_gans.data.images.files import ImageFiles
from lightning_gans.data.images.lists import Box
from lightning_gans.data.images.resizing import decode, resized_images, square_region
from lightning_gans.errors import InputError


def resized(*args: object) -> torch.Tensor:
    return torch.as_tensor(resized_images(*args))


def columns(width: int, height: int, step: int) -> np.ndarray:
    """Grey pixels whose value is their column times ``step``."""
    return np.tile((np.arange(width) * step).astype(np.uint8), (height, 1))


@pytest.mark.parametrize(
    ("crop", "expected"),
    [
        (None, [2, 3, 4, 5]),  # 8 wide, 4 high: columns 2 to 5
        (2, None),
        (Box(0, 0, 4, 4), [0, 1, 2, 3]),
        (Box(5, -1, 9, 3), [5.25, 6, 6.75, 7]),  # clipped to 3x3 pixels at column 5: enlarged
    ],
)
def test_crops(tmp_path, picture, crop, expected):
    picture(tmp_path / "a.png", columns(8, 4, 10))
    crops = {"a.png": crop} if isinstance(crop, Box) else crop
    size = 2 if crop == 2 else 4
    image = resized(ImageFiles(tmp_path), ["a.png"], crops, size, 1)
    assert image.shape == (1, 1, size, size)
    row = image[0, 0, 0].float() / 10
    if crop == 2:
        assert row.tolist() == [3, 4]
    elif crop == Box(5, -1, 9, 3):
        assert row[0] < 5.5
        assert row[-1] > 6.5
        assert row.mean().item() == pytest.approx(6, abs=0.1)
    else:
        assert row.tolist() == expected


SIZES = st.integers(1, 500)
PLACES = st.floats(-200, 600)


@given(SIZES, SIZES, PLACES, PLACES, st.floats(0.5, 700), st.floats(0.5, 700))
def test_a_box_becomes_a_square_in_it_and_in_its_image(width, height, left, top, box_width, box_height):
    box = Box(left, top, left + box_width, top + box_height)
    inside = min(box.right, width) - max(box.left, 0), min(box.bottom, height) - max(box.top, 0)
    if min(inside) < 1:
        with pytest.raises(ValueError, match="lies outside"):
            square_region(box, width, height)
        return
    x, y, right, bottom = square_region(box, width, height)
    assert right - x == bottom - y == int(min(inside))  # as large as whole pixels allow
    assert 0 <= x and 0 <= y and right <= width and bottom <= height
    for begin, end, low, high in ((x, right, box.left, box.right), (y, bottom, box.top, box.bottom)):
        size = width if begin is x else height
        assert abs((begin + end) - (max(low, 0) + min(high, size))) <= 2  # centered to a pixel


@given(SIZES, SIZES, st.none() | SIZES)
def test_a_centered_square(width, height, side):
    if side is not None and side > min(width, height):
        with pytest.raises(ValueError, match=f"smaller than the crop of {side}"):
            square_region(side, width, height)
        return
    left, top, right, bottom = square_region(side, width, height)
    assert right - left == bottom - top == (min(width, height) if side is None else side)
    assert abs(left - (width - right)) <= 1 and abs(top - (height - bottom)) <= 1
    assert min(left, top, width - right, height - bottom) >= 0


def test_shrinking_averages_over_all_pixels(tmp_path, picture):
    stripes = np.tile(np.array([0, 200], np.uint8), (64, 32))
    picture(tmp_path / "a.png", stripes)
    image = resized(ImageFiles(tmp_path), ["a.png"], None, 8, 1)
    assert (image.float() - 100).abs().max() <= 13  # without antialias it would be 0 or 200
    picture(tmp_path / "b.png", columns(64, 64, 4))
    image = resized(ImageFiles(tmp_path), ["b.png"], None, 8, 1)[0, 0, 0]
    assert image[1:-1].tolist() == pytest.approx([46, 78, 110, 142, 174, 206], abs=1)  # means of 16 columns' tent


@pytest.mark.parametrize(
    ("mode", "color", "suffix"),
    [
        ("L", 70, "png"),
        ("RGB", (70, 80, 90), "png"),
        ("RGB", (70, 80, 90), "webp"),
        ("RGBA", (70, 80, 90, 0), "png"),
        ("RGBA", (70, 80, 90, 0), "webp"),
        ("P", 0, "png"),
        ("1", 1, "png"),
    ],
)
def test_modes_and_channels(tmp_path, mode, color, suffix):
    path = tmp_path / f"a.{suffix}"
    image = Image.new(mode, (12, 12), color)
    if mode == "P":
        image.putpalette([70, 80, 90])
    image.save(path, lossless=True) if suffix == "webp" else image.save(path)
    rgb = resized(ImageFiles(tmp_path), [path.name], None, 6, 3)
    gray = resized(ImageFiles(tmp_path), [path.name], None, 6, 1)
    expected = {"L": [70] * 3, "RGB": [70, 80, 90], "P": [70, 80, 90], "RGBA": [255] * 3, "1": [255] * 3}[
        mode
    ]  # transparent: white
    assert rgb[0, :, 3, 3].tolist() == expected
    assert gray[0, 0, 3, 3].item() == round(0.299 * expected[0] + 0.587 * expected[1] + 0.114 * expected[2])


def test_large_photos_and_their_orientation(tmp_path):
    """A JPEG is decoded at a lower resolution, and turned as its camera says."""
    pixels = np.zeros((400, 800, 3), np.uint8)
    pixels[:, 400:] = 240
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: the left becomes the top
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=95)
    image = resized(ImageFiles(tmp_path), ["a.jpg"], None, 16, 1)[0, 0].float()
    assert image[:6].max() < 5
    assert image[-6:].min() > 235


@pytest.mark.parametrize("orientation", range(10))
def test_odd_tags_do_not_matter(orientation):
    """As Pillow turns it; where it also fails to write the other tags anew."""

    def saved() -> bytes:
        head = struct.pack("<HHII", 0x0112, 3, 1, orientation)
        odd = struct.pack("<HHIi", 0x0128, 9, 1, -2)  # a unit of resolution below 0
        exif = b"Exif\0\0II*\0\x08\0\0\0\2\0" + head + odd + bytes(4)
        file = BytesIO()
        Image.fromarray(pixels).save(file, "PNG", exif=exif)
        return file.getvalue()

    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    plain = Image.Exif()
    plain[0x0112] = orientation
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", exif=plain)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(file))).transpose(2, 0, 1)
    assert np.array_equal(decode(saved(), None, 9, 3), expected)


def test_the_cache_is_used_until_something_changes(tmp_path, picture, cache, monkeypatch):
    folder = tmp_path / "images"
    picture(folder / "a.png", (10, 10, 10))
    first = resized(ImageFiles(folder), ["a.png"], None, 4, 3)
    with monkeypatch.context() as patch:
        patch.setattr("lightning_gans.data.images.resizing.decode", lambda *_: pytest.fail("decoded again"))
        assert resized(ImageFiles(folder), ["a.png"], None, 4, 3).equal(first)
    assert len(list(cache.glob("*.uint8"))) == 1
    assert resized(ImageFiles(folder), ["a.png"], 6, 4, 3).equal(first)
    picture(folder / "a.png", (20, 20, 20))
    os.utime(folder / "a.png", ns=(0, 0))
    assert resized(ImageFiles(folder), ["a.png"], None, 4, 3).unique().tolist() == [20]
    assert len(list(cache.glob("*.uint8"))) == 3


def test_broken_files_are_named_and_leave_no_cache(tmp_path, picture, cache):
    folder = tmp_path / "images"
    for name in "abc":
        picture(folder / f"{name}.png", columns(200, 200, 1))
    picture(folder / "wide.png", size=(40, 5))
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:200])
    (folder / "c.png").write_text("not an image")
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(folder / "deep.png")
    files = ImageFiles(folder)
    with pytest.raises(InputError, match=r"4 image file\(s\)") as error:
        resized(files, list(files.stamps), 8, 8, 3)
    for part in ["b.png (", "c.png (", "deep.png (pixels of mode I;16", "wide.png (its 40x5 pixels are smaller"]:
        assert part in str(error.value)
    assert "a.png" not in str(error.value)
    assert "\n" not in str(error.value)
    assert list(cache.iterdir()) == []


def test_a_box_outside_of_its_image(tmp_path, picture):
    picture(tmp_path / "a.png", size=(10, 10))
    with pytest.raises(InputError, match=r"a.png \(its box .* lies outside of its 10x10 pixels"):
        resized(ImageFiles(tmp_path), ["a.png"], {"a.png": Box(20, 20, 30, 30)}, 4, 3)


def test_a_cache_that_cannot_be_written(tmp_path, picture, monkeypatch):
    picture(tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIGHTNING_GANS_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="set LIGHTNING_GANS_CACHE to a folder with enough space"):
        resized(ImageFiles(tmp_path), ["a.png"], None, 4, 3)


def test_files_of_folder_and_archive(tmp_path, picture):
    folder = tmp_path / "images"
    for name in ["b.png", "sub/a.PNG", "sub/.hidden.png", ".git/x.png"]:
        picture(folder / name, (5, 6, 7))
    (folder / "notes.txt").write_text("")
    (folder / "loop").symlink_to(folder)
    assert list(ImageFiles(folder).stamps) == ["b.png", "sub/a.PNG"]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ["sub/a.PNG", "b.png"]:
            archive.write(folder / name, name)
        archive.writestr("__MACOSX/b.png", "")
    packed = ImageFiles(tmp_path / "a.zip")
    assert list(packed.stamps) == ["b.png", "sub/a.PNG"]
    assert packed.read("b.png") == ImageFiles(folder).read("b.png")
    assert resized(packed, ["b.png"], None, 4, 3)[0, :, 0, 0].tolist() == [5, 6, 7]
    (tmp_path / "cut.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:-30])
    with pytest.raises(InputError, match=r"cut.zip: not a complete zip archive"):
        ImageFiles(tmp_path / "cut.zip")
