"""What the image DataModules share: uint8 in memory, scaled per batch on the device, and loaders that can resume."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from lightning_gans.data.batches import ImageBatch
from lightning_gans.errors import InputError


def data_root(root: str | Path | None) -> Path:
    """Where data sets lie: the given folder, else ``$LIGHTNING_GANS_DATA``, else ``data`` in the current folder."""
    return Path(root or os.environ.get("LIGHTNING_GANS_DATA") or "data").expanduser()


class ImagesInMemory(Dataset):
    """Images (N, C, H, W) uint8 with labels (N,) or (N, K); hands out whole batches by one indexing operation."""

    def __init__(self, image: Tensor, label: Tensor) -> None:
        self.image, self.label = image, label

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: int) -> ImageBatch:
        return ImageBatch(self.image[index], self.label[index])

    def __getitems__(self, indices: Sequence[int]) -> ImageBatch:
        indices = torch.as_tensor(indices)
        return ImageBatch(self.image[indices], self.label[indices])


class ResumableSampler(DistributedSampler):
    """A shuffle that is a function of the seed and the epoch, and that can start in the middle of its first epoch."""

    def __init__(self, *args: Any, start: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.start = start

    def __iter__(self) -> Iterator[int]:
        indices = list(super().__iter__())
        start, self.start = self.start, 0
        return iter(indices[start:])


def as_batch(batch: ImageBatch | list[ImageBatch]) -> ImageBatch:
    """Collate: the batch itself where the data set made one, else its examples stacked."""
    return batch if isinstance(batch, ImageBatch) else ImageBatch(*map(torch.stack, zip(*batch, strict=True)))


class ImageDataModule(LightningDataModule):
    """Base of the image data sets: a subclass sets ``splits`` in ``setup``.

    Attributes:
        splits: ``train``, ``val`` and ``test`` data sets whose items are ``ImageBatch`` of uint8.
        num_classes: K, or None for images without labels.
        image_shape: (C, H, W).
    """

    splits: dict[str, Dataset]
    num_classes: int | None = None
    image_shape: tuple[int, int, int]

    def __init__(self, root: str | None, batch_size: int, eval_batch_size: int, num_workers: int) -> None:
        super().__init__()
        for name, value in {"batch_size": batch_size, "eval_batch_size": eval_batch_size}.items():
            if value < 1:
                raise InputError(f"{name} is {value}; expected at least 1")
        self.root = data_root(root)
        self.batch_size, self.eval_batch_size, self.num_workers = batch_size, eval_batch_size, num_workers

    def train_dataloader(self) -> DataLoader:
        """Whole batches only; after a resume it goes on behind the last batch that was trained on."""
        dataset, trainer = self.splits["train"], self.trainer
        if len(dataset) < self.batch_size * trainer.world_size:
            raise InputError(
                f"{len(dataset)} training images make no batch of {self.batch_size} on {trainer.world_size}"
                f" process(es); lower --data.batch_size to at most {len(dataset) // trainer.world_size}"
            )
        sampler = ResumableSampler(
            dataset,
            num_replicas=trainer.world_size,
            rank=trainer.global_rank,
            shuffle=True,
            drop_last=True,
            seed=int(os.environ.get("PL_GLOBAL_SEED", 0)),
            start=trainer.fit_loop.epoch_loop.batch_progress.current.completed * self.batch_size,
        )
        sampler.set_epoch(trainer.current_epoch)  # Lightning's own call comes after a resumed epoch has begun (21938)
        return self._loader(dataset, sampler, self.batch_size, drop_last=True)

    def val_dataloader(self) -> DataLoader:
        return self._evaluation_loader("val")

    def test_dataloader(self) -> DataLoader:
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> DataLoader:
        return self._evaluation_loader("test")

    def reference_dataloader(self) -> DataLoader:
        """Training images in order, for figures that compare real data with real data."""
        return self._evaluation_loader("train")

    def on_after_batch_transfer(self, batch: ImageBatch, dataloader_idx: int) -> ImageBatch:
        """Scale to [-1, 1] on the device, after a transfer of a quarter of the bytes."""
        return ImageBatch(batch.image.float().div_(127.5).sub_(1), batch.label)

    def _evaluation_loader(self, split: str) -> DataLoader:
        """Every image once, on whichever rank: padding to equal shares would count some twice."""
        dataset, trainer = self.splits[split], self.trainer
        sampler = UnrepeatedDistributedSampler(
            dataset, num_replicas=trainer.world_size, rank=trainer.global_rank, shuffle=False
        )
        return self._loader(dataset, sampler, self.eval_batch_size, drop_last=False)

    def _loader(self, dataset: Dataset, sampler: DistributedSampler, batch_size: int, drop_last: bool) -> DataLoader:
        return DataLoader(
            dataset,
            batch_size,
            sampler=sampler,
            drop_last=drop_last,
            collate_fn=as_batch,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
