"""MNIST: 70,000 handwritten digits (LeCun, Cortes & Burges), CC BY-SA 3.0."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from lightning_gans.data.images import ImageDataModule, ImagesInMemory
from lightning_gans.errors import InputError

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
VALIDATION_IMAGES = 10_000


class MNIST(ImageDataModule):
    """MNIST in memory, 50,000 images for training, the last 10,000 of the training set for validation.

    The files, gzipped or not, are looked for in ``root/MNIST/raw`` (torchvision's layout), ``root/raw`` and ``root``;
    where there are none, torchvision downloads them into ``root/MNIST/raw``.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        batch_size: Training images per step and process.
        eval_batch_size: Images per batch of validation and test.
        image_size: 28, or larger: padded with black, as the digits lie on black.
        validation: False trains on all 60,000 images and validates on the test set.
        num_workers: Loader processes; 0 is fastest, since a batch is one indexing operation.
    """

    num_classes = 10

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 100,
        eval_batch_size: int = 500,
        image_size: int = 28,
        validation: bool = True,
        num_workers: int = 0,
    ) -> None:
        super().__init__(root, batch_size, eval_batch_size, num_workers)
        if image_size < 28 or image_size % 2:
            raise InputError(f"image_size is {image_size}; MNIST is padded to an even size of at least 28")
        self.save_hyperparameters(logger=False)
        self.image_shape = (1, image_size, image_size)
        self.validation = validation

    def prepare_data(self) -> None:
        if find_files(self.root) is None:
            download(self.root)

    def setup(self, stage: str) -> None:
        if hasattr(self, "splits"):
            return
        folder = find_files(self.root)
        if folder is None:
            raise InputError(missing(self.root))
        train, test = (ImagesInMemory(*self._read(folder, split)) for split in ("train", "test"))
        self.splits = {"train": train, "val": test, "test": test}
        if self.validation:
            cut = len(train) - VALIDATION_IMAGES
            self.splits["train"] = ImagesInMemory(train.image[:cut], train.label[:cut])
            self.splits["val"] = ImagesInMemory(train.image[cut:], train.label[cut:])

    def _read(self, folder: Path, split: str) -> tuple[Tensor, Tensor]:
        image, label = (read_idx(folder, name) for name in FILES[split])
        if len(image) != len(label) or image.dim() != 3:
            raise InputError(f"{folder}: {tuple(image.shape)} images and {len(label)} labels of the {split} set")
        border = (self.image_shape[-1] - image.shape[-1]) // 2
        return pad(image[:, None], (border,) * 4), label.long()


def find_files(root: Path) -> Path | None:
    """The folder that holds all four files, or None."""
    names = [name for pair in FILES.values() for name in pair]
    for folder in (root / "MNIST" / "raw", root / "raw", root):
        if all((folder / name).is_file() or (folder / f"{name}.gz").is_file() for name in names):
            return folder
    return None


def read_idx(folder: Path, name: str) -> Tensor:
    """Read a file of the idx format: two zero bytes, type 8 (unsigned byte), rank, big-endian sizes, data.

    Raises:
        InputError: for a file that is damaged or cut short.
    """
    path = folder / name
    try:
        data = path.read_bytes() if path.is_file() else gzip.decompress((folder / f"{name}.gz").read_bytes())
        zero, kind, rank = struct.unpack_from(">HBB", data)
        shape = struct.unpack_from(f">{rank}I", data, 4)
        if (zero, kind) != (0, 8):
            raise ValueError(f"it starts with {data[:4].hex()}")
        values = np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise InputError(f"{path} is not a complete idx file of unsigned bytes ({error}); fetch it again") from error
    return torch.from_numpy(values.copy())


def download(root: Path) -> None:
    """Fetch the four files with torchvision, which knows their mirrors and checksums."""
    from torchvision.datasets import MNIST as Official

    try:
        Official(str(root), download=True)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{missing(root)} (the download failed: {error})") from error


def missing(root: Path) -> str:
    """What to say where there is no MNIST."""
    return (
        f"no MNIST in {root.resolve()}: looked for train-images-idx3-ubyte(.gz) and its three companions in MNIST/raw,"
        " raw and the folder itself; give their folder with --data.root DIR or LIGHTNING_GANS_DATA, or connect to the"
        " network once to download them"
    )
