"""Sounds in shards against the same sounds in files: batches per second, and how long a start takes: ``make bench``.

Both find their data in the page cache, as on a machine with enough memory, where the files are at their best.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from lightning_gans.data import MelFolder, StreamedMels
from lightning_gans.data.audio.sharded import write_sounds
from lightning_gans.data.audio.sounds import Sounds
from lightning_gans.data.base import SplitDataModule
from lightning_gans.data.sharding import write_data
from lightning_gans.data.shards import RECORD, Record
from lightning_gans.files.writing import write_whole

RATE, CROPS = 22050, dict(mel="hifigan", crop=8192, batch_size=16)
CLIPS, SECONDS = 640, 6.5
"""As LJ Speech has them, to read batches of."""
COUNTS, SHORT = (100, 20_000), 4410
"""Clips to start with, and samples of each."""


def write_clips(folder: Path, count: int, seconds: float) -> None:
    """Tones with noise, which FLAC makes as small as speech: a little more than half."""
    folder.mkdir()
    draw, place = np.random.default_rng(0), np.arange(int(RATE * seconds)) / RATE
    for index in range(count):
        tone = sum(np.sin(2 * np.pi * (100 + index % 100) * k * place) / k for k in range(1, 6))
        samples = 0.2 * tone + 0.004 * draw.standard_normal(len(place))
        soundfile.write(folder / f"{index:05}.wav", samples, RATE)


def first_batch(data: SplitDataModule) -> float:
    """Seconds to the first batch."""
    start = time.perf_counter()
    data.prepare_data()
    data.setup("fit")
    next(iter(data.train_dataloader()))
    return time.perf_counter() - start


def batches(data: SplitDataModule, epochs: int = 3) -> float:
    """Seconds of a batch; loader processes are started in each epoch."""
    data.setup("fit")
    loader, taken = data.train_dataloader(), []
    for epoch in range(epochs + 1):
        loader.sampler.set_epoch(epoch)
        start = time.perf_counter()
        count = sum(1 for _ in loader)
        taken.append((time.perf_counter() - start) / count)
    return statistics.median(taken[1:])


def main() -> None:
    """Print all figures."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        os.environ["LIGHTNING_GANS_CACHE"] = f"{root}/cache"
        write_clips(root / "clips", CLIPS, SECONDS)
        files = MelFolder(name, folder="clips", **CROPS)
        files.prepare_data()
        start = time.perf_counter()
        write_data(files, root / "shards", 2**23)
        heard = CLIPS * SECONDS / (time.perf_counter() - start)
        written, given = (sum(f.stat().st_size for f in root.glob(g)) for g in ("shards/*/*", "clips/*"))
        print(f"{'writing shards':40s}{heard:9.0f} s of sound/s, {written / given:.2f} of the size")
        of_files = batches(files)
        print(f"{'MelFolder':40s}{1000 * of_files:9.2f} ms a batch")
        for workers in (0, 2):
            of_shards = batches(StreamedMels(source=f"{root}/shards", num_workers=workers, crops_per_file=8, **CROPS))
            label = f"StreamedMels, {workers} loader processes"
            print(f"{label:40s}{1000 * of_shards:9.2f} ms a batch, {of_files / of_shards:.2f} times as many")
        for count in COUNTS:
            samples = np.random.default_rng(0).integers(-9999, 9999, SHORT).astype(np.int16)
            same = np.zeros(count, np.int64), np.full(count, SHORT), 1, RATE  # one sound, many times
            folder = root / f"shards_{count}" / "train"
            write_sounds(folder, Sounds([""] * count, samples, *same, {}, {}), np.arange(count), 2**24)
            record = Record("sounds", {"train": count}, {"sample_rate": RATE})
            write_whole(folder.parent / RECORD, json.dumps(vars(record)))
            data = StreamedMels(source=str(folder.parent), num_workers=0, **CROPS)
            print(f"{f'StreamedMels, {count} clips':40s}{first_batch(data):9.3f} s to the first batch")


if __name__ == "__main__":
    main()
