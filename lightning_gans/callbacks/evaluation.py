"""Figures of what is generated, at each validation and in a test beside those of real data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from torchmetrics import Metric

from lightning_gans.audio import griffin_lim_of_mel
from lightning_gans.errors import InputError
from lightning_gans.metrics import METRICS, MetricName
from lightning_gans.metrics.figure import spread
from lightning_gans.training.compatibility import Kind, kind_of

LOADERS = {"train": "reference_dataloader", "val": "val_dataloader"}
SUFFIXES = {"train": "_real", "test": "_real_test"}
"""Of the figure that real data of a split gets in place of what is generated."""
GRIFFIN_LIM = "_griffin_lim"
"""Of the figure that a vocoder has to beat."""
NOUNS: dict[Kind, str] = {"image": "images", "audio": "sounds", "mel": "sounds from mels"}


class Evaluate(Callback):
    """Compares what the generator makes with the images or sounds of the validation or test set.

    While testing, each figure comes with that of real training data in place of what was generated
    (``test/fid_lenet_real``), and some with that of the test data (``test/nn_self_real_test``): what a perfect
    generator would get. Of sounds the whole training set is taken, but for figures that depend on how many there are,
    which get as many, evenly spread; of images the first ones, as many as there are test images. Figures of vocoders,
    which compare each utterance with its recording, come with those of Griffin-Lim on the same mels
    (``test/mel_l1_griffin_lim``).

    Args:
        metrics: Names of the figures, logged as ``val/NAME`` and ``test/NAME``.
        test_metrics: Further ones for a test alone, such as those that take long.
        repeats: How many to generate for each real example, where that lowers the variance of a figure; those that
            depend on how many there are see one for each. Vocoders make one of each utterance.
    """

    def __init__(
        self,
        metrics: list[MetricName] | None = None,
        test_metrics: list[MetricName] | None = None,
        repeats: int = 1,
    ) -> None:
        self.names = list(metrics or [])
        self.test_names = [name for name in test_metrics or [] if name not in self.names]
        for name in self.names + self.test_names:
            if name not in METRICS:
                raise InputError(f"unknown metric {name!r}; expected some of {', '.join(METRICS)}")
        if repeats < 1:
            raise InputError(f"evaluation.repeats is {repeats}; expected at least 1")
        self.repeats = repeats
        self.metrics: dict[str, Metric] = {}
        self.history: list[tuple[int, dict[str, float]]] = []

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        kind = kind_of(module)
        fitting = [name for name, metric in METRICS.items() if metric.kind == kind]
        if stage == "test":
            self.names, self.test_names = self.names + self.test_names, []
        wrong = [name for name in self.names + self.test_names if name not in fitting]
        if wrong and stage != "predict":
            raise InputError(
                f"evaluation.metrics has {', '.join(wrong)}, and {type(module).__name__} makes {NOUNS[kind]};"
                f" those of {NOUNS[kind]} are {', '.join(fitting)}"
            )
        if kind == "mel" and self.repeats > 1:
            raise InputError(
                f"evaluation.repeats is {self.repeats}, and a {type(module).__name__} makes each utterance once; leave"
                " it out"
            )

    # ---- validation

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.metrics = {name: new(name, module) for name in self.names}
        # Not on validation data, which is what the figures are of.
        self._calibrate(trainer, module, [name for name in self.names if METRICS[name].calibration != "val"])

    def on_validation_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Tensor, batch: Any, *_: Any
    ) -> None:
        self._update(trainer, module, outputs, batch)

    def on_validation_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.sanity_checking and trainer.num_sanity_val_steps != float("inf"):
            return  # a few batches make no figure; num_sanity_val_steps: -1 looks at all
        values = self._figures(trainer)
        self.history.append((trainer.global_step, {name: float(value) for name, value in values.items()}))
        self.log_dict({f"val/{name}": value for name, value in values.items()}, sync_dist=True, prog_bar=True)
        for metric in self.metrics.values() if trainer.state.fn == "fit" else ():
            metric.reset()  # while training goes on, some would hold all that they were shown

    def _figures(self, trainer: Trainer) -> dict[str, Tensor]:
        """Those of this validation; one that a part of the validation set is too small for is left out."""
        values = {}
        for name, metric in self.metrics.items():
            try:
                values[name] = metric.compute().float()
            except InputError as error:
                if sum(trainer.num_val_batches) == len(trainer.val_dataloaders):
                    raise
                monitoring = [c for c in trainer.checkpoint_callbacks if c.monitor == f"val/{name}"]
                instead = ", and the checkpoint is that of the latest validation" if monitoring else ""
                rank_zero_warn(f"val/{name} is left out, as limit_val_batches is set{instead}: {error}")
                for checkpoint in monitoring:
                    checkpoint.monitor = None
                self.names = [other for other in self.names if other != name]
        return values

    # ---- test

    def on_test_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.metrics = {}
        for name in self.names:
            for suffix in ("", *(SUFFIXES[split] for split in METRICS[name].references)):
                self.metrics[name + suffix] = new(name, module)
            if METRICS[name].kind == "mel":
                self.metrics[name + GRIFFIN_LIM] = new(name, module)
        self._calibrate(trainer, module, self.names)
        self.count = 0
        if self._referring_to("train"):
            self.paired = on_device(trainer, module, trainer.datamodule.reference_dataloader())

    def on_test_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Tensor, batch: Any, *_: Any
    ) -> None:
        self._update(trainer, module, outputs, batch)
        if kind_of(module) == "mel":
            self._update_with_griffin_lim(module, batch)
            return
        self.count += len(batch[0])
        paired = [name for name in self._referring_to("train") if METRICS[name].kind == "image"]
        train = next(self.paired, None) if paired else None
        for name in paired if train is not None else []:
            self.metrics[name + SUFFIXES["train"]].update(batch[0], *(part[: len(batch[0])] for part in train))
        for name in self._referring_to("test"):
            self.metrics[name + SUFFIXES["test"]].update(batch[0], batch[0], batch.label)

    def on_test_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        unpaired = [name for name in self._referring_to("train") if METRICS[name].kind == "audio"]
        if unpaired:
            self._update_with_training_set(trainer, module, unpaired)
        values = {f"test/{name}": metric.compute().float() for name, metric in self.metrics.items()}
        self.log_dict(values, sync_dist=True)

    def _update_with_griffin_lim(self, module: LightningModule, batch: Any) -> None:
        samples = batch.audio.shape[-1]
        if self.names:
            fake = griffin_lim_of_mel(module.mel(batch.audio), module.mel_config, samples)[:, None]
            self._judge_pairs(batch.audio, fake, GRIFFIN_LIM)

    def _update_with_training_set(self, trainer: Trainer, module: LightningModule, names: list[str]) -> None:
        """All of it, or as many clips as there are test clips."""
        count = torch.tensor(float(self.count), device=module.device)
        count = int(trainer.strategy.reduce(count, reduce_op="sum"))
        loader = trainer.datamodule.reference_dataloader()
        chosen = spread(len(loader.dataset), count)[trainer.global_rank :: trainer.world_size]
        some = DataLoader(Subset(loader.dataset, chosen), loader.batch_size, collate_fn=loader.collate_fn)
        for source, one_per_example in ((loader, False), (some, True)):
            metrics = [
                self.metrics[name + SUFFIXES["train"]]
                for name in names
                if METRICS[name].one_per_example == one_per_example
            ]
            for batch in on_device(trainer, module, source) if metrics else ():
                for metric in metrics:
                    metric.update(None, *batch)

    def _referring_to(self, split: str) -> list[str]:
        return [name for name in self.names if split in METRICS[name].references]

    # ---- both

    def _update(self, trainer: Trainer, module: LightningModule, first: Tensor, batch: Any) -> None:
        """Judge the fakes that the step has made and, where it pays, further ones for the same examples."""
        if kind_of(module) == "mel":
            self._judge_pairs(batch.audio, first)
            return
        several = [name for name in self.names if not METRICS[name].one_per_example]
        for name in self.names:
            self.metrics[name].update(batch[0], first.float(), batch.label)
        for _ in range(self.repeats - 1 if several else 0):
            with trainer.precision_plugin.forward_context():
                fake = module.generate(batch)
            for name in several:
                self.metrics[name].update(batch[0], fake.float(), batch.label)

    def _judge_pairs(self, real: Tensor, fake: Tensor, suffix: str = "") -> None:
        """Recordings beside what was made of their mels, (B, 1, T) each, as far as both go."""
        samples = min(real.shape[-1], fake.shape[-1])
        for name in self.names:
            self.metrics[name + suffix].update(real[..., :samples], fake[..., :samples].float())

    def _calibrate(self, trainer: Trainer, module: LightningModule, names: list[str]) -> None:
        """Show the metrics that ask for it all batches of another split, which is read once."""
        for split in LOADERS:
            metrics = [
                metric
                for name in names
                for suffix in ("", *SUFFIXES.values())
                if METRICS[name].calibration == split
                and (metric := self.metrics.get(name + suffix)) is not None
                and hasattr(metric, "calibrate")
            ]
            loader = getattr(trainer.datamodule, LOADERS[split])() if metrics else ()
            for batch in on_device(trainer, module, loader):
                for metric in metrics:
                    metric.calibrate(batch[0])


def new(name: str, module: LightningModule) -> Metric:
    """An empty metric on the module's device."""
    options = {
        "image": lambda: {},
        "audio": lambda: {"sample_rate": module.sample_rate},
        "mel": lambda: {"mel": module.mel_config},
    }
    return METRICS[name](**options[METRICS[name].kind]()).to(module.device)


def on_device(trainer: Trainer, module: LightningModule, loader: Iterable[Any]) -> Iterator[Any]:
    """A loader's batches, scaled and on the device."""
    data = trainer.datamodule
    for batch in loader:
        batch = data.transfer_batch_to_device(batch, module.device, 0)
        yield data.on_after_batch_transfer(batch, 0)
