"""Images in shards: each a PNG file of the pixels that training sees, so that nothing is lost on the way."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from lightning_gans.data.batches import ImageBatch
from lightning_gans.data.images.resizing import PIXELS, PIXELS_PER_BYTE
from lightning_gans.data.loading import ImagesInMemory, evenly
from lightning_gans.data.places import Place
from lightning_gans.data.shards import SHARD_BYTES, WAY_OUT, Shards, encoded, write_shards
from lightning_gans.files import Damaged, reading
from lightning_gans.files.arrays import mapped
from lightning_gans.files.limits import LARGEST

LABELS = "labels.npy"
MODES = {1: "L", 3: "RGB"}
COMPARED = 8
"""Images that speak for all in a fingerprint, beside the labels of all: each may lie in a shard of its own."""


def write_images(folder: Path, images: ImagesInMemory, shard_bytes: int = SHARD_BYTES) -> None:
    """Write images as shards, with their labels beside.

    Args:
        folder: Where to, see ``write_shards``.
        images: All that are written.
        shard_bytes: Of a shard, about.
    """

    def png(row: int) -> bytes:
        file = io.BytesIO()
        pixels = images.image[row].permute(1, 2, 0).contiguous().numpy()
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
        return file.getvalue()

    write_shards(folder, encoded(png, np.arange(len(images)), f"{folder.name} images"), shard_bytes)
    np.save(folder / LABELS, images.label.numpy())


class ShardedImages(Dataset):
    """What ``write_images`` has written; hands out whole batches of uint8, decoded when they are asked for.

    Args:
        place: Of the shards.
        shape: (C, H, W) of each image.

    Attributes:
        label: (N,) or (N, K).
        ends: (S,) as those of ``Shards``.

    Raises:
        InputError: for shards or labels that are damaged or do not belong together.
    """

    def __init__(self, place: Place, shape: tuple[int, ...]) -> None:
        self.place, self.shape, self.shards = place, shape, Shards(place)
        label = mapped(place.file(LABELS, LARGEST), WAY_OUT)
        if label.dtype not in (np.int64, np.float32) or label.ndim not in (1, 2) or len(label) != len(self.shards):
            what = f"{label.dtype} of shape {label.shape}, expected a label for each of {len(self.shards)} images"
            raise Damaged(place.folder / LABELS, what, WAY_OUT)
        self.label, self.ends = torch.from_numpy(np.array(label)), self.shards.ends

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> ImageBatch:
        return ImageBatch(torch.from_numpy(self._image(index)), self.label[index])

    def __getitems__(self, indices: Sequence[int]) -> ImageBatch:
        return ImageBatch(torch.from_numpy(np.stack([self._image(i) for i in indices])), self.label[list(indices)])

    def _image(self, index: int) -> np.ndarray:
        channels, height, width = self.shape
        data = self.shards[index]
        where, bomb = f"image {index} of {self.place}", Image.DecompressionBombError
        with reading(where, "PNG", WAY_OUT, bomb), Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            promised = height * width > PIXELS + PIXELS_PER_BYTE * len(data)
            if promised or (image.mode, image.size) != (MODES[channels], (width, height)):
                found = f"{image.mode}, {image.width}x{image.height} in {len(data)} bytes"
                raise ValueError(f"{found}; expected {MODES[channels]}, {width}x{height}")
            return np.array(image).reshape(height, width, channels).transpose(2, 0, 1)

    def content(self) -> Iterator[bytes]:
        """What tells these images from others, see ``fingerprint``."""
        yield self.label.numpy().tobytes()
        for index in evenly(len(self), COMPARED):
            yield self.shards[index]
