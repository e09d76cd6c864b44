"""MNIST: 70,000 handwritten digits (LeCun, Cortes & Burges), CC BY-SA 3.0."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from lightning_gans.data.files import missing
from lightning_gans.data.images.base import ImageDataModule
from lightning_gans.data.loading import ImagesInMemory
from lightning_gans.errors import InputError
from lightning_gans.files import reading, there
from lightning_gans.files.archives import gunzipped
from lightning_gans.ranges import PositiveInt

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
SIDE = 28
UNSIGNED_BYTES = 0x800
"""The first four bytes of an idx file, to which the number of axes is added."""
VALIDATION_SHARE = 6
"""One in six images of the training set: 10,000 of 60,000."""


class MNIST(ImageDataModule):
    """MNIST in memory, 50,000 images for training, the last 10,000 of the training set for validation.

    The files, gzipped or not, are looked for in ``root/MNIST/raw`` (torchvision's layout), ``root/raw`` and ``root``;
    where there are none, torchvision downloads them into ``root/MNIST/raw``. Sets in the same format (Fashion-MNIST)
    can be put in their place.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        image_size: 28, or larger and even: padded with black, as the digits lie on black.
        validation: False trains on all 60,000 images and validates on the test set.
        batch_size: Training images per step and process.
        options: As ``ImageDataModule``.
    """

    num_classes = 10
    class_names = [str(digit) for digit in range(10)]
    download_size = 12_000_000

    def __init__(
        self,
        root: str | None = None,
        *,
        image_size: PositiveInt = SIDE,
        validation: bool = True,
        batch_size: PositiveInt = 100,
        **options: Any,
    ) -> None:
        super().__init__(root, image_size=image_size, batch_size=batch_size, **options)
        if image_size < SIDE or image_size % 2:
            raise InputError(f"image_size is {image_size}; MNIST is padded to an even size of at least {SIDE}")
        self.save_hyperparameters(logger=False)
        self.image_shape = (1, image_size, image_size)
        self.validation = validation

    def prepare_data(self) -> None:
        """Download where nothing is there, on one process."""
        self._located(download=True)

    def _load(self) -> dict[str, ImagesInMemory]:
        folder = self._located()
        train, test = (self._read(folder, split) for split in ("train", "test"))
        if not self.validation:
            return {"train": train, "val": test}
        cut = len(train) - len(train) // VALIDATION_SHARE
        return {"train": train.part(0, cut), "val": train.part(cut, len(train)), "test": test}

    def _read(self, folder: Path, split: str) -> ImagesInMemory:
        image, label = (read_idx(folder, name) for name in FILES[split])
        if image.shape != (len(label), SIDE, SIDE) or not len(label) or label.max() >= self.num_classes:
            raise InputError(
                f"{folder}: the {split} images are {tuple(image.shape)}, the labels {tuple(label.shape)} up to"
                f" {label.max() if len(label) else 'nothing'}; expected (N, {SIDE}, {SIDE}) and (N,) up to"
                f" {self.num_classes - 1}; fetch them again"
            )
        border = (self.image_shape[-1] - SIDE) // 2
        return ImagesInMemory(pad(image[:, None], (border,) * 4), label)

    def _find(self) -> Path | None:
        names = [name for pair in FILES.values() for name in pair]
        for folder in (self.root / "MNIST" / "raw", self.root / "raw", self.root):
            if all(there(folder / name) or there(folder / f"{name}.gz") for name in names):
                return folder
        return None

    def _missing(self) -> str:
        files = "train-images-idx3-ubyte(.gz) and its three companions in MNIST/raw, in raw and in the folder itself"
        return missing("MNIST", files, self.root, ", or connect to the network once to download it")

    def _download(self) -> None:
        from torchvision.datasets import MNIST as Official  # knows the mirrors and checks MD5 sums

        Official(str(self.root), download=True)


def read_idx(folder: Path, name: str) -> Tensor:
    """Images (N, H, W) uint8 or labels (N,) int64.

    Args:
        folder: Where the file lies, as ``name`` or gzipped as ``name.gz``; nothing is written there.
        name: Its name without ``.gz``.

    Raises:
        InputError: for a file that is damaged, cut short or too long; gzip checks its own sum.
    """
    path = folder / name
    path = path if there(path) else folder / f"{name}.gz"
    data = gunzipped(path, "fetch it again")
    axes = 3 if "idx3" in name else 1
    with reading(path, "an idx file of unsigned bytes", "fetch it again"):
        magic, *shape = struct.unpack(f">{1 + axes}i", data[: 4 + 4 * axes])
        if magic != UNSIGNED_BYTES + axes:
            raise ValueError(f"it begins with {magic}; expected {UNSIGNED_BYTES + axes}")
        values = torch.from_numpy(np.frombuffer(data, np.uint8, offset=4 + 4 * axes).copy()).view(shape)
    return values if axes == 3 else values.long()
