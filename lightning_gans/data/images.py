"""What the image DataModules share: uint8 in memory, scaled per batch on the device, and loaders that can resume."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from lightning_gans.data.batches import ImageBatch
from lightning_gans.data.loading import (
    ImagesInMemory,
    ResumableLoader,
    ResumableSampler,
    as_batch,
    even_batch_size,
    position,
)
from lightning_gans.errors import InputError


def data_root(root: str | Path | None) -> Path:
    """Where data sets lie: the given folder, else ``$LIGHTNING_GANS_DATA``, else ``data`` in the current folder."""
    return Path(root or os.environ.get("LIGHTNING_GANS_DATA") or "data").expanduser()


def missing(what: str, looked_for: str, root: Path, brings: str = "") -> str:
    """What to say where a data set is not there: what is missing, where it was looked for, what brings it."""
    return (
        f"no {what} in {root.resolve()}: looked for {looked_for}; give the folder of data sets with --data.root DIR or"
        f" the environment variable LIGHTNING_GANS_DATA{brings}"
    )


def download_once(root: Path, fetch: Callable[[], object], message: str) -> None:
    """Run a downloader while no other node does, into a folder that they may share.

    Args:
        root: Folder of data sets, made if it is not there.
        fetch: Downloads, or finds that another node has done so.
        message: What to say if it fails.

    Raises:
        InputError: if it fails, with the reason.
    """
    from filelock import FileLock

    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".lightning_gans_download.lock"):
            fetch()
    except Exception as error:  # whatever the downloader's libraries raise: no network, quota, no disk space
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{message} (the download failed: {reason})") from error


class ImageDataModule(LightningDataModule):
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
        num_classes: K, or None for images without labels.
        class_names: K names, or None.
        image_shape: (C, H, W).

    Raises:
        InputError: for a size that is not positive.
    """

    splits: dict[str, ImagesInMemory]
    num_classes: int | None = None
    class_names: list[str] | None = None
    image_shape: tuple[int, int, int]

    def __init__(
        self,
        root: str | None,
        batch_size: int,
        eval_batch_size: int,
        image_size: int,
        num_workers: int = 0,
        flip: bool = False,
    ) -> None:
        super().__init__()
        for name, value in {
            "batch_size": batch_size,
            "eval_batch_size": eval_batch_size,
            "image_size": image_size,
        }.items():
            if value < 1:
                raise InputError(f"{name} is {value}; expected at least 1")
        if num_workers < 0:
            raise InputError(f"num_workers is {num_workers}; expected 0 or more")
        self.root = data_root(root)
        self.batch_size, self.eval_batch_size, self.num_workers = batch_size, eval_batch_size, num_workers
        self.flip = flip

    # ---- loaders

    def train_dataloader(self) -> DataLoader:
        """Whole batches only; after a resume it goes on behind the last batch that was trained on."""
        dataset, (world_size, rank) = self.splits["train"], self._place()
        if len(dataset) < self.batch_size * world_size:
            raise InputError(
                f"{len(dataset)} training images make no batch of {self.batch_size} on {world_size} process(es);"
                f" lower --data.batch_size to at most {len(dataset) // world_size}, or use more images"
            )
        epoch, batches = position(self.trainer) if self.trainer else (0, 0)
        sampler = ResumableSampler(
            dataset,
            epoch,
            batches * self.batch_size,
            num_replicas=world_size,
            rank=rank,
            shuffle=True,
            drop_last=True,
            seed=_seed(),
        )
        return self._loader(ResumableLoader, dataset, self.batch_size, sampler, drop_last=True)

    def val_dataloader(self) -> DataLoader:
        return self._evaluation_loader("val")

    def test_dataloader(self) -> DataLoader:
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> DataLoader:
        return self._evaluation_loader("test")

    def reference_dataloader(self) -> DataLoader:
        """Training images in order, for figures that compare real data with real data."""
        return self._evaluation_loader("train")

    def _evaluation_loader(self, split: str) -> DataLoader:
        """Every image once, on whichever rank: padding to equal shares would count some twice."""
        dataset, (world_size, rank) = self.splits[split], self._place()
        if len(dataset) < world_size:
            raise InputError(f"{len(dataset)} {split} images for {world_size} processes; use fewer processes")
        sampler = UnrepeatedDistributedSampler(dataset, num_replicas=world_size, rank=rank, shuffle=False)
        batch_size = even_batch_size(len(dataset), world_size, self.eval_batch_size)
        return self._loader(DataLoader, dataset, batch_size, sampler)

    def _loader(
        self, kind: type[DataLoader], dataset: Dataset, batch_size: int, sampler: DistributedSampler, **options: Any
    ) -> DataLoader:
        return kind(
            dataset,
            batch_size=batch_size,  # by keyword: Lightning builds the loader anew to predict
            sampler=sampler,
            collate_fn=as_batch,
            num_workers=self.num_workers,
            # not persistent: those are restarted when anybody else begins to go through the loader in mid-epoch
            persistent_workers=False,
            pin_memory=torch.cuda.is_available(),
            **options,
        )

    def _place(self) -> tuple[int, int]:
        """The number of processes and this one's rank; without a Trainer, as in a notebook, it is alone."""
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    # ---- on the device

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
        key = np.random.SeedSequence((_seed(), self.trainer.global_rank, self.trainer.current_epoch, batch))
        generator = torch.Generator(image.device).manual_seed(int(key.generate_state(1)[0]))
        chosen = torch.rand(len(image), 1, 1, 1, generator=generator, device=image.device) < 0.5
        return torch.where(chosen, image.flip(-1), image)


def _seed() -> int:
    """What ``seed_everything`` was given; 0 without it, since all ranks have to shuffle alike."""
    return int(os.environ.get("PL_GLOBAL_SEED", 0))
