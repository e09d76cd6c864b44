"""What the image DataModules share: uint8 in memory, scaled and mirrored per batch on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning import Trainer
from torch import Tensor

from lightning_gans.data.base import SplitDataModule, seed
from lightning_gans.data.batches import ImageBatch
from lightning_gans.data.loading import ImagesInMemory
from lightning_gans.ranges import NonNegativeInt, PositiveInt


class ImageDataModule(SplitDataModule):
    """Base of the image data sets: a subclass sets ``splits`` in ``setup``.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        image_size: H = W, in pixels.
        flip: Mirror half of the training images, drawn anew each time, on the device.
        batch_size: Training images per step and process.
        eval_batch_size: Images per batch of validation and test.
        num_workers: Loader processes; 0 is fastest, since a batch is one indexing operation.

    Attributes:
        splits: ``train``, ``val`` and ``test`` data sets whose items are ``ImageBatch`` of uint8.
        image_shape: (C, H, W), with three channels where a subclass sets no other.

    Raises:
        InputError: for a size that is not positive.
    """

    splits: dict[str, ImagesInMemory]
    image_shape: tuple[int, ...]
    things = "images"

    def __init__(
        self,
        root: str | None = None,
        *,
        image_size: PositiveInt = 64,
        flip: bool = False,
        batch_size: PositiveInt = 64,
        eval_batch_size: PositiveInt = 500,
        num_workers: NonNegativeInt = 0,
    ) -> None:
        super().__init__(root, batch_size, eval_batch_size, num_workers)
        self.image_shape, self.flip = (3, image_size, image_size), flip

    def on_after_batch_transfer(self, batch: ImageBatch, dataloader_idx: int) -> ImageBatch:
        """Scale to [-1, 1] on the device, after a transfer of a quarter of the bytes; mirror if asked for."""
        image = batch.image.float().div_(127.5).sub_(1)
        if self.flip and self.trainer and self.trainer.training:
            image = mirrored(image, self.trainer)
        return ImageBatch(image, batch.label)


def mirrored(image: Tensor, trainer: Trainer) -> Tensor:
    """Mirror half of the images: which ones is a function of seed, rank, epoch and batch, so that runs resume."""
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    key = np.random.SeedSequence((seed(), trainer.global_rank, trainer.current_epoch, batches.processed))
    generator = torch.Generator(image.device).manual_seed(int(key.generate_state(1)[0]))
    chosen = torch.rand(len(image), 1, 1, 1, generator=generator, device=image.device) < 0.5
    return torch.where(chosen, image.flip(-1), image)
