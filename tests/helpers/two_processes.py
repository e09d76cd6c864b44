"""Run by test_distributed.py: trains all papers on two processes, and writes what each process ends with.

No strategy is named anywhere: ``python two_processes.py FOLDER`` is one process, which starts the other.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from helpers.tiny_runs import (
    PAPERS,
    VOCODERS,
    WITHOUT_NOISE,
    Latents,
    LatentsOfData,
    SaveAfter,
    build,
    data_for,
    fit,
    parameter_count,
    state,
    weights,
    without_batch_norm,
)
from lightning import Callback, Trainer
from torch import Tensor
from torch.distributed import GradBucket, all_reduce

from lightning_gans.callbacks.last_checkpoint import LastCheckpoint
from lightning_gans.training.accumulation import AccumulateGradients
from lightning_gans.training.adversarial_module import AdversarialModule
from lightning_gans.training.ddp import NAME, DDPInTurnsStrategy
from lightning_gans.training.ema import AverageGenerator

STEPS, JOINED_BATCH = 3, 8


def half(*shape: int, device: torch.device | None = None, **_: Any) -> Tensor:
    return torch.full(shape, 0.5, device=device)


def plain(parameters: Any, lr: float, betas: Any, fused: bool) -> torch.optim.Optimizer:
    """In place of Adam, whose steps are as long for gradients that are nothing but rounding."""
    return torch.optim.SGD(parameters, 0.01)


@contextmanager
def no_chance(name: str) -> Iterator[None]:
    """No dropout, gradient penalties at the middle of the lines, the same phase shift everywhere.

    Spectral norm's vectors stay: they would move once for each batch.
    """
    with (
        mock.patch("lightning_gans.models.gan.dropout", lambda x, p, training: x),
        mock.patch("lightning_gans.models.cgan.dropout", lambda x, p, training: x),
        mock.patch("torch.optim.Adam", plain if name in VOCODERS else torch.optim.Adam),
        mock.patch("torch.optim.AdamW", plain),
        mock.patch("torch.nn.utils.parametrizations._SpectralNorm._power_method", lambda *_: None),
        mock.patch("torch.rand", half),
        mock.patch("torch.randn_like", lambda x: x.roll(100, -1)),  # the noise of vocoders
        mock.patch("torch.randint", lambda low, *_, **__: torch.tensor(low)),  # phase shuffle
    ):
        yield


def build_without_chance(name: str) -> AdversarialModule:
    """A paper without batch norm, whose weights move."""
    module = without_batch_norm(build(name))
    if name in ("gan", "cgan"):  # whose weights start so small that they would hardly move
        for parameter in module.parameters():
            if parameter.dim() == 2:
                torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return module


def without_chance(name: str, processes: int, batches: int = 1) -> tuple[AdversarialModule, dict[str, Tensor]]:
    """Train such that only the joined batch counts, on so many processes with so many batches for an update."""
    module = build_without_chance(name)
    before = weights(module)
    data = data_for(module, batch_size=JOINED_BATCH // processes // batches, count=64)
    with no_chance(name):
        fit(
            module,
            data,
            [LatentsOfData(), AccumulateGradients(batches)],
            max_steps=STEPS - (name in VOCODERS),
            devices=processes,
            strategy=DDPInTurnsStrategy() if processes > 1 else "auto",
            use_distributed_sampler=False,
        )
    return module, before


class Traffic(Callback):
    """How many numbers the processes exchanged for each update of each network, how many the network has, and the
    gradient of its first update.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.by_network: dict[str, list[int]] = {}
        self.sizes: dict[str, int] = {}
        self.first: dict[str, Tensor] = {}

    def on_train_start(self, trainer: Trainer, module: AdversarialModule) -> None:
        for wrapped in getattr(trainer.strategy, "reducers", [trainer.strategy.model]):
            wrapped.register_comm_hook(None, self.exchange)
        self.by_network = {name: [] for name in module.networks}
        self.sizes = {name: parameter_count(getattr(module, module.networks[name])) for name in module.networks}

    def exchange(self, _: None, bucket: GradBucket) -> torch.futures.Future[Tensor]:
        self.sent += bucket.buffer().numel()
        done = all_reduce(bucket.buffer().div_(2), async_op=True).get_future()
        return done.then(lambda future: future.value()[0])

    def on_before_optimizer_step(
        self, trainer: Trainer, module: AdversarialModule, optimizer: torch.optim.Optimizer
    ) -> None:
        key = list(module.networks)[trainer.optimizers.index(optimizer)]
        if not self.by_network[key]:
            network = getattr(module, module.networks[key])
            self.first[key] = torch.cat([p.grad.flatten() for p in network.parameters()])
        self.by_network[key].append(self.sent)
        self.sent = 0


