"""Speed and memory of training, of the loaders, and of starting: ``make bench``.

Each figure comes from a process of its own. Training is measured against a plain PyTorch loop of the same networks,
batch and arithmetic (the alternation of PyTorch's DCGAN example), in turns, so that a busy machine slows both.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time

import torch
from lightning import Callback, Trainer
from torch.nn.functional import binary_cross_entropy_with_logits

from lightning_gans.data.batches import ImageBatch
from lightning_gans.data.loading import ImagesInMemory, as_batch
from lightning_gans.models import CGAN, DCGAN, GAN, ControlGAN

STEPS, WARMUP, ROUNDS = 12, 3, 3


def images(shape: tuple[int, int, int], batch_size: int) -> torch.utils.data.DataLoader:
    """Random images, as a loader that hands out whole batches of uint8."""
    count = batch_size * (STEPS + WARMUP)
    dataset = ImagesInMemory(torch.randint(256, (count, *shape), dtype=torch.uint8), torch.arange(count) % 10)
    return torch.utils.data.DataLoader(dataset, batch_size, collate_fn=as_batch)


class Clock(Callback):
    """Seconds that the batches after the warm-up take."""

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if batch_idx == WARMUP - 1:
            self.start = time.perf_counter()
        self.seconds = time.perf_counter() - getattr(self, "start", time.perf_counter())


class Scaled(Callback):
    """What the DataModules do after the transfer."""

    def setup(self, trainer, module, stage):
        module.on_after_batch_transfer = lambda batch, _: ImageBatch(
            batch.image.float().div_(127.5).sub_(1), batch.label
        )


def ours(model: str) -> float:
    """Images per second of a paper through the Trainer."""
    module, shape, batch_size = {
        "gan": lambda: (GAN(), (1, 28, 28), 100),
        "cgan": lambda: (CGAN(), (1, 28, 28), 100),
        "controlgan": lambda: (ControlGAN(28, 1, 10, "class"), (1, 28, 28), 64),
        "dcgan": lambda: (DCGAN("torch"), (3, 64, 64), 32),
    }[model]()
    clock = Clock()
    trainer = Trainer(
        max_epochs=1,
        callbacks=[clock, Scaled()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, images(shape, batch_size))
    return STEPS * batch_size / clock.seconds


def plain(batch_size: int = 32) -> float:
    """Images per second of DCGAN in a plain loop: NCHW, G's gradient through a D that is not frozen."""
    module = DCGAN("torch").to(memory_format=torch.contiguous_format)
    generator, discriminator = module.generator, module.discriminator
    optimizer_g = torch.optim.Adam(generator.parameters(), 2e-4, (0.5, 0.999))
    optimizer_d = torch.optim.Adam(discriminator.parameters(), 2e-4, (0.5, 0.999))
    ones, zeros = torch.ones(batch_size, 1), torch.zeros(batch_size, 1)
    for step, batch in enumerate(images((3, 64, 64), batch_size)):
        if step == WARMUP:
            start = time.perf_counter()
        real = batch.image / 127.5 - 1
        optimizer_d.zero_grad()
        binary_cross_entropy_with_logits(discriminator(real), ones).backward()
        fake = generator(torch.randn(batch_size, 100))
        binary_cross_entropy_with_logits(discriminator(fake.detach()), zeros).backward()
        optimizer_d.step()
        optimizer_g.zero_grad()
        binary_cross_entropy_with_logits(discriminator(fake), ones).backward()
        optimizer_g.step()
    return STEPS * batch_size / (time.perf_counter() - start)


def loader() -> float:
    """Images per second that the loader of 28x28 images can hand out, scaling included."""
    batches = images((1, 28, 28), 1000)
    start, count = time.perf_counter(), 0
    for batch in batches:
        count += len(batch.image.float().div_(127.5).sub_(1))
    return count / (time.perf_counter() - start)


def measure(name: str) -> dict[str, float]:
    """One measurement in a process of its own: its figure and its peak memory in MB."""
    output = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=True).stdout
    return json.loads(output.strip().splitlines()[-1])


def seconds(*command: str) -> float:
    """Wall time of a command, the median of three runs."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Print all figures."""
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}; images/s and peak memory, median of {ROUNDS}")
    rounds = [(measure("dcgan"), measure("plain")) for _ in range(ROUNDS)]
    for index, title in enumerate(("DCGAN 64x64, batch 32", "  the same in a plain loop")):
        rates, memory = zip(*((r[index]["rate"], r[index]["memory"]) for r in rounds), strict=True)
        print(f"{title:32s}{statistics.median(rates):9.1f}/s {statistics.median(memory):8.0f} MB")
    ratios = [a["rate"] / b["rate"] for a, b in rounds]
    print(f"{'  ratio, pair by pair':32s}{statistics.median(ratios):9.2f}   ({min(ratios):.2f} to {max(ratios):.2f})")
    for name, title in {"gan": "GAN", "cgan": "cGAN", "controlgan": "ControlGAN 28x28, batch 64"}.items():
        figure = measure(name)
        print(f"{title:32s}{figure['rate']:9.1f}/s {figure['memory']:8.0f} MB")
    print(f"{'loader, 28x28':32s}{measure('loader')['rate']:9.0f}/s")
    print(f"{'lightning-gans --help':32s}{seconds('-m', 'lightning_gans', '--help'):9.2f} s")
    print(f"{'import lightning_gans.models':32s}{seconds('-c', 'import lightning_gans.models'):9.2f} s")
    print(f"{'from lightning_gans import zoo':32s}{seconds('-c', 'from lightning_gans import zoo'):9.2f} s")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        name = sys.argv[1]
        rate = plain() if name == "plain" else loader() if name == "loader" else ours(name)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"rate": rate, "memory": peak}))
