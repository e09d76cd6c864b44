"""Sounds in shards, for vocoders: more than one machine holds, and a start that does not depend on their number."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from lightning_gans.data.audio.sharded import ShardedSounds
from lightning_gans.data.loading import ResumableSampler
from lightning_gans.data.mels.base import MelDataModule
from lightning_gans.data.mels.crops import MelExamples
from lightning_gans.data.shard_order import ShardSampler
from lightning_gans.data.shards import read_record
from lightning_gans.errors import InputError
from lightning_gans.ranges import ClosedUnitInterval, NonNegativeInt, PositiveFloat, PositiveInt


class StreamedMels(MelDataModule):
    """The sounds that ``lightning-gans data shard`` has written, in its splits; see ``MelDataModule`` for batches.

    The examples of an epoch are those of ``MelFolder`` on the same files, each with the same crop and gain, in another
    order: each process has shards of its own and goes through them in groups, see ``ShardSampler``. What changes the
    sounds (sample rate, normalization, speeds, held-out files) was settled when they were written.

    Args:
        source: The folder of shards, or its address (s3://, gs://, abfs://, hf://, https://): its files are fetched in
            the order in which they are needed, and kept in the cache.
        mel: As ``MelFolder``, of the sample rate that the shards were written at.
        crop: T, samples of a training crop; a multiple of the hop.
        context: As ``MelFolder``.
        gain: Bounds of a uniform gain of training crops, such as [0.3, 1.0]; none when not given.
        short: Training files shorter than a crop: ``pad`` puts zeros behind them, ``skip`` leaves them out.
        crops_per_file: In each epoch.
        batch_size: Training crops per step and process.
        num_workers: Loader processes, which decode the sounds while the model trains.

    Raises:
        InputError: for values that do not go together.
    """

    def __init__(
        self,
        *,
        source: str = ".",
        mel: str | dict[str, Any] | None = None,
        crop: PositiveInt = 25600,
        context: NonNegativeInt | None = None,
        gain: tuple[PositiveFloat, ClosedUnitInterval] | None = None,
        short: Literal["pad", "skip"] = "pad",
        crops_per_file: PositiveInt = 1,
        batch_size: PositiveInt = 6,
        num_workers: NonNegativeInt = 2,
    ) -> None:
        shared: dict[str, Any] = dict(mel=mel, crop=crop, context=context, gain=gain, short=short)
        shared |= dict(crops_per_file=crops_per_file, batch_size=batch_size, num_workers=num_workers)
        super().__init__(**shared)
        self.save_hyperparameters(logger=False)
        self.source = source

    def _load(self) -> dict[str, MelExamples]:
        record, place = read_record(self.source, "sounds")
        if (rate := record.facts.get("sample_rate")) != self.sample_rate:
            raise InputError(
                f"{place} has sounds at {rate} Hz, and mel {self.mel.name} is of {self.sample_rate} Hz; choose another"
                " mel, or write the shards again with this one"
            )
        parts = {split: ShardedSounds(place / split) for split in record.examples}
        record.require_counts(place, {split: len(sounds.length) for split, sounds in parts.items()})
        return self._split({split: (sounds, np.arange(len(sounds.length))) for split, sounds in parts.items()})

    def _sampler(self, dataset: Any, *args: Any, **options: Any) -> ResumableSampler:
        ends = np.searchsorted(dataset.rows, dataset.sounds.ends)  # of the sounds that are long enough
        return ShardSampler(dataset, *args, ends=ends, expect=dataset.sounds.shards.expect, **options)
