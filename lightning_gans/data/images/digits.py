"""The digits bundled with scikit-learn: 1,797 handwritten digits of 8x8 pixels, no download.

The test part of Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, 1998, UCI repository, CC BY 4.0.
"""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge

from lightning_gans.data.images.base import ImageDataModule
from lightning_gans.data.loading import ImagesInMemory
from lightning_gans.ranges import NonNegativeInt, PositiveInt

HELD_OUT = 360
SIDE, LEVELS = 8, 16


class Digits(ImageDataModule):
    """Scikit-learn's digits, enlarged bilinearly.

    The first 1,437 images are for training; the last 360, between 33 and 37 of each class, are both the validation
    and the test set.

    Args:
        batch_size: Training images per step and process.
        eval_batch_size: Images per batch of validation and test.
        image_size: At least 8, the size of the originals.
        num_workers: Loader processes; 0 is fastest, since a batch is one indexing operation.
    """

    num_classes = 10
    class_names = [str(digit) for digit in range(10)]

    def __init__(
        self,
        batch_size: PositiveInt = 64,
        eval_batch_size: PositiveInt = 360,
        image_size: Annotated[int, Ge(SIDE)] = 32,
        num_workers: NonNegativeInt = 0,
    ) -> None:
        super().__init__(
            image_size=image_size, batch_size=batch_size, eval_batch_size=eval_batch_size, num_workers=num_workers
        )
        self.save_hyperparameters(logger=False)
        self.image_shape = (1, image_size, image_size)

    def _load(self) -> dict[str, ImagesInMemory]:
        from sklearn.datasets import load_digits

        digits = load_digits()
        image = torch.from_numpy(digits.images).float()[:, None] * (255 / LEVELS)
        image = torch.nn.functional.interpolate(image, self.image_shape[1:], mode="bilinear")
        data = ImagesInMemory(image.round().byte(), torch.from_numpy(digits.target).long())
        cut = len(data) - HELD_OUT
        return {"train": data.part(0, cut), "val": data.part(cut, len(data))}
