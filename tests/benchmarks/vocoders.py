"""Speed and memory of vocoders at full size, against plain layers and a plain loop: ``make bench``.

``vocoders.py MelGAN`` measures one paper. Training is as in https://github.com/kan-bayashi/ParallelWaveGAN: MelGAN on
four crops of 8,192 samples, Parallel WaveGAN (D included) on one of 25,600. The plain loop is that code's: each
network layer by layer, G once for its own update and once for D's, D not frozen while G learns. HiFi-GAN V1 learns
from four crops of 8,192 samples too; its plain loop is its authors' order of work. Of BigVGAN and Vocos, whose plain
layers are their authors', synthesis alone is measured. Training steps and syntheses of both
are timed in turns, so that a busy machine slows both; each figure of memory comes from a process of its own. With one
thread, seconds are CPU time, which other processes hardly touch, else wall time.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from lightning import Callback, Trainer
from torch import Tensor
from torch.nn.functional import l1_loss

from lightning_gans import cpu
from lightning_gans.audio import log_mel
from lightning_gans.audio.files import write_wav
from lightning_gans.data import MelFolder
from lightning_gans.data.batches import MelBatch
from lightning_gans.losses.adversarial import hinge_d, least_squares_d, least_squares_g, wasserstein_g
from lightning_gans.losses.features import feature_matching
from lightning_gans.models import BigVGAN, HiFiGAN, MelGAN, ParallelWaveGAN, Vocos
from lightning_gans.training.vocoder import Vocoder

PAPERS = {"MelGAN": (4, 8192), "ParallelWaveGAN": (1, 25600), "HiFiGAN": (4, 8192)}  # crops, samples of each
ONLY_SYNTHESIS = ("BigVGAN", "Vocos")
PRECISIONS = {"32-true": "float32", "bf16-mixed": "bfloat16"}
SYNTHESES = {1: 200, 16: 50}  # examples, frames of each
WARMUP, STEPS = 2, 4
clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def build(paper: str) -> Vocoder:
    torch.manual_seed(0)
    if paper == "Vocos":
        return Vocos(period_width=0.01)
    builders = {"MelGAN": MelGAN, "HiFiGAN": HiFiGAN, "BigVGAN": BigVGAN}
    module = builders[paper]() if paper in builders else ParallelWaveGAN("ljspeech", discriminator_start=0)
    module.mel_scale.fill_(2)  # measured, as it were
    return module


def batch_of(module: Vocoder) -> MelBatch:
    crops, samples = PAPERS[type(module).__name__]
    frames = samples // module.mel_config.hop_length + 2 * module.context
    return MelBatch(torch.randn(crops, 80, frames), torch.rand(crops, 1, samples) - 0.5)


def plain_loop(module: Vocoder) -> Callable[[MelBatch], None]:
    """A step of the plain loop, in the precision that it is called under."""
    generator, discriminator = module.generator, module.discriminator
    if isinstance(module, HiFiGAN):
        return authors_loop(module)
    if isinstance(module, MelGAN):
        optimizers = [torch.optim.Adam(n.parameters(), 1e-4, (0.5, 0.9)) for n in (generator, discriminator)]
        adversarial_d, adversarial_g = hinge_d, wasserstein_g
    else:
        optimizers = [torch.optim.RAdam(n.parameters(), 1e-4, eps=1e-6) for n in (generator, discriminator)]
        adversarial_d, adversarial_g = least_squares_d, least_squares_g

    def update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def step(batch: MelBatch) -> None:
        inputs = [batch.mel, torch.randn_like(batch.audio)] if module.takes_noise else [batch.mel]
        fake = module(*inputs)
        of_fake = discriminator(fake)
        loss_g = sum(adversarial_g(logits) for logits, _ in of_fake)
        if isinstance(module, MelGAN):
            with torch.no_grad():
                of_real = discriminator(batch.audio)
            loss_g = loss_g + 10 * feature_matching(of_real, of_fake, "official")
        else:
            loss_g = 4 * loss_g + sum(module.stft_loss(fake, batch.audio))
        update(optimizers[0], loss_g)
        with torch.no_grad():
            fake = module(*inputs)
        of_real, of_fake = discriminator(batch.audio), discriminator(fake)
        update(
            optimizers[1],
            sum(adversarial_d(r, f) for (r, _), (f, _) in zip(of_real, of_fake, strict=True)),
        )

    return step


def authors_loop(module: HiFiGAN) -> Callable[[MelBatch], None]:
    """The order of HiFi-GAN's authors: four passes of D, in which no gradient is left out."""
    discriminator, (optimizer_g, optimizer_d) = module.discriminator, module.configure_optimizers()

    def step(batch: MelBatch) -> None:
        fake = module(batch.mel)
        parts = zip(discriminator(batch.audio), discriminator(fake.detach()), strict=True)
        optimizer_d.zero_grad()
        sum(2 * least_squares_d(r, f) for (r, _), (f, _) in parts).backward()
        optimizer_d.step()
        optimizer_g.zero_grad()
        mel_l1 = l1_loss(log_mel(fake, module.loss_mel), log_mel(batch.audio, module.loss_mel))
        of_real, of_fake = discriminator(batch.audio), discriminator(fake)
        features = sum(
            (r - f).abs().mean()
            for (real, of_r), (fake, of_f) in zip(of_real, of_fake, strict=True)
            for r, f in zip([*of_r, real], [*of_f, fake], strict=True)
        )
        (sum(2 * least_squares_g(f) for f, _ in of_fake) + 2 * features + 45 * mel_l1).backward()
        optimizer_g.step()

    return step


