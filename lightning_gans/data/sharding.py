"""A data set written as shards, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lightning_gans import __version__
from lightning_gans.data.audio.sharded import write_sounds
from lightning_gans.data.base import SplitDataModule
from lightning_gans.data.caching import cache_path
from lightning_gans.data.images.base import ImageDataModule
from lightning_gans.data.images.sharded import write_images
from lightning_gans.data.loading import ImagesInMemory
from lightning_gans.data.mels.crops import MelExamples
from lightning_gans.data.mels.folder import MelFolder
from lightning_gans.data.places import is_address, is_taken, upload
from lightning_gans.data.shards import RECORD, SHARD_BYTES, Record, require_litdata
from lightning_gans.errors import InputError, one_line
from lightning_gans.files.writing import WAY_OUT, Unwritable, write_whole


def write_data(data: SplitDataModule, output: Path, shard_bytes: int = SHARD_BYTES) -> Record:
    """Write the splits of a data set as shards, each into a folder of its name, and a record of what they are.

    They are written into ``OUTPUT.part``, which is renamed when all is there.

    Args:
        data: Images, or ``MelFolder`` and its kind.
        output: The folder; made.
        shard_bytes: Of a shard, about.

    Returns:
        What was written.

    Raises:
        InputError: for data that cannot be written as shards; for a folder that is there already, or cannot be
            written; without litdata.
    """
    require_litdata()
    described(data)
    if os.path.lexists(output):
        raise InputError(f"{output} is there already; remove it, or choose another --output")
    part = output.with_name(f"{output.name}.part")
    with _unwritable(output):
        try:
            part.mkdir(parents=True)  # before anything is read: of two runs, the one that makes it writes
        except FileExistsError:
            told = f"{part} is being written, or what a killed run left; remove it, or choose another --output"
            raise InputError(told) from None
    try:
        data.prepare_data()
        data.setup("fit")
        splits = own_splits(data.splits)
        kind, facts = described(data)  # of which some is known by now
        settings = json.loads(json.dumps(data.hparams, default=str))
        made_from = {"data": type(data).__name__, "settings": settings, "fingerprint": data.fingerprint()}
        counts = {name: len(split) for name, split in splits.items()}
        record = Record(kind, counts, facts, made_from | {"shard_bytes": shard_bytes, "version": __version__})
        with _unwritable(output):
            for name, split in splits.items():
                if kind == "images":
                    write_images(part / name, data.splits[name], shard_bytes)
                else:
                    write_sounds(part / name, data.splits[name].sounds, split, shard_bytes)
            write_whole(part / RECORD, json.dumps(vars(record), indent=2))
            part.rename(output)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return record


@contextmanager
def _unwritable(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unwritable(f"{output} cannot be written ({error.strerror or one_line(error)}); {WAY_OUT}") from error


@contextmanager
def data_written(data: SplitDataModule, output: str, shard_bytes: int = SHARD_BYTES) -> Iterator[tuple[Record, Path]]:
    """Write the splits of a data set as shards, to a folder or an address.

    Args:
        data: As in ``write_data``.
        output: Where to. For an address, they are written into the cache first, and stay there where it takes none.
        shard_bytes: Of a shard, about.

    Yields:
        What was written, and where on this machine.

    Raises:
        InputError: as ``write_data``, and where the address is taken or cannot be written.
    """
    if not is_address(output):
        yield write_data(data, Path(output), shard_bytes), Path(output)
        return
    address = output.rstrip("/")
    if address.startswith("http"):
        raise InputError(f"{address} is for reading; give a folder, and bring it to where that address is served from")
    if is_taken(address, RECORD):
        raise InputError(f"{address} has shards already; remove them, or choose another --output")
    folder = cache_path("shards", "", "written for", address)
    record = write_data(data, folder, shard_bytes)
    upload(folder, address, last=RECORD)
    yield record, folder
    shutil.rmtree(folder, ignore_errors=True)


def described(data: SplitDataModule) -> tuple[str, dict[str, Any]]:
    """What kind of examples a data set has, and what a reader of the shards has to know of them.

    Raises:
        InputError: for a data set that cannot be written as shards.
    """
    if isinstance(data, ImageDataModule):
        return "images", {name: getattr(data, name) for name in ("image_shape", "num_classes", "class_names")}
    if not isinstance(data, MelFolder):
        raise InputError(f"--data is {type(data).__name__}; expected MelFolder, LJSpeech or a data set of images")
    if data.mel_suffix is not None or data.repeat:
        option = "repeat" if data.repeat else "mel_suffix"
        raise InputError(f"shards hold each sound once and no mels; leave out --data.{option}, or train from the files")
    return "sounds", {"sample_rate": data.sample_rate}


def own_splits(splits: dict[str, Any]) -> dict[str, np.ndarray]:
    """The rows of the splits' examples, without splits that stand in for each other."""
    own: dict[str, np.ndarray] = {}
    for name in ("train", "val", "test"):
        split: MelExamples | ImagesInMemory = splits[name]
        if isinstance(split, MelExamples):
            rows = np.unique(split.rows)
            stands_in = any(np.isin(rows, other).all() for other in own.values())
        else:
            rows = np.arange(len(split))
            stands_in = any(split is splits[other] for other in own)
        if not stands_in:
            own[name] = rows
    return own
