"""Image files, in a folder or a zip archive, cropped and resized once into a cache that all processes map.

Decoding 200,000 faces takes minutes, reading the result takes none: the cache holds uint8 pixels as the data sets
serve them, its name is a hash of all that went in, and the operating system shares its memory between processes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lightning_gans.data.files import NAMED, ImageFiles
from lightning_gans.data.lists import Box
from lightning_gans.errors import InputError

FORMAT = 1
"""Raise it when the same files and settings give other pixels, so that old caches are left alone."""
CHUNK = 64


def cache_folder() -> Path:
    """Where resized images are kept: ``$LIGHTNING_GANS_CACHE/images``, else in the user's cache folder."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("LIGHTNING_GANS_CACHE") or user_cache_path("lightning_gans")).expanduser() / "images"


def resized_images(
    files: ImageFiles, names: Sequence[str], crops: Sequence[Box] | int | None, size: int, channels: int
) -> Tensor:
    """Crop and resize images, or take the result of an earlier time from the cache.

    Resizing is Pillow's bilinear filter, which averages over all pixels that fall into one (antialias), as
    torchvision's ``Resize`` does.

    Args:
        files: Where the images lie.
        names: Which of them, in the order of the result.
        crops: A box for each image; or the side in pixels of a centred square for all; or None for the largest
            centred square.
        size: Height and width of the result.
        channels: 3 for RGB, 1 for grey. Transparent images are laid on white.

    Returns:
        (N, C, H, W) uint8, mapped from the cache: pages come into memory as they are used.

    Raises:
        InputError: naming the files that cannot be decoded; for a cache that cannot be written.
    """
    shape = (len(names), channels, size, size)
    boxes = crops if crops is None or isinstance(crops, int) else [tuple(box) for box in crops]
    stamps = [(name, *files.stamps[name]) for name in names]
    key = hashlib.sha256(json.dumps([FORMAT, str(files.root.resolve()), stamps, boxes, shape]).encode()).hexdigest()
    path = cache_folder() / f"{key[:32]}.uint8"
    if not path.is_file():
        try:
            _fill(path, shape, files, names, crops)
        except OSError as error:
            raise InputError(
                f"cannot write {math.prod(shape) / 1e6:.0f} MB of resized images to {path.parent} ({error.strerror});"
                " set LIGHTNING_GANS_CACHE to a folder with enough space"
            ) from error
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:  # begin to read it now, in order, not page by page as batches are drawn
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
    return torch.from_file(str(path), shared=False, size=math.prod(shape), dtype=torch.uint8).view(shape)


def _fill(
    path: Path, shape: tuple[int, ...], files: ImageFiles, names: Sequence[str], crops: Sequence[Box] | int | None
) -> None:
    """Write a cache file, which appears under its name when it is complete."""
    from tqdm import tqdm

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        _reserve(handle, math.prod(shape))
        pixels = np.memmap(temporary, np.uint8, "r+", shape=shape)
        broken: dict[str, str] = {}
        lock = threading.Lock()
        bar = tqdm(total=len(names), desc="resizing images", unit="", delay=2, leave=False)

        def work(start: int) -> None:
            chunk = range(start, min(start + CHUNK, len(names)))
            for index in chunk:
                crop = crops if crops is None or isinstance(crops, int) else crops[index]
                try:
                    pixels[index] = decode(files.read(names[index]), crop, shape[-1], shape[1])
                except Exception as error:  # decoders raise many kinds; each is reported, and with its file
                    broken[names[index]] = " ".join(str(error).split()) or type(error).__name__
            with lock:
                bar.update(len(chunk))

        with bar, ThreadPoolExecutor(_threads()) as pool:
            list(pool.map(work, range(0, len(names), CHUNK)))
        if broken:
            raise InputError(_broken(files.root, broken))
        pixels.flush()
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _reserve(handle: int, size: int) -> None:
    """Give an open file its size and close it; a full disk is an error here, and a crash in a mapped file."""
    with os.fdopen(handle, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)


def decode(data: bytes, crop: Box | int | None, size: int, channels: int) -> np.ndarray:
    """Decode, crop and resize one image.

    Args:
        data: The file's bytes.
        crop: A box, of which the largest centred square inside the image is taken; the side of a centred square;
            or None for the largest centred square.
        size: Height and width of the result.
        channels: 3 for RGB, 1 for grey.

    Returns:
        (C, H, W) uint8.

    Raises:
        OSError, ValueError, SyntaxError: for what cannot be decoded (from Pillow), or cropped.
    """
    from PIL import Image, ImageOps

    with Image.open(BytesIO(data)) as image:
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"pixels of mode {image.mode}; expected 8 bits per channel")
        if crop is None:
            # JPEG decodes faster at 1/2, 1/4, 1/8: twice the wanted pixels are left for the filter
            image.draft(None, (2 * size, 2 * size))
        image = ImageOps.exif_transpose(image)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB" if channels == 3 else "L")
        # cropped before it is resized: the filter must not see what lies outside
        image = image.crop(_region(crop, *image.size)).resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels.transpose(2, 0, 1) if channels == 3 else pixels[None]


def _region(crop: Box | int | None, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the square to cut out, in whole pixels."""
    if isinstance(crop, Box):
        left, top = max(crop.left, 0), max(crop.top, 0)
        right, bottom = min(crop.right, width), min(crop.bottom, height)
        side = int(min(right - left, bottom - top))
        if side < 1:
            raise ValueError(f"its box {tuple(crop)} lies outside of its {width}x{height} pixels")
        left, top = int((left + right - side) / 2), int((top + bottom - side) / 2)
    else:
        side = min(width, height) if crop is None else crop
        if side > min(width, height):
            raise ValueError(f"its {width}x{height} pixels are smaller than the crop of {side}")
        left, top = round((width - side) / 2), round((height - side) / 2)
    return left, top, left + side, top + side


def _broken(root: Path, broken: dict[str, str]) -> str:
    listed = [f"{name} ({reason})" for name, reason in sorted(broken.items())[:NAMED]]
    more = " ..." if len(broken) > NAMED else ""
    return f"{len(broken)} image file(s) in {root} cannot be used: {', '.join(listed)}{more}; replace or remove them"


def _threads() -> int:
    return min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