class Turns(Callback):
    """Seconds of each step of the Trainer, and of a plain one after it."""

    def __init__(self, plain: Callable[[], None] | None) -> None:
        self.plain, self.seconds = plain, []

    def on_train_start(self, trainer, module):
        self.start = clock()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        middle = clock()
        if self.plain:
            self.plain()
        self.seconds.append((middle - self.start, clock() - middle))
        self.start = clock()


def train(paper: str, precision: str, plain: Callable[[], None] | None, steps: int) -> list[tuple[float, float]]:
    module = build(paper)
    turns = Turns(plain)
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        precision=precision,
        callbacks=[turns],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    batch = batch_of(module)
    trainer.fit(module, torch.utils.data.DataLoader([batch] * steps, batch_size=None))
    return turns.seconds


def plain_step(paper: str, precision: str) -> Callable[[], None]:
    module = build(paper)
    step, batch = plain_loop(module), batch_of(module)

    def call() -> None:
        # Called from within the Trainer's step or on its own: the precision is set either way.
        with torch.autocast("cpu", torch.bfloat16, enabled=precision != "32-true"):
            step(batch)

    return call


def training(paper: str, precision: str) -> list[tuple[float, float]]:
    """Seconds of steps after the warm-up: through the Trainer, and of the plain loop."""
    return train(paper, precision, plain_step(paper, precision), WARMUP + STEPS)[WARMUP:]


def synthesis(paper: str, precision: str, examples: int, form: str = "both", times: int = 4) -> list[list[float]]:
    """Seconds of computing per second of audio: by ``vocode``, and by ``vocode`` with plain layers."""
    module = build(paper).eval()
    mel = torch.randn(examples, module.mel_config.n_mels, SYNTHESES[examples])
    audio = examples * SYNTHESES[examples] * module.mel_config.hop_length / module.sample_rate
    forms = {"ours": cpu.put_in_place, "plain": cpu.take_off}
    forms = [choose for name, choose in forms.items() if form in ("both", name)]
    taken = []
    with torch.autocast("cpu", torch.bfloat16, enabled=precision != "32-true"):
        for _ in range(times):
            taken.append([])
            for choose in forms:
                choose(module)
                start = clock()
                module.vocode(mel, seed=0)
                taken[-1].append((clock() - start) / audio)
    return taken[1:]


