"""Images in shards: more than memory holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lightning_gans.data.images.base import ImageDataModule
from lightning_gans.data.images.sharded import MODES, ShardedImages
from lightning_gans.data.loading import ResumableSampler
from lightning_gans.data.shard_order import ShardSampler
from lightning_gans.data.shards import RECORD, WAY_OUT, read_record
from lightning_gans.files import Damaged
from lightning_gans.files.records import shown, typed
from lightning_gans.ranges import NonNegativeInt, PositiveInt


@dataclass(frozen=True)
class Facts:
    """Of the record: see ``ImageDataModule``."""

    image_shape: tuple[int, ...]
    num_classes: int | None = None
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.image_shape) != 3 or self.image_shape[0] not in MODES or min(self.image_shape) < 1:
            raise ValueError(f"image_shape is {shown(self.image_shape)}; expected channels, height and width")


class StreamedImages(ImageDataModule):
    """The images that ``lightning-gans data shard`` has written, with its splits, labels and size.

    The examples of an epoch are those of the data set that they were written from, in another order: each process has
    shards of its own and goes through them in groups, see ``ShardSampler``.

    Args:
        source: The folder of shards, or its address (s3://, gs://, abfs://, hf://, https://): its files are fetched in
            the order in which they are needed, and kept in the cache.
        flip: Mirror half of the training images, drawn anew each time, on the device.
        batch_size: Training images per step and process.
        eval_batch_size: Images per batch of validation and test.
        num_workers: Loader processes, which decode the images while the model trains.

    Attributes:
        image_shape: (C, H, W), known after ``setup``, as ``num_classes`` and ``class_names`` are.
    """

    splits: dict[str, Any]

    def __init__(
        self,
        *,
        source: str = ".",
        flip: bool = False,
        batch_size: PositiveInt = 64,
        eval_batch_size: PositiveInt = 500,
        num_workers: NonNegativeInt = 2,
    ) -> None:
        super().__init__(flip=flip, batch_size=batch_size, eval_batch_size=eval_batch_size, num_workers=num_workers)
        self.save_hyperparameters(logger=False)
        self.source = source

    def _load(self) -> dict[str, ShardedImages]:
        record, place = read_record(self.source, "images")
        try:
            facts = typed(Facts, record.facts)
        except ValueError as error:
            raise Damaged(place.folder / RECORD, f"no record of shards ({error})", WAY_OUT) from None
        self.image_shape = shape = facts.image_shape
        self.num_classes, self.class_names = facts.num_classes, list(facts.class_names) or None
        splits = {split: ShardedImages(place / split, shape) for split in record.examples}
        record.require_counts(place, {split: len(images) for split, images in splits.items()})
        return splits

    def _sampler(self, dataset: ShardedImages, *args: Any, **options: Any) -> ResumableSampler:
        return ShardSampler(dataset, *args, ends=dataset.ends, expect=dataset.shards.expect, **options)
