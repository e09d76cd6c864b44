"""Loaders whose batch is one indexing operation, and that go on with the next batch when a run is resumed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lightning import Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from lightning_gans.data.batches import AudioBatch, ImageBatch, MelBatch, MelSource
from lightning_gans.errors import InputError

Batch = ImageBatch | AudioBatch | MelBatch | MelSource


class ImagesInMemory(Dataset):
    """Images (N, C, H, W) uint8 with labels (N,) or (N, K); hands out whole batches by one indexing operation.

    Of an array that is mapped from a file, its pickle holds the place.
    """

    def __init__(self, image: Tensor | np.ndarray, label: Tensor) -> None:
        if len(image) != len(label):
            raise InputError(f"{len(image)} images with {len(label)} labels; expected one label per image")
        self.source, self.image, self.label = image, torch.as_tensor(image), label

    def __reduce__(self) -> Any:
        return type(self), (self.source, self.label)

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: int | slice) -> ImageBatch:
        return ImageBatch(self.image[index], self.label[index])

    def __getitems__(self, indices: Sequence[int]) -> ImageBatch:
        index = torch.as_tensor(indices)
        return ImageBatch(self.image[index], self.label[index])

    def content(self) -> Iterator[bytes]:
        """What tells these images from others, see ``fingerprint``."""
        yield repr((tuple(self.image.shape), tuple(self.label.shape))).encode()
        yield self.label.numpy().tobytes()
        yield self.image[evenly(len(self))].numpy().tobytes()

    def part(self, start: int, stop: int) -> ImagesInMemory:
        """Images ``start`` to ``stop`` (exclusive) as a data set that shares this one's memory."""
        return ImagesInMemory(self.source[start:stop], self.label[start:stop])


def evenly(count: int, most: int = 1000) -> list[int]:
    """The numbers of at most so many examples, at even distances."""
    return [i * count // min(count, most) for i in range(min(count, most))]


def fingerprint(splits: Mapping[str, Any]) -> str | None:
    """16 hexadecimal digits that tell data sets apart, whatever they are called and wherever they lie.

    They come from the number, the names, lengths and labels of all examples, and from the content of up to 1,000 evenly
    spread ones of each split. None for data sets without a method ``content``.
    """
    digest = hashlib.sha256()
    for name in sorted(splits):
        if not hasattr(splits[name], "content"):
            return None
        digest.update(name.encode())
        for piece in splits[name].content():
            digest.update(piece)
    return digest.hexdigest()[:16]


class ResumableSampler(DistributedSampler):
    """A shuffle that is a function of the seed and the epoch, and that can start in the middle of one epoch.

    To a data set with a true ``draws``, which draws something anew in each epoch, it hands out ``epoch * len(dataset) +
    index``, to be taken apart with ``divmod``. So what is drawn needs no state, be it after a resume or in a loader
    process.

    Args:
        dataset: What is sampled.
        epoch: The epoch to begin with.
        skip: This rank's examples that were already used in that epoch.
        options: Of torch's ``DistributedSampler``.
    """

    def __init__(self, dataset: Dataset, epoch: int = 0, skip: int = 0, **options: Any) -> None:
        super().__init__(dataset, **options)
        self.set_epoch(epoch)
        self.skip = {epoch: skip}

    def __iter__(self) -> Iterator[int]:
        dataset: Any = self.dataset
        offset = self.epoch * len(dataset) if getattr(dataset, "draws", False) else 0
        return (offset + index for index in self._order()[self.skip.get(self.epoch, 0) :])

    def _order(self) -> list[int]:
        """This rank's examples in the epoch."""
        return list(super().__iter__())


class InLoaderProcess(Dataset):
    """What a loader process goes through: hands an ``InputError`` over as a batch, which ``Loader`` raises.

    Of one that is raised there, torch would make an error of many lines and maybe of another kind.

    Args:
        dataset: What hands out the examples.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, indices: Sequence[int]) -> Any:
        try:
            if hasattr(self.dataset, "__getitems__"):
                return self.dataset.__getitems__(indices)
            return [self.dataset[index] for index in indices]
        except InputError as error:
            return InputError(str(error))  # others may not be pickled


class Loader(DataLoader):
    """Raises what ``InLoaderProcess`` hands over."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        for batch in super().__iter__():
            if isinstance(batch, InputError):
                raise batch
            yield batch


class ResumableLoader(Loader):
    """Tells Lightning, by the names of these methods, that resuming in mid-epoch is taken care of.

    There is no state beyond Lightning's own count of batches, which ``position`` reads.
    """

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass


def position(trainer: Trainer) -> tuple[int, int]:
    """Where training begins or goes on: the epoch, and how many of its batches are done.

    The loaders are made before Lightning has sorted out its counters after a resume, so that ``current_epoch`` may
    still be an epoch whose last batch is done, and ``completed`` lacks the batch in whose end hook a checkpoint was
    saved.
    """
    epochs: Any = trainer.fit_loop.epoch_progress.current  # of a class that Lightning keeps to itself
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress
    within_epoch = trainer.fit_loop.restarting and epochs.started > epochs.processed
    if not within_epoch:
        return epochs.processed, 0
    if batches.is_last_batch:
        return epochs.processed + 1, 0
    return epochs.processed, batches.current.processed


def even_batch_size(examples: int, world_size: int, batch_size: int) -> int:
    """The smallest batch size, from the given one up, at which all ranks have equally many batches of their shares.

    Where processes talk to each other in every batch (a synchronized log, gathered features), one that has a batch more
    would wait forever.
    """
    share = examples // world_size
    if examples % world_size:
        while share % batch_size == 0:
            batch_size += 1
    return batch_size


def as_batch(batch: Batch | list[Batch]) -> Batch:
    """Collate: the batch itself where the data set made one, else its examples stacked."""
    if isinstance(batch, list):
        return type(batch[0])(*map(torch.stack, zip(*batch, strict=True)))
    return batch
