"""Any folder of images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lightning_gans.data.files import files_below, folder_classes, in_hash_order
from lightning_gans.data.images.base import ImageDataModule
from lightning_gans.data.images.files import SUFFIXES, UNREAD, ImageFiles
from lightning_gans.data.images.lists import Box, read_attributes, read_boxes
from lightning_gans.data.images.resizing import resized_images
from lightning_gans.data.loading import ImagesInMemory
from lightning_gans.data.splits import held_out_of
from lightning_gans.errors import InputError
from lightning_gans.ranges import NonNegativeFloat, PositiveInt, Share


class ImageFolder(ImageDataModule):
    """The images in ``root/folder`` and its sub-folders, cropped to a square and resized once.

    Labels: the attributes of ``attribute_file``, if given; else classes, if all images lie in two or more sub-folders,
    which name them; else zeros, with ``num_classes`` None. ``num_classes`` of classes is known after ``setup``.

    Validation and test are the same images: those whose paths have the smallest SHA-256 hashes, so that the choice
    does not depend on the order of the files, and hardly changes when files are added.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        folder: The images' folder, relative to ``root``.
        channels: 3 for RGB, 1 for gray.
        crop: Side of a centered square in pixels of the originals; the largest square when not given.
        boxes: CSV file, relative to the images' folder, with the columns image, face_x, face_y, face_w, face_h in
            pixels: the square to crop instead. Images without a box are left out.
        boxes_margin: Share of its side by which a box is grown on each side, before it is clipped to the image.
        boxes_where: Use only the boxes with 1 in this column of the CSV file, such as ``face_sure``.
        attribute_file: List in CelebA's format, relative to the images' folder. Images that it lacks are left out.
        attributes: Names of the attributes to use; all when not given; none, and labels of zeros, for an empty list.
        validation: Share of the images held out, at least one; 0 trains on all, and validates on the training images.
        options: As ``ImageDataModule``.
    """

    def __init__(
        self,
        root: str | None = None,
        *,
        folder: str = ".",
        channels: PositiveInt = 3,
        crop: PositiveInt | None = None,
        boxes: str | None = None,
        boxes_margin: NonNegativeFloat = 0.25,
        boxes_where: str | None = None,
        attribute_file: str | None = None,
        attributes: list[str] | None = None,
        validation: Share = 0.1,
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        if channels not in (1, 3):
            raise InputError(f"channels is {channels}; expected 3 (RGB) or 1 (gray)")
        if crop is not None and boxes is not None:
            raise InputError(f"crop is {crop}, with boxes, which are crops themselves; leave one of them out")
        if attributes and attribute_file is None:
            raise InputError(f"attributes {', '.join(attributes)} without an attribute_file that lists them")
        self.save_hyperparameters(logger=False)
        self.image_shape = (channels, *self.image_shape[1:])
        self.path, self.folder, self.crop, self.validation = self.root / folder, folder, crop, validation
        self.boxes, self.boxes_margin, self.boxes_where = boxes, boxes_margin, boxes_where
        self.attribute_file, self.attributes = attribute_file, attributes
        if attributes:
            self.num_classes, self.class_names = len(attributes), attributes

    def prepare_data(self) -> None:
        """Fill the cache on one process, so that the others find it."""
        self._load()

    def _load(self) -> dict[str, ImagesInMemory]:
        files = ImageFiles(self.path, files_below(self.root, self.folder, SUFFIXES, "image", UNREAD))
        names = in_hash_order(files.stamps)
        crops: dict[str, Box] | int | None = self.crop
        if self.boxes is not None:
            crops = read_boxes(self.path / self.boxes, self.boxes_margin, self.boxes_where)
            files.require(list(crops), self.path / self.boxes)
            names = [name for name in names if name in crops]
        names, label = self._labelled(files, names)
        if not names:
            raise InputError(f"no image of {self.path} is both in {self.boxes} and in {self.attribute_file}")
        data = ImagesInMemory(resized_images(files, names, crops, self.image_shape[1], self.image_shape[0]), label)
        count = held_out_of(len(data), self.validation)
        splits = {"train": data.part(count, len(data)), "val": data.part(0, count)}
        return splits if count else {"train": data}

    def _labelled(self, files: ImageFiles, names: list[str]) -> tuple[list[str], Tensor]:
        """The images that have a label, and their labels (N,) or (N, K)."""
        if self.attributes == []:
            return names, torch.zeros(len(names), dtype=torch.long)
        if self.attribute_file is None:
            label, classes = folder_classes(names)
            if classes:
                self.num_classes, self.class_names = len(classes), classes
            return names, label
        table = read_attributes(self.path / self.attribute_file).select(self.attributes)
        files.require(list(table.row), self.path / self.attribute_file)
        self.num_classes, self.class_names = len(table.names), table.names
        names = [name for name in names if name in table.row]
        return names, table.label[[table.row[name] for name in names]]
