"""What callbacks and logging add to a training step of the command line: ``make bench``.

In one run of ``lightning-gans fit`` with all that it brings (progress bar, offline W&B run with a line each 50 batches,
all callbacks), blocks of batches with all of it take turns with blocks without callbacks, loggers and ``self.log``.
Checkpoints, validations and pictures come at the end of an epoch, of which there is none here. The networks are tiny:
what is added does not depend on their size, and would drown in what large ones vary by. It is then compared with a step
of large ones. Seconds are CPU time of the process.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import torch
from lightning import Callback
from torch.utils.data import DataLoader

from lightning_gans.data.images.base import ImageDataModule
from lightning_gans.data.loading import ImagesInMemory, as_batch

BLOCK = 100
"""Batches, of which a line of the log takes 50."""
IMAGES = {"GAN": (1, 28, 100), "DCGAN": (3, 64, 32)}
"""Channels, side, and examples of a batch of large networks."""
LARGE = {"GAN": {}, "DCGAN": {"preset": "torch"}}
TINY = {
    "GAN": {"hidden": 8, "units": 8, "pieces": 2, "lr": 1e-5},
    "DCGAN": {"preset": "torch", "image_size": 32, "width": 2, "lr": 1e-6},
}


class RandomImages(ImageDataModule):
    """The same random images for each step, as many steps as asked for."""

    def __init__(self, steps: int, batch_size: int, image_size: int, channels: int) -> None:
        super().__init__(batch_size=batch_size, eval_batch_size=batch_size, image_size=image_size)
        self.steps, self.image_shape, self.num_classes = steps, (channels, image_size, image_size), None

    def setup(self, stage: str) -> None:
        image = torch.randint(256, (self.batch_size, *self.image_shape), dtype=torch.uint8)
        self.splits = dict.fromkeys(("train", "val", "test"), ImagesInMemory(image, torch.zeros(len(image)).long()))

    def train_dataloader(self) -> DataLoader:
        batch = self.splits["train"][:]
        return DataLoader([batch] * self.steps, batch_size=None, collate_fn=as_batch)


class Alternate(Callback):
    """Prints the CPU seconds of a step, with everything and without, block by block after the first two."""

    def __init__(self, block: int) -> None:
        self.block, self.moments = block, []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if batch_idx % self.block:
            return
        self.moments.append(time.process_time())
        if len(self.moments) == 1:
            self.everything = trainer.callbacks, trainer.loggers
        bare = len(self.moments) % 2 == 0
        trainer.callbacks, trainer.loggers = ([self], []) if bare else self.everything
        for name in ("log", "log_dict"):
            if bare:
                setattr(module, name, lambda *_, **__: None)
            else:
                module.__dict__.pop(name, None)

    def on_train_end(self, trainer, module):
        blocks = [(end - start) / self.block for start, end in pairwise(self.moments)][2:]
        print("a step takes", *(f"{statistics.median(blocks[first::2]):.6f}" for first in (0, 1)), "s")


def steps_of(name: str, tiny: bool, folder: str) -> tuple[float, float]:
    """Seconds of a step with everything, and without."""
    (channels, side, batch_size), block = IMAGES[name], BLOCK if tiny else 10
    side, batch_size = (min(side, 32), 4) if tiny else (side, batch_size)
    images = {"steps": (22 if tiny else 4) * block + 1, "batch_size": batch_size, "image_size": side}
    options = [f"--model.{key}={value}" for key, value in (TINY if tiny else LARGE)[name].items()]
    options += [f"--data.{key}={value}" for key, value in (images | {"channels": channels}).items()]
    command = [
        *(sys.executable, "-m", "lightning_gans", "fit", f"--model={name}", "--data=overhead.RandomImages", *options),
        *("--trainer.callbacks+=overhead.Alternate", f"--trainer.callbacks.block={block}"),
        *("--trainer.accelerator=cpu", "--trainer.max_epochs=1", "--trainer.limit_val_batches=0"),
        *("--run.mode=offline", f"--run.folder={folder}"),
    ]
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here.parents[1]), str(here)])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    figures = re.search(r"a step takes (\S+) (\S+) s", done.stdout)
    assert done.returncode == 0 and figures, done.stderr[-2000:]
    return float(figures[1]), float(figures[2])


def main() -> None:
    """Print what is added to a step, and its share of one."""
    print(f"callbacks and logging, added to a training step ({torch.get_num_threads()} threads)")
    with tempfile.TemporaryDirectory() as folder:
        for name, size in IMAGES.items():
            (everything, bare), (_, step) = (steps_of(name, tiny, folder) for tiny in (True, False))
            added, size = everything - bare, "x".join(map(str, size))
            print(f"{name:8s}{1e6 * added:6.0f} us, {100 * added / step:.2f} % of the {1e3 * step:.1f} ms of {size}")


if __name__ == "__main__":
    main()
