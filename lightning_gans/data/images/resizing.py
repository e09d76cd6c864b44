"""Image files, in a folder or a zip archive, cropped and resized once into a cache that all processes map.

Decoding 200,000 faces takes minutes, reading the result takes none: the cache holds uint8 pixels as the data sets
serve them, its name is a hash of all that went in, and the operating system shares its memory between processes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np

from lightning_gans.data.caching import cache_path, packed
from lightning_gans.data.files import describe_broken
from lightning_gans.data.images.files import ImageFiles
from lightning_gans.data.images.lists import Box
from lightning_gans.errors import InputError
from lightning_gans.files import Damaged, reading

PIXELS, PIXELS_PER_BYTE = 2**24, 16
"""An image may have so many pixels, and so many more for each byte of its file; a photograph has one or two."""
ORIENTATION = 0x0112
"""The EXIF tag of how the camera was held."""
TURNS = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"}
TURNS |= {6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"}
"""By its value, what undoes it: names of ``PIL.Image.Transpose``."""
FORMAT = 1
"""Raise it when the same files and settings give other pixels, so that old caches are left alone."""


class Refused(InputError):
    """An image that can be decoded, and is not one to be used: the message says why."""


def resized_images(
    files: ImageFiles, names: Sequence[str], crops: Mapping[str, Box] | int | None, size: int, channels: int
) -> np.ndarray:
    """Crop and resize images, or take the result of an earlier time from the cache.

    Resizing is Pillow's bilinear filter, which averages over all pixels that fall into one (antialias), as
    torchvision's ``Resize`` does.

    Args:
        files: Where the images lie.
        names: Which of them, in the order of the result.
        crops: A box for each name; or the side in pixels of a centered square for all; or None for the largest
            centered square.
        size: Height and width of the result.
        channels: 3 for RGB, 1 for gray. Transparent images are laid on white.

    Returns:
        (N, C, H, W) uint8, mapped from the cache: pages come into memory as they are used.

    Raises:
        InputError: naming the files that cannot be decoded; for a cache that cannot be written.
    """
    shape = (len(names), channels, size, size)
    boxes = [tuple(crops[name]) for name in names] if isinstance(crops, Mapping) else crops
    stamps = [(name, *files.stamps[name]) for name in names]
    path = cache_path("images", ".uint8", FORMAT, str(files.root.resolve()), stamps, boxes, shape)

    def read(name: str) -> np.ndarray:
        from PIL.Image import DecompressionBombError

        path, data = files.root / name, files.read(name)
        try:
            with reading(path, "an image", "replace it", DecompressionBombError):
                return decode(data, crops[name] if isinstance(crops, Mapping) else crops, size, channels)
        except Refused as error:
            raise Damaged(path, str(error)) from None

    def facts(names: list[str], broken: dict[str, str]) -> dict[str, Any]:
        if broken:
            raise InputError(f"{describe_broken('image', files.root, broken)}; replace or remove them")
        return {}

    return packed(path, "resized images", np.uint8, names, read, facts)[0].reshape(shape)


def decode(data: bytes, crop: Box | int | None, size: int, channels: int) -> np.ndarray:
    """Decode, crop and resize one image.

    Args:
        data: The file's bytes.
        crop: A box, of which the largest centered square inside the image is taken; the side of a centered square;
            or None for the largest centered square.
        size: Height and width of the result.
        channels: 3 for RGB, 1 for gray.

    Returns:
        (C, H, W) uint8.

    Raises:
        Exception: whatever Pillow meets at what cannot be decoded.
        Refused: for a box outside of the image, other pixels than 8 bits per channel, and a header that promises
            more than its bytes can hold.
    """
    from PIL import Image

    with Image.open(BytesIO(data)) as image:
        if math.prod(image.size) > PIXELS + PIXELS_PER_BYTE * len(data):
            raise Refused(f"its header promises {image.width}x{image.height} pixels, in {len(data)} bytes")
        if image.mode.startswith(("I", "F")):
            raise Refused(f"pixels of mode {image.mode}; expected 8 bits per channel")
        if crop is None:
            # JPEG decodes faster at 1/2, 1/4, 1/8: twice the wanted pixels are left for the filter
            image.draft(None, (2 * size, 2 * size))
        image.load()  # what comes behind the pixels too
        turn = TURNS.get(image.getexif().get(ORIENTATION))
        if turn is not None:  # not by ImageOps.exif_transpose, which also writes all tags anew, and fails at odd ones
            image = image.transpose(Image.Transpose[turn])
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB" if channels == 3 else "L")
        # cropped before it is resized: the filter must not see what lies outside
        image = image.crop(square_region(crop, *image.size)).resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels.transpose(2, 0, 1) if channels == 3 else pixels[None]


def square_region(crop: Box | int | None, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the square to cut out, in whole pixels."""
    if isinstance(crop, Box):
        left, top = max(crop.left, 0), max(crop.top, 0)
        right, bottom = min(crop.right, width), min(crop.bottom, height)
        side = int(min(right - left, bottom - top))
        if side < 1:
            raise Refused(f"its box {tuple(crop)} lies outside of its {width}x{height} pixels")
        left, top = int((left + right - side) / 2), int((top + bottom - side) / 2)
    else:
        side = min(width, height) if crop is None else crop
        if side > min(width, height):
            raise Refused(f"its {width}x{height} pixels are smaller than the crop of {side}")
        left, top = round((width - side) / 2), round((height - side) / 2)
    return left, top, left + side, top + side
