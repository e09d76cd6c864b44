"""What the image DataModules share: uint8 in memory, scaled and mirrored per batch on the device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lightning_gans.data.base import SplitDataModule, require_positive, seed
from lightning_gans.data.batches import ImageBatch
from lightning_gans.data.loading import ImagesInMemory


class ImageDataModule(SplitDataModule):
    """Base of the image data sets: a subclass sets ``splits`` in ``setup``.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        batch_size: Training images per step and process.
        eval_batch_size: Images per batch of validation and test.
        image_size: H = W, in pixels.
        num_workers: Loader processes. 0 is fastest, since a batch is one indexing operation.
        flip: Mirror half of the training images, drawn anew each time, on the device.

    Attributes:
        splits: ``train``, ``val`` and ``test`` data sets whose items are ``ImageBatch`` of uint8.
        image_shape: (C, H, W).

    Raises:
        InputError: for a size that is not positive.
    """

    splits: dict[str, ImagesInMemory]
    image_shape: tuple[int, int, int]
    things = "images"

    def __init__(
        self,
        root: str | None,
        batch_size: int,
        eval_batch_size: int,
        image_size: int,
        num_workers: int = 0,
        flip: bool = False,
    ) -> None:
        super().__init__(root, batch_size, eval_batch_size, num_workers)
        require_positive(image_size=image_size)
        self.flip = flip

    def on_after_batch_transfer(self, batch: ImageBatch, dataloader_idx: int) -> ImageBatch:
        """Scale to [-1, 1] on the device, after a transfer of a quarter of the bytes; mirror if asked for."""
        image = batch.image.float().div_(127.5).sub_(1)
        if self.flip and self.trainer and self.trainer.training:
            image = self._mirror(image)
        return ImageBatch(image, batch.label)

    def _mirror(self, image: Tensor) -> Tensor:
        """Mirror half of the images: which ones is a function of seed, rank, epoch and batch, so that runs resume."""
        loop = self.trainer.fit_loop
        batch = loop.epoch_loop.batch_progress.current.processed
        key = np.random.SeedSequence((seed(), self.trainer.global_rank, self.trainer.current_epoch, batch))
        generator = torch.Generator(image.device).manual_seed(int(key.generate_state(1)[0]))
        chosen = torch.rand(len(image), 1, 1, 1, generator=generator, device=image.device) < 0.5
        return torch.where(chosen, image.flip(-1), image)
