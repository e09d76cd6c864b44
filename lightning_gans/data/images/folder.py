"""Any folder of images."""

from __future__ import annotations

from lightning_gans.data.base import missing
from lightning_gans.data.files import SUFFIXES, ImageFiles, folder_classes, in_hash_order
from lightning_gans.data.images.base import ImageDataModule
from lightning_gans.data.images.lists import Box, read_attributes, read_boxes
from lightning_gans.data.images.resizing import resized_images
from lightning_gans.data.loading import ImagesInMemory
from lightning_gans.errors import InputError


class ImageFolder(ImageDataModule):
    """The images in ``root/folder`` and its sub-folders, cropped to a square and resized once.

    Labels: the attributes of ``attribute_file``, if given; else classes, if all images lie in two or more sub-folders,
    which name them; else zeros, with ``num_classes`` None. ``num_classes`` of classes is known after ``setup``.

    Validation and test are the same images: those whose paths have the smallest SHA-256 hashes, so that the choice
    does not depend on the order of the files, and hardly changes when files are added.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        folder: The images' folder, relative to ``root``.
        image_size: H = W, in pixels.
        batch_size: Training images per step and process.
        eval_batch_size: Images per batch of validation and test.
        channels: 3 for RGB, 1 for grey.
        crop: Side of a centred square in pixels of the originals; the largest square when not given.
        boxes: CSV file, relative to the images' folder, with the columns image, face_x, face_y, face_w, face_h in
            pixels: the square to crop instead. Images without a box are left out.
        boxes_margin: Share of its side by which a box is grown on each side, before it is clipped to the image.
        boxes_where: Use only the boxes with 1 in this column of the CSV file, such as ``face_sure``.
        attribute_file: List in CelebA's format, relative to the images' folder. Images that it lacks are left out.
        attributes: Names of the attributes to use; all when not given.
        validation: Share of the images held out; 0 trains on all, and validates on the training images.
        flip: Mirror half of the training images.
        num_workers: Loader processes; 0 is fastest, since a batch is one indexing operation.
    """

    def __init__(
        self,
        root: str | None = None,
        folder: str = ".",
        image_size: int = 64,
        batch_size: int = 64,
        eval_batch_size: int = 500,
        channels: int = 3,
        crop: int | None = None,
        boxes: str | None = None,
        boxes_margin: float = 0.25,
        boxes_where: str | None = None,
        attribute_file: str | None = None,
        attributes: list[str] | None = None,
        validation: float = 0.1,
        flip: bool = False,
        num_workers: int = 0,
    ) -> None:
        super().__init__(root, batch_size, eval_batch_size, image_size, num_workers, flip)
        if channels not in (1, 3):
            raise InputError(f"channels is {channels}; expected 3 (RGB) or 1 (grey)")
        if crop is not None and (crop < 1 or boxes):
            raise InputError(f"crop is {crop}{', with boxes' if boxes else ''}; expected at least 1, and no boxes")
        if not 0 <= validation < 1:
            raise InputError(f"validation is {validation}; expected a share of at least 0 and below 1")
        if attributes and not attribute_file:
            raise InputError(f"attributes {', '.join(attributes)} without an attribute_file that lists them")
        self.save_hyperparameters(logger=False)
        self.image_shape = (channels, image_size, image_size)
        if attributes:
            self.num_classes, self.class_names = len(attributes), attributes

    def prepare_data(self) -> None:
        """Fill the cache on one process, so that the others find it."""
        self._load()

    def setup(self, stage: str) -> None:
        if hasattr(self, "splits"):
            return
        data = self._load()
        held_out = round(len(data) * self.hparams.validation)
        train = data.part(held_out, len(data))
        val = data.part(0, held_out) if held_out else train
        self.splits = {"train": train, "val": val, "test": val}

    def _load(self) -> ImagesInMemory:
        """All images, in the order of the hashes of their paths: the first are held out."""
        h = self.hparams
        path = self.root / h.folder
        files = ImageFiles(path) if path.is_dir() else None
        if not files or not files.stamps:
            kinds = ", ".join(f"*{suffix}" for suffix in SUFFIXES)
            what = "image" if files else f"folder {h.folder}"
            raise InputError(missing(what, f"{kinds} in {path} and its sub-folders", self.root))
        names = in_hash_order(files.stamps)
        crops: list[Box] | int | None = h.crop
        if h.boxes:
            boxes = read_boxes(path / h.boxes, h.boxes_margin, h.boxes_where)
            files.require(list(boxes), path / h.boxes)
            names = [name for name in names if name in boxes]
        if h.attribute_file:
            table = read_attributes(path / h.attribute_file).select(h.attributes)
            files.require(table.images, path / h.attribute_file)
            row = {name: index for index, name in enumerate(table.images)}
            names = [name for name in names if name in row]
            label = table.label[[row[name] for name in names]]
            self.num_classes, self.class_names = len(table.names), table.names
        else:
            label, classes = folder_classes(names)
            if classes:
                self.num_classes, self.class_names = len(classes), classes
        if not names:
            raise InputError(f"no image of {path} is both in {h.boxes} and in {h.attribute_file}")
        if h.boxes:
            crops = [boxes[name] for name in names]
        return ImagesInMemory(resized_images(files, names, crops, h.image_size, h.channels), label)
