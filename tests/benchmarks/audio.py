"""Speed of WaveGAN and SpecGAN at full size, of sampling, of phase shuffle and of loading sounds: ``make bench``.

Seconds are wall time, but for phase shuffle, whose share is too small for that.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from lightning import Callback, Trainer

from lightning_gans.audio.files import write_wav
from lightning_gans.data import AudioFolder
from lightning_gans.losses import gradient_penalty
from lightning_gans.models import SpecGAN, WaveGAN
from lightning_gans.networks.phase_shuffle import PhaseShuffle

BATCH, LENGTH, SAMPLE_RATE = 8, 16384, 16000
CLIPS = 96


def median(run: Callable[[], object], times: int = 3) -> float:
    """Seconds of a call, after one that does not count."""
    run()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


class Clock(Callback):
    """Seconds and generator updates after the first update."""

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        now = time.perf_counter()
        if trainer.global_step == 1 and not hasattr(self, "start"):
            self.start = now
        self.rate = (trainer.global_step - 1) / (now - self.start) if trainer.global_step > 1 else None


def training(module: WaveGAN | SpecGAN, data: AudioFolder, updates: int = 3) -> float:
    """Generator updates per second through the Trainer, critic updates included."""
    clock = Clock()
    trainer = Trainer(
        max_steps=updates,
        callbacks=[clock],
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, data)
    return clock.rate


def phase_shuffle(rounds: int = 5) -> None:
    """CPU time of a critic step with each kind of shift, and without, in turns."""
    module = WaveGAN()
    real = torch.rand(BATCH, 1, LENGTH) * 2 - 1
    fake = module(module.prior(BATCH)).detach()
    kinds = {"none": PhaseShuffle(0, "batch"), "batch": PhaseShuffle(2, "batch"), "example": PhaseShuffle(2, "example")}
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds + 1):
        for kind, module.discriminator.shuffle in kinds.items():
            start = time.process_time()
            loss = module.discriminator(fake).mean() - module.discriminator(real).mean()
            (loss + 10 * gradient_penalty(module.discriminator, real, fake)).backward()
            taken[kind].append(time.process_time() - start)
    without = statistics.median(taken["none"][1:])
    print(f"{'WaveGAN, critic step':40s}{without:9.3f} s of CPU time")
    for kind in ("batch", "example"):
        ratios = [a / b for a, b in zip(taken[kind][1:], taken["none"][1:], strict=True)]
        print(f"{f'  with phase shuffle per {kind}':40s}{statistics.median(ratios):9.3f} times as long")


def main() -> None:
    """Print all figures."""
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}; batch {BATCH}, {LENGTH} samples, width 64")
    with tempfile.TemporaryDirectory() as folder:
        draw = np.random.default_rng(0)
        for index in range(CLIPS):
            write_wav(Path(folder, f"{index}.wav"), torch.from_numpy(draw.uniform(-1, 1, (1, LENGTH))), SAMPLE_RATE)
        data = AudioFolder(folder, batch_size=BATCH, validation=0)
        for module in (WaveGAN(), SpecGAN()):
            name, rate = type(module).__name__, training(module, data)
            heard = rate * module.hparams.n_critic * BATCH * LENGTH / SAMPLE_RATE
            print(f"{f'{name}, generator updates (5 critic each)':40s}{rate:9.3f} /s  {heard:9.1f} s of audio/s")
            seconds = median(lambda module=module: module.sample(BATCH))
            print(f"{f'{name}, sampling':40s}{BATCH / seconds:9.1f} /s  {BATCH * LENGTH / SAMPLE_RATE / seconds:9.1f}")
        data = AudioFolder(folder, batch_size=32, validation=0)
        data.prepare_data()
        data.setup("fit")
        loader = data.train_dataloader()
        scaled = median(lambda: [data.on_after_batch_transfer(batch, 0) for batch in loader], 10)
        print(f"{'loader, scaling included':40s}{CLIPS / scaled:9.0f} clips/s")
    phase_shuffle()


if __name__ == "__main__":
    main()
