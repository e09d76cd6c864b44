"""The command ``data shard``: a data set as shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightning_gans.errors import InputError
from lightning_gans.ranges import PositiveInt

if TYPE_CHECKING:
    from lightning_gans.data.base import SplitDataModule

LARGEST = 2048
"""Megabytes of a shard, whose examples' places are numbers of 32 bits."""


def shard(*, data: SplitDataModule, output: str, megabytes: PositiveInt = 64) -> str:
    """Write a data set as shards, for --data StreamedMels or StreamedImages.

    A shard is one file of many sounds (FLAC) or images (PNG), as training takes them: decoded, resampled, normalized,
    resized, split. Needs the extra streaming.

    Examples:
        lightning-gans data shard --data MelFolder --data.folder voices --data.mel hifigan --output voices_shards
        lightning-gans fit --config hifigan_lj001 --data StreamedMels --data.source voices_shards

    Args:
        data: MelFolder, LJSpeech, or a data set of images, with its options.
        output: Folder, made; it appears when all shards are written. Or an address such as s3://BUCKET/VOICES, to
            which they are copied then.
        megabytes: Of a shard, about; fewer where there would be no shard for each of many processes.

    Returns:
        What was written.

    Raises:
        InputError: for data that cannot be written as shards, and a folder that is there or cannot be written.
    """
    from lightning_gans.data.sharding import data_written

    if megabytes > LARGEST:
        raise InputError(f"--megabytes is {megabytes}; expected at most {LARGEST}")
    with data_written(data, output, megabytes * 2**20) as (record, folder):
        sizes = [file.stat().st_size for file in folder.glob("*/*.bin")]
    counts = ", ".join(f"{count:,} {split}" for split, count in record.examples.items())
    return f"{output}: {record.kind}: {counts}; {len(sizes)} shard(s), {sum(sizes) / 1e6:.1f} MB"
