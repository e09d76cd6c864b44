"""CelebA: 202,599 faces with 40 attributes (Liu et al. 2015, https://arxiv.org/abs/1411.7766).

For non-commercial research only, by its authors' agreement.
"""

from __future__ import annotations

import os
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_gans.data.files import missing
from lightning_gans.data.images.base import ImageDataModule
from lightning_gans.data.images.files import ImageFiles
from lightning_gans.data.images.lists import read_attributes, read_partition
from lightning_gans.data.images.resizing import resized_images
from lightning_gans.data.loading import ImagesInMemory
from lightning_gans.errors import InputError
from lightning_gans.ranges import PositiveInt

OFFICIAL = {"train": 162_770, "val": 19_867, "test": 19_962}
"""Images of each split; in the order of their numbers."""
NUM_ATTRIBUTES = 40
FOLDERS = ("celeba", "CelebA", ".")
SUBFOLDERS = (".", "Img", "Anno", "Eval")
"""torchvision and Kaggle put all files into one folder, the authors' drive has these three."""


class CelebA(ImageDataModule):
    """The aligned faces (178x218), center-cropped and resized once, with binary attributes.

    Looked for in ``root/celeba``, ``root/CelebA`` and ``root``: ``img_align_celeba/`` with the images or
    ``img_align_celeba.zip`` (read as it is), ``list_attr_celeba.txt``, ``list_eval_partition.txt``; the lists may be
    ``.csv``. Where there are no images, torchvision downloads them with ``gdown``, which Google Drive often refuses.

    Without the partition file, the images are split in the order of their numbers and in the official ratio, which is
    the official split where all images are there.

    FID is not comparable across crops: 148 and 108 are both in use, 178 takes the whole width.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        crop: Side of the centered square, in pixels of the originals.
        attributes: Names of the attributes that make the labels (N, K), in this order; all 40 when not given; with an
            empty list the labels are zeros (N,), and the list of attributes is not needed.
        batch_size: Training images per step and process.
        options: As ``ImageDataModule``.
    """

    download_size = 1_500_000_000

    def __init__(
        self,
        root: str | None = None,
        *,
        crop: Annotated[int, Ge(1), Le(178)] = 148,
        attributes: list[str] | None = None,
        batch_size: PositiveInt = 128,
        **options: Any,
    ) -> None:
        super().__init__(root, batch_size=batch_size, **options)
        self.save_hyperparameters(logger=False)
        self.crop, self.attributes = crop, attributes
        if attributes != []:
            self.num_classes = NUM_ATTRIBUTES if attributes is None else len(attributes)
            self.class_names = attributes

    def prepare_data(self) -> None:
        """Download where nothing is there, and fill the cache, on one process."""
        self._located(download=True)
        self._load()

    def _load(self) -> dict[str, ImagesInMemory]:
        files, folder = self._images()
        table = None
        if self.attributes != []:
            list_file = self._path("list_attr_celeba.txt", "list_attr_celeba.csv")
            if list_file is None:
                missing_list = self._missing("list of attributes")
                raise InputError(f"{missing_list}; or train without labels: --data.attributes '[]'")
            table = read_attributes(list_file).select(self.attributes)
            self.num_classes, self.class_names = len(table.names), table.names
        counts, names = self._split([name.rpartition("/")[2] for name in files.stamps])
        label = torch.zeros(len(names), dtype=torch.long)
        if table and list_file:
            files.require([folder + name for name in table.row], list_file)
            unlisted = [name for name in names if name not in table.row]
            if unlisted:
                raise InputError(f"{list_file} lacks {len(unlisted)} images, such as {unlisted[0]}; fetch it again")
            label = table.label[[table.row[name] for name in names]]
        image = resized_images(files, [folder + name for name in names], self.crop, self.image_shape[1], 3)
        data, ends = ImagesInMemory(image, label), accumulate(counts.values())
        return {split: data.part(end - counts[split], end) for split, end in zip(counts, ends, strict=True)}

    def _images(self) -> tuple[ImageFiles, str]:
        """The image files, and the folder inside them (Kaggle's archive has one more)."""
        path = self._located()
        files = ImageFiles(path)
        folders = {name[: name.rfind("/") + 1] for name in files.stamps}
        if len(folders) != 1:
            raise InputError(f"{path} has {len(folders)} folders with images; expected all images in one")
        return files, folders.pop()

    def _split(self, images: list[str]) -> tuple[dict[str, int], list[str]]:
        """The size of each split, and the images with the splits one after the other."""
        path = self._path("list_eval_partition.txt", "list_eval_partition.csv")
        if path is None:
            total = sum(OFFICIAL.values())
            train, val = (round(len(images) * OFFICIAL[split] / total) for split in ("train", "val"))
            rank_zero_info("CelebA: no list_eval_partition, so the images are split in the order of their names")
            return {"train": train, "val": val, "test": len(images) - train - val}, images
        partition = read_partition(path)
        if set(partition) != set(images):
            odd = sorted(set(partition) ^ set(images))
            raise InputError(f"{path} and the images differ in {len(odd)} names, such as {odd[0]}; fetch them again")
        counts = {split: list(partition.values()).count(part) for part, split in enumerate(OFFICIAL)}
        return counts, sorted(images, key=partition.__getitem__)

    def _path(self, *names: str) -> Path | None:
        paths = (self.root / f / s / name for f in FOLDERS for s in SUBFOLDERS for name in names)
        return next((path for path in paths if os.path.lexists(path)), None)

    def _find(self) -> Path | None:
        return self._path("img_align_celeba", "img_align_celeba.zip")

    def _missing(self, what: str = "images") -> str:
        looked_for = (
            "img_align_celeba/ or img_align_celeba.zip, list_attr_celeba.txt and list_eval_partition.txt in celeba, in"
            " CelebA and in the folder itself"
        )
        brings = (
            "; the files are at https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, and come by themselves where there"
            " is a network and gdown (pip install gdown)"
        )
        return missing(f"CelebA {what}", looked_for, self.root, brings)

    def _download(self) -> None:
        from torchvision.datasets import CelebA as Official  # extracts into root/celeba and checks MD5 sums

        Official(str(self.root), download=True)
