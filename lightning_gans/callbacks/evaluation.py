"""Metrics of what is generated: at each validation, and in a test beside a baseline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from lightning import Callback
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from lightning_gans.audio import griffin_lim_of_mel
from lightning_gans.errors import InputError
from lightning_gans.metrics import METRICS, MetricName, SampleMetric, of_kind
from lightning_gans.ranges import PositiveInt, Ranged
from lightning_gans.training.compatibility import Kind, kind_of

LOADERS = {"train": "reference_dataloader", "val": "val_dataloader"}
BASELINES = {
    "real": "test examples in place of samples",
    "real_train": "as many training examples in place of samples",
    "griffin_lim": "Griffin-Lim on the same mels",
    "features": "test examples, through the model's features and back",
}
NOUNS: dict[Kind, str] = {"image": "images", "audio": "sounds", "mel": "sounds from mels"}


class Evaluate(Ranged, Callback):
    """Compares what the generator makes with the images or sounds of the validation or test set.

    A test has the baseline of each metric beside it, which says what a perfect generator would get, or what a vocoder
    has to beat:

    - ``test/label_accuracy_real``: the test examples themselves in place of the samples;
    - ``test/fid_lenet_real_train``: as many training examples, for distances from the test examples, which the test
      examples themselves cannot stand in for;
    - ``test/mel_l1_griffin_lim``: Griffin-Lim on the mels that the vocoder is given;
    - ``test/confident_fsdd_features``: the test examples, taken to the features that the model generates and back
      (``features``, ``invert``), of a model that has such.

    ``test/examples`` is how many test examples there were, ``test/samples`` how many samples were made for them.
    ``test/mel_l1_se`` is the standard error, of metrics that know theirs.

    Args:
        metrics: Names of the metrics, logged as ``val/NAME`` and ``test/NAME``.
        test_metrics: Further ones for a test alone, such as those that take long.
        repeats: How many samples for each real example, where that lowers the variance of a metric; those whose value
            depends on how many there are see one for each. Vocoders make one of each utterance.
    """

    def __init__(
        self,
        metrics: list[MetricName] | None = None,
        test_metrics: list[MetricName] | None = None,
        repeats: PositiveInt = 1,
    ) -> None:
        self.names: list[str] = [*(metrics or [])]
        self.test_names: list[str] = [name for name in test_metrics or [] if name not in self.names]
        for name in self.names + self.test_names:
            if name not in METRICS:
                raise InputError(f"unknown metric {name!r}; expected some of {', '.join(METRICS)}")
        self.repeats = repeats
        self.metrics: dict[str, SampleMetric] = {}
        self.baselines: dict[str, dict[str, SampleMetric]] = {}
        self.history: list[tuple[int, dict[str, float]]] = []

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        kind = kind_of(module)
        if stage == "test":
            self.names, self.test_names = self.names + self.test_names, []
        wrong = [name for name in self.names + self.test_names if METRICS[name].kind != kind]
        if wrong and stage != "predict":
            raise InputError(
                f"evaluation.metrics has {', '.join(wrong)}, and {type(module).__name__} makes {NOUNS[kind]};"
                f" those of {NOUNS[kind]} are {', '.join(of_kind(kind))}"
            )
        if kind == "mel" and self.repeats > 1:
            raise InputError(
                f"evaluation.repeats is {self.repeats}, and a {type(module).__name__} makes each utterance once; leave"
                " it out"
            )

    # ---- validation

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        self.metrics, self.baselines = {name: new(name, module) for name in self.names}, {}
        self._calibrate(trainer, module, "train")  # not on validation data, which are judged

    def on_validation_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, *_: Any) -> None:
        self._judge(trainer, module, outputs, batch)

    def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
        if trainer.sanity_checking and trainer.num_sanity_val_steps != float("inf"):
            return  # a few batches say nothing; num_sanity_val_steps: -1 looks at all
        values = self._values(trainer)
        self.history.append((trainer.global_step, {name: float(value) for name, value in values.items()}))
        module.log_dict({f"val/{name}": value for name, value in values.items()}, sync_dist=True, prog_bar=True)
        for metric in self.metrics.values() if trainer.state.fn == "fit" else ():
            metric.reset()  # while training goes on, some would hold all that they were shown

    def _values(self, trainer: Any) -> dict[str, Tensor]:
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

    def on_test_start(self, trainer: Any, module: Any) -> None:
        self.metrics, self.baselines = {name: new(name, module) for name in self.names}, {}
        for name, metric in self.metrics.items():
            for baseline in baselines_of(metric, module):
                if baseline == "real_train" and not hasattr(trainer.datamodule, LOADERS["train"]):
                    rank_zero_info(f"test/{name}_{baseline} is left out: nothing hands out the training examples")
                    continue
                self.baselines.setdefault(baseline, {})[name] = new(name, module)
        for split in LOADERS:
            self._calibrate(trainer, module, split)
        self.examples = 0
        self.training_batches = batches(trainer, module, "train") if "real_train" in self.baselines else iter(())

    def on_test_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, *_: Any) -> None:
        self._judge(trainer, module, outputs, batch)
        self.examples += len(batch[0])
        for baseline, metrics in self.baselines.items():
            if (instead := self._instead(baseline, module, batch)) is not None:
                update(metrics.values(), batch, instead)

    def _instead(self, baseline: str, module: Any, batch: Any) -> Tensor | None:
        """What a baseline has in place of the samples for a batch; None where the training set has ended."""
        if baseline == "real":
            return batch[0]
        if baseline == "features":
            return module.invert(module.features(batch[0]))
        if baseline == "griffin_lim":
            mel = batch.mel[..., module.context : batch.mel.shape[-1] - module.context]
            return griffin_lim_of_mel(mel, module.mel_config, batch.audio.shape[-1])[:, None]
        train = next(self.training_batches, None)
        return None if train is None else train[0][: len(batch[0])]

    def on_test_epoch_end(self, trainer: Any, module: Any) -> None:
        judged = dict(self.metrics)
        for baseline, metrics in self.baselines.items():
            judged |= {f"{name}_{baseline}": metric for name, metric in metrics.items()}
        values = {f"test/{name}": metric.compute().float() for name, metric in judged.items()}
        for name, metric in judged.items():
            if (error := metric.standard_error()) is not None:
                values[f"test/{name}_se"] = error.float()
        examples = trainer.strategy.reduce(torch.tensor(float(self.examples), device=module.device), reduce_op="sum")
        values |= {"test/examples": examples, "test/samples": self.repeats * examples}
        module.log_dict(values, sync_dist=True)
        self._say(trainer, int(examples))

    def _say(self, trainer: Any, examples: int) -> None:
        """What the values of a test are of."""
        if getattr(trainer.datamodule, "test_is_validation", False):
            rank_zero_info("There is no test split: this is the validation set, on which a checkpoint may be chosen.")
        said = [f"_{baseline}: {text}" for baseline, text in BASELINES.items() if baseline in self.baselines]
        rank_zero_info("; ".join([f"{examples} test examples, {self.repeats} sample(s) for each", *said]))

    # ---- both

    def _judge(self, trainer: Any, module: Any, first: Tensor, batch: Any) -> None:
        """Judge the samples that the step has made and, where it pays, further ones for the same examples."""
        update(self.metrics.values(), batch, first)
        several = [metric for metric in self.metrics.values() if not metric.one_per_example]
        for _ in range(self.repeats - 1 if several else 0):
            with trainer.precision_plugin.forward_context():
                fake = module.generate(batch)
            update(several, batch, fake)

    def _calibrate(self, trainer: Any, module: Any, split: str) -> None:
        """Show the metrics that ask for it all batches of another split, which is read once."""
        judging = [self.metrics, *self.baselines.values()]
        metrics = [m for some in judging for m in some.values() if m.calibration == split]
        for batch in batches(trainer, module, split) if metrics else ():
            for metric in metrics:
                metric.calibrate(batch[0])


def new(name: str, module: Any) -> SampleMetric:
    """An empty metric on the module's device."""
    options = {
        "image": lambda: {},
        "audio": lambda: {"sample_rate": module.sample_rate},
        "mel": lambda: {"mel": module.mel_config},
    }
    return METRICS[name](**options[METRICS[name].kind]()).to(module.device)


