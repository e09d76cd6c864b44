"""What all DataModules share: the folder of data sets, and loaders of splits that shard, shuffle and can resume."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning import LightningDataModule
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from lightning_gans.data.loading import (
    InLoaderProcess,
    Loader,
    ResumableLoader,
    ResumableSampler,
    as_batch,
    even_batch_size,
    fingerprint,
    position,
)
from lightning_gans.errors import InputError, one_line
from lightning_gans.files.fetching import fetching_errors
from lightning_gans.files.limits import seconds_for, within
from lightning_gans.ranges import NonNegativeInt, PositiveInt, Ranged


def data_root(root: str | Path | None) -> Path:
    """Where data sets lie: the given folder, else ``$LIGHTNING_GANS_DATA``, else ``data`` in the current folder."""
    return Path(os.environ.get("LIGHTNING_GANS_DATA") or "data" if root is None else root).expanduser()


class SplitDataModule(Ranged, LightningDataModule):
    """Base of the data sets: a subclass makes the splits in ``_load``.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        batch_size: Training examples per step and process.
        eval_batch_size: Examples per batch of validation and test.
        num_workers: Loader processes. 0 is fastest, since a batch is one indexing operation.

    Attributes:
        splits: ``train``, ``val`` and ``test`` data sets that hand out whole batches.
        num_classes: K, or None for examples without labels.
        class_names: K names, or None.
        things: What the examples are, for messages.
    """

    splits: dict[str, Any]
    num_classes: int | None = None
    class_names: list[str] | None = None
    things: ClassVar[str]
    download_size: ClassVar[int]
    """Bytes of an official data set's archives, rounded up: they tell how long their download may take."""
    global_batch_size: int | None = None
    """That of the run that goes on, where a checkpoint tells."""

    def __init__(
        self, root: str | None, batch_size: PositiveInt, eval_batch_size: PositiveInt, num_workers: NonNegativeInt = 0
    ) -> None:
        super().__init__()
        self.root = data_root(root)
        self.batch_size, self.eval_batch_size, self.num_workers = batch_size, eval_batch_size, num_workers

    # ---- official data sets: where they lie, and how they come there

    def _find(self) -> Path | None:
        """The folder that has the files, if there is one."""
        raise NotImplementedError

    def _missing(self) -> str:
        """What to say where it is not there."""
        raise NotImplementedError

    def _download(self) -> None:
        """Bring it to ``root``; do nothing if it is there."""
        raise NotImplementedError

    def _located(self, download: bool = False) -> Path:
        """The folder that has the files.

        Args:
            download: Whether to download where nothing is there; one process at a time does, on all nodes that share
                the folder.

        Raises:
            InputError: where nothing is there, or with the reason why the download fails.
        """
        folder = self._find()
        if folder is None and download:
            from filelock import FileLock

            try:
                self.root.mkdir(parents=True, exist_ok=True)
                with FileLock(self.root / ".lightning_gans_download.lock"):
                    within(seconds_for(self.download_size), self._download)
            except fetching_errors() as error:  # no network, quota, no disk space, too slow
                raise InputError(f"{self._missing()} (the download failed: {one_line(error)})") from error
            folder = self._find()
        if folder is None:
            raise InputError(self._missing())
        return folder

    # ---- splits

    def fingerprint(self) -> str | None:
        """Of the splits, which ``setup`` has made; see ``lightning_gans.data.loading.fingerprint``."""
        return fingerprint(self.splits)

    def setup(self, stage: str) -> None:
        """Make the splits, once. Without a validation set the training set stands in, without a test set that."""
        if not hasattr(self, "splits"):
            splits = self._load()
            splits.setdefault("val", splits["train"])
            splits.setdefault("test", splits["val"])
            self.splits = splits

    def _load(self) -> dict[str, Any]:
        """``train``, and ``val`` and ``test`` where they are other examples."""
        raise NotImplementedError

    @property
    def test_is_validation(self) -> bool:
        """Whether there is no test set of its own: the test examples are those that a checkpoint is chosen on."""
        return self.splits["test"] is self.splits["val"]

    # ---- loaders

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of the data."""
        return {"global_batch_size": self.batch_size * self._place()[0]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what a checkpoint holds."""
        self.global_batch_size = state_dict.get("global_batch_size")

    def train_dataloader(self) -> DataLoader:
        """Whole batches only; after a resume it goes on behind the last batch that was trained on."""
        dataset, (world_size, rank) = self.splits["train"], self._place()
        if len(dataset) < self.batch_size * world_size:
            raise InputError(
                f"{len(dataset)} training {self.things} make no batch of {self.batch_size} on {world_size} process(es);"
                f" lower --data.batch_size to at most {len(dataset) // world_size}, or use more {self.things}"
            )
        epoch, batches = position(self.trainer) if self.trainer else (0, 0)
        before, now = self.global_batch_size, self.batch_size * world_size
        if batches and before not in (None, now):
            raise InputError(
                f"the checkpoint is from the middle of an epoch with batches of {before} {self.things} on all processes"
                f" together, and here they are of {now}: some would be left out or come twice; go on with"
                f" --global_batch_size {before}, or from a checkpoint of an epoch's end"
            )
        place = dict(num_replicas=world_size, rank=rank)
        done = batches * self.batch_size
        sampler = self._sampler(dataset, epoch, done, **place, shuffle=True, drop_last=True, seed=seed())
        return self._loader(ResumableLoader, dataset, self.batch_size, sampler, drop_last=True)

    def _sampler(self, dataset: Any, *args: Any, **options: Any) -> ResumableSampler:
        """The order of the training examples."""
        return ResumableSampler(dataset, *args, **options)

    def val_dataloader(self) -> DataLoader:
        return self._evaluation_loader("val")

    def test_dataloader(self) -> DataLoader:
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> DataLoader:
        return self._evaluation_loader("test")

    def reference_dataloader(self, split: str = "train") -> DataLoader:
        """The real examples of a split in order, each once.

        Args:
            split: ``train`` for statistics of the data; ``test`` for what a metric gives real examples that neither the
                model nor a classifier has seen.
        """
        return self._evaluation_loader(split)

    def _evaluation_loader(self, split: str) -> DataLoader:
        """Every example once, on whichever rank: padding to equal shares would count some twice."""
        world_size, rank = self._place()
        dataset = self._for_evaluation(split, world_size)
        if len(dataset) < world_size:
            raise InputError(f"{len(dataset)} {split} {self.things} for {world_size} processes; use fewer processes")
        sampler = UnrepeatedDistributedSampler(dataset, num_replicas=world_size, rank=rank, shuffle=False)
        batch_size = even_batch_size(len(dataset), world_size, self.eval_batch_size)
        return self._loader(Loader, dataset, batch_size, sampler)

    def _for_evaluation(self, split: str, world_size: int) -> Any:
        """What is gone through in order."""
        return self.splits[split]

    def _loader(
        self, kind: type[Loader], dataset: Dataset, batch_size: int, sampler: DistributedSampler, **options: Any
    ) -> DataLoader:
        return kind(
            InLoaderProcess(dataset) if self.num_workers else dataset,
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


def require_choice(name: str, value: str, *choices: str) -> None:
    """Raise ``InputError`` for a value that is none of the choices."""
    if value not in choices:
        raise InputError(f"{name} is {value}; expected {', '.join(choices[:-1])} or {choices[-1]}")


def seed() -> int:
    """What ``seed_everything`` was given; 0 without it, since all ranks have to shuffle alike."""
    return int(os.environ.get("PL_GLOBAL_SEED", 0))