class Masks(Callback):
    """D's judgement of the same image with the same weights, but with this process's dropout in the first batch."""

    logits: Tensor | None = None

    def on_before_backward(self, trainer: Any, module: AdversarialModule, loss: Tensor) -> None:
        if self.logits is None:
            with torch.random.fork_rng(), torch.no_grad():
                self.logits = module.discriminator.hidden1(torch.nn.functional.dropout(torch.ones(1, 1024), 0.2))


class PoisonOnRank1(Callback):
    """Images that are not finite on the second process, in one batch."""

    def on_train_batch_start(self, trainer: Any, module: AdversarialModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_rank == 1 and module.batches_seen == 1:
            batch.image.fill_(float("inf"))


def interrupted(
    folder: Path, processes: int, epoch: int, workers: int, finished: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """What a run of two epochs ends with, what it does when resumed in the middle of one, and what that began with.

    With ``finished``, the first part was a run that ended there.
    """
    both = dict(max_steps=-1, max_epochs=2)

    def run(module: AdversarialModule, *callbacks: Callback, **options: Any) -> dict[str, Tensor]:
        data = data_for(module, count=24)
        data.num_workers = workers
        callbacks = [AverageGenerator(0.5), *callbacks]
        fit(module, data, callbacks, **both | options, limit_val_batches=1, devices=processes)
        return state(module)

    batches = 24 // 4 // processes
    saver = SaveAfter(folder / f"{processes}-{epoch}-{workers}.ckpt", epoch * batches + 2)
    straight = run(build("dcgan_torch"), saver)
    if finished:
        last = LastCheckpoint()
        last.dirpath, saver.path = str(folder), folder / "last.ckpt"
        run(build("dcgan_torch"), last, enable_checkpointing=True, max_steps=epoch * batches + 2, max_epochs=-1)
    other = build("dcgan_torch", seed=1)
    began = state(other)
    return straight, run(other, resume=saver.path), began


INTERRUPTIONS = [
    (epoch, workers, finished) for epoch in (0, 1) for workers, finished in ((0, False), (2, False), (2, True))
]
"""Epochs in the middle of which a run is resumed, with so many processes that load, and whether it had ended there."""


def main(folder: Path) -> None:
    results: dict[str, Any] = {"as_it_is": {}, "without_chance": {}, "latents": {}}
    results["interrupted"] = [interrupted(folder, 2, *where) for where in INTERRUPTIONS]
    for name in PAPERS:
        module, latents, masks = build(name), Latents(), Masks()
        callbacks = [latents, masks] if name == "gan" else [latents]
        trainer = fit(module, callbacks=callbacks, max_steps=STEPS, devices=2, use_distributed_sampler=False)
        results["as_it_is"][name] = weights(module)
        if name not in WITHOUT_NOISE:
            results["latents"][name] = torch.stack(latents.train)
        if name == "gan":
            results["masks"] = masks.logits
            results["strategy"] = type(trainer.strategy).__name__
            results["global_step"] = trainer.global_step
    for name in PAPERS:
        results["without_chance"][name] = state(without_chance(name, 2)[0])
    results["accumulated"] = state(without_chance("gan", 2, 2)[0])
    module = build("controlgan_logit")
    fit(module, callbacks=[PoisonOnRank1()], max_steps=3, devices=2, use_distributed_sampler=False)
    results["nonfinite"] = module.nonfinite.first
    for strategy in (NAME, "ddp"):
        for batches in (1, 2):
            traffic, callbacks = Traffic(), [LatentsOfData(), AccumulateGradients(batches)]
            module = build_without_chance("dcgan_torch")
            data = data_for(module, batch_size=4 // batches, count=64)
            made = DDPInTurnsStrategy() if strategy == NAME else strategy
            fit(module, data, [traffic, *callbacks], max_steps=STEPS, devices=2, strategy=made)
            results[f"{strategy} of {batches}"] = traffic.by_network
            results[f"{strategy} of {batches}, first"] = traffic.first
    results["sizes"] = traffic.sizes
    torch.save(results, folder / f"{trainer.global_rank}.pt")


if __name__ == "__main__":
    os.environ["PL_GLOBAL_SEED"] = "0"
    main(Path(sys.argv[1]))