def baselines_of(metric: SampleMetric, module: Any) -> list[str]:
    """What a test shows a metric in place of the samples; what real data lose in features is the least to expect."""
    through = ["features"] if metric.baseline == "real" and hasattr(module, "invert") else []
    return [metric.baseline, *through]


def update(metrics: Iterable[SampleMetric], batch: Any, fake: Tensor) -> None:
    """Show metrics the real examples of a batch and what is held against them.

    Recordings of vocoders, (B, 1, T), and what was made of their mels are compared as far as both go.
    """
    real, label, fake = batch[0].float(), getattr(batch, "label", None), fake.float()
    if hasattr(batch, "mel"):
        samples = min(batch.audio.shape[-1], fake.shape[-1])
        real, fake = batch.audio[..., :samples].float(), fake[..., :samples]
    for metric in metrics:
        metric.update(real, fake, label)


def batches(trainer: Any, module: Any, split: str) -> Iterator[Any]:
    """All batches of a split in order, scaled and on the device."""
    data = trainer.datamodule
    loader = getattr(data, LOADERS[split], None)
    if loader is None:
        source = "loaders alone do" if data is None else f"{type(data).__name__} does"
        raise InputError(
            f"the metrics ask for the {split} examples in order, which {source} not hand out; use a"
            " DataModule of lightning_gans.data, or leave out those metrics"
        )
    for batch in loader():
        batch = data.transfer_batch_to_device(batch, module.device, 0)
        yield data.on_after_batch_transfer(batch, 0)
