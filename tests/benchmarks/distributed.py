"""Two processes against one, and the strategy of the command line against Lightning's: ``make bench``.

The processes have one thread each and exchange gradients by gloo, on this machine. They take turns, round after round,
so that a busy machine slows all of them.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

import torch
from lightning import Callback, LightningDataModule, Trainer
from torch.utils.data import DataLoader

from lightning_gans.data.batches import ImageBatch
from lightning_gans.models import DCGAN
from lightning_gans.training.ddp import NAME, DDPInTurnsStrategy

STEPS, WARMUP, ROUNDS, BATCH = 12, 3, 3, 16
RUNS = {"one process": ("auto", 1), f"two, {NAME}": (NAME, 2), "two, ddp": ("ddp", 2)}
OURS = {NAME: DDPInTurnsStrategy}


class Images(LightningDataModule):
    """The same random images at each step."""

    def train_dataloader(self) -> DataLoader:
        batch = ImageBatch(torch.rand(BATCH, 3, 64, 64) * 2 - 1, torch.zeros(BATCH, dtype=torch.long))
        return DataLoader([batch] * (STEPS + WARMUP), batch_size=None)


class Clock(Callback):
    """Seconds that the batches after the warm-up take."""

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if batch_idx == WARMUP - 1:
            self.start = time.perf_counter()
        if batch_idx == WARMUP + STEPS - 1:
            self.seconds = time.perf_counter() - self.start


def train(strategy: str, devices: int) -> None:
    """Print the images per second of all processes together."""
    torch.set_num_threads(1)
    clock = Clock()
    quiet = dict(enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, logger=False)
    trainer = Trainer(
        accelerator="cpu", strategy=OURS[strategy]() if strategy in OURS else strategy, devices=devices, max_epochs=1,
        callbacks=[clock], use_distributed_sampler=False, **quiet,
    )  # fmt: skip
    trainer.fit(DCGAN("torch"), Images())
    if trainer.is_global_zero:
        print(STEPS * BATCH * devices / clock.seconds)


def measure() -> None:
    """Medians of the rounds, and of their ratios."""
    speeds: dict[str, list[float]] = {name: [] for name in RUNS}
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for _ in range(ROUNDS):
        for name, (strategy, devices) in RUNS.items():
            command = [sys.executable, __file__, strategy, str(devices)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            speeds[name].append(float(done.stdout.split()[-1]))
    print(f"DCGAN 64x64, batch {BATCH} per process, one thread each; images per second, against one process")
    one = speeds["one process"]
    for name, values in speeds.items():
        ratio = statistics.median(value / base for value, base in zip(values, one, strict=True))
        print(f"{name:20s} {statistics.median(values):7.1f} {ratio:6.2f}")


if __name__ == "__main__":
    train(sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 1 else measure()