def peak_memory(paper: str, what: str, form: str) -> float:
    """MB that two training steps or a synthesis of one long example take, the libraries included."""
    if what == "synthesis":
        synthesis(paper, "32-true", 1, form, times=1)
    elif form == "ours":
        train(paper, "32-true", None, 2)
    else:
        step = plain_step(paper, "32-true")
        step(), step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def loader(paper: str) -> float:
    """Samples of audio per second that one worker hands out."""
    (crops, samples), rate = PAPERS[paper], 22050
    with tempfile.TemporaryDirectory() as folder:
        draw = np.random.default_rng(0)
        for index in range(16):
            write_wav(Path(folder, f"{index}.wav"), torch.from_numpy(draw.uniform(-1, 1, (1, 8 * rate))), rate)
        mel = build(paper).mel_config.name
        data = MelFolder(
            folder, mel=mel, crop=samples, validation=0, crops_per_file=100, batch_size=crops, num_workers=1
        )
        data.prepare_data()
        data.setup("fit")
        batches = iter(data.train_dataloader())
        for _ in range(20):
            next(batches)
        start = time.perf_counter()
        for count, _ in enumerate(batches, 1):
            if count == 300:
                break
        return count * crops * samples / (time.perf_counter() - start)


def measure(*arguments: str) -> object:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "measure", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1])


def against_plain(title: str, seconds: list[tuple[float, float]], figure: Callable[[float], float], unit: str) -> float:
    """Print a figure made of the median seconds of both forms, and how much faster ours is, pair by pair."""
    ours, plain = (figure(statistics.median(column)) for column in zip(*seconds, strict=True))
    ratios = sorted(b / a for a, b in seconds)
    spread = f"{statistics.median(ratios):.2f} times as fast ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    print(f"{title:44s}{ours:10.4g}{plain:10.4g} {unit:12s}{spread}", flush=True)
    return ours


def report(paper: str) -> None:
    if paper in ONLY_SYNTHESIS:
        print(f"{paper:44s}{'ours':>10s}{'plain':>10s}")
        report_synthesis(paper)
        return
    crops, samples = PAPERS[paper]
    print(f"{f'{paper}, {crops} x {samples} samples':44s}{'ours':>10s}{'plain':>10s}")
    rates = {}
    for precision, name in PRECISIONS.items():
        rows = measure("training", paper, precision)
        rates[name] = against_plain(f"  training, {name}", rows, lambda s: crops * samples / s, "samples/s")
    report_synthesis(paper)
    for what in ("training", "synthesis"):
        ours, plain = (measure("memory", paper, what, form) for form in ("ours", "plain"))
        print(f"{f'  peak memory of {what}, float32':44s}{ours:10.0f}{plain:10.0f} MB")
    rate = measure("loader", paper)
    times = rate / max(rates.values())
    print(f"{'  loader, one worker':44s}{rate:10.4g}{'':10s} samples/s   {times:.0f} times what training takes")


def report_synthesis(paper: str) -> None:
    for precision, name in PRECISIONS.items():
        for examples in SYNTHESES:
            rows = measure("synthesis", paper, precision, examples)
            against_plain(f"  real-time factor, {name}, batch {examples}", rows, lambda s: s, "s/s")


def main() -> None:
    """Print all figures, or what one process has measured."""
    if sys.argv[1:2] == ["measure"]:
        what, paper, *rest = sys.argv[2:]
        result = {
            "training": lambda: training(paper, *rest),
            "synthesis": lambda: synthesis(paper, rest[0], int(rest[1])),
            "memory": lambda: peak_memory(paper, *rest),
            "loader": lambda: loader(paper),
        }[what]()
        print(json.dumps(result))
        return
    seconds = "CPU" if clock is time.process_time else "wall"
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}; {seconds} time, medians")
    for paper in sys.argv[1:] or [*PAPERS, *ONLY_SYNTHESIS]:
        report(paper)


if __name__ == "__main__":
    main()
