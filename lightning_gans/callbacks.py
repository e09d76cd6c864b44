"""Metrics, pictures, speed, and the safety of a run: what happens around a paper's training step."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from torchmetrics import Metric

from lightning_gans.errors import InputError
from lightning_gans.metrics import IMAGE_METRICS, ImageMetricName


def run_folder(trainer: Trainer) -> Path:
    """Where this run keeps its checkpoints, pictures and config."""
    logger = trainer.logger
    if logger is None:
        return Path(trainer.default_root_dir)
    return Path(logger.save_dir or trainer.default_root_dir, str(logger.name), str(logger.version))


class EvaluateImages(Callback):
    """Compares what the generator makes with the images of the validation or test set.

    While testing, each figure comes with that of real training images in place of the generated ones
    (``test/fid_lenet_real``): what a perfect generator would get.

    Args:
        metrics: Names of the figures, logged as ``val/NAME`` and ``test/NAME``.
    """

    def __init__(self, metrics: list[ImageMetricName] | None = None) -> None:
        self.names = list(metrics or [])
        for name in self.names:
            if name not in IMAGE_METRICS:
                raise InputError(f"unknown metric {name!r}; expected some of {', '.join(IMAGE_METRICS)}")
        self.metrics: dict[str, Metric] = {}
        self.history: list[tuple[int, dict[str, float]]] = []

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.metrics = {name: IMAGE_METRICS[name]().to(module.device) for name in self.names}

    def on_validation_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Tensor, batch: Any, *_: Any
    ) -> None:
        for metric in self.metrics.values():
            metric.update(batch.image, outputs.float(), batch.label)

    def on_validation_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.sanity_checking and trainer.num_sanity_val_steps != float("inf"):
            return  # a few batches make no figure; num_sanity_val_steps: -1 looks at all
        values = self._figures(trainer)
        self.history.append((trainer.global_step, {name: float(value) for name, value in values.items()}))
        self.log_dict({f"val/{name}": value for name, value in values.items()}, sync_dist=True, prog_bar=True)

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

    def on_test_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.metrics = {}
        for name in self.names:
            self.metrics[name] = IMAGE_METRICS[name]().to(module.device)
            self.metrics[f"{name}_real"] = IMAGE_METRICS[name]().to(module.device)
        for metric in self.metrics.values():
            if hasattr(metric, "calibrate"):
                for batch in self._images(trainer, module, "val_dataloader"):
                    metric.calibrate(batch.image)
        self.real = self._images(trainer, module, "reference_dataloader")

    def on_test_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Tensor, batch: Any, *_: Any
    ) -> None:
        real = next(self.real, None)
        for name in self.names:
            self.metrics[name].update(batch.image, outputs.float(), batch.label)
            if real is not None:
                self.metrics[f"{name}_real"].update(batch.image, *(part[: len(batch.image)] for part in real))

    def on_test_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        values = {f"test/{name}": metric.compute().float() for name, metric in self.metrics.items()}
        self.log_dict(values, sync_dist=True)

    def _images(self, trainer: Trainer, module: LightningModule, loader: str) -> Any:
        """Batches of another loader of the DataModule, scaled and on the device."""
        data = trainer.datamodule
        for batch in getattr(data, loader)():
            batch = data.transfer_batch_to_device(batch, module.device, 0)
            yield data.on_after_batch_transfer(batch, 0)


class LogSamples(Callback):
    """A grid of samples from the same latents at each validation: a PNG beside the run, and ``val/samples`` in W&B.

    With classes, a column shows one class.

    Args:
        num: Images in the grid, without classes.
        seed: Seed of the latents.
    """

    def __init__(self, num: int = 64, seed: int = 0) -> None:
        self.num, self.seed = num, seed
        self.label: Tensor | None = None
        self.latest: Path | None = None

    def on_validation_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        if self.label is None and module.num_classes and batch.label.dim() == 2:
            self.label = batch.label[: self.num].float()

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        if not trainer.is_global_zero or trainer.state.fn != "fit" or trainer.fast_dev_run:
            return
        from torchvision.transforms.functional import to_pil_image
        from torchvision.utils import make_grid

        by_class = module.num_classes if module.num_classes and self.label is None else None
        num = len(self.label) if self.label is not None else by_class**2 if by_class else self.num
        images = module.sample(num, self.label, seed=self.seed)
        grid = make_grid(images.float().cpu(), by_class or 8, normalize=True, value_range=(-1, 1))
        grid = to_pil_image((grid * 255).round().byte())
        self.latest = run_folder(trainer) / "samples" / f"{trainer.global_step:08d}.png"
        self.latest.parent.mkdir(parents=True, exist_ok=True)
        grid.save(self.latest)
        if hasattr(trainer.logger, "log_image") and not trainer.sanity_checking:
            trainer.logger.log_metrics({"generator_updates": float(trainer.global_step)})
            trainer.logger.log_image("val/samples", [grid])  # a tensor would be stretched to the full range


class SavePredictions(Callback):
    """Writes what ``predict`` generates as numbered PNG files, which other tools can score."""

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        self.folder = run_folder(trainer) / "predictions"
        if stage == "predict" and self.folder.is_dir() and any(self.folder.iterdir()):
            raise InputError(
                f"{self.folder} holds files already, and the images of two models must not mix; move them away, or"
                " choose another folder with --trainer.default_root_dir DIR"
            )

    def on_predict_start(self, trainer: Trainer, module: LightningModule) -> None:
        trainer.strategy.barrier()  # no rank writes before all have looked
        self.folder.mkdir(parents=True, exist_ok=True)
        self.count = 0

    def on_predict_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Tensor, batch: Any, *_: Any
    ) -> None:
        from torchvision.utils import save_image

        for image in outputs.float().cpu():
            number = self.count * trainer.world_size + trainer.global_rank
            save_image(image, self.folder / f"{number:08d}.png", normalize=True, value_range=(-1, 1))
            self.count += 1

    def on_predict_end(self, trainer: Trainer, module: LightningModule) -> None:
        rank_zero_info(f"{self.count * trainer.world_size} images in {self.folder}")


class Throughput(Callback):
    """``perf/samples_per_second`` over all ranks, between two lines of the log and without waiting for the device."""

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.since, self.count = time.perf_counter(), 0

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.since, self.count = time.perf_counter(), 0

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, *_: Any) -> None:
        self.count += len(batch[0]) * trainer.world_size
        if (module.batches_seen + 1) % trainer.log_every_n_steps == 0:
            now = time.perf_counter()
            self.log("perf/samples_per_second", self.count / (now - self.since))
            self.since, self.count = now, 0


class NonFiniteLoss(InputError):
    """A loss became infinite or not a number."""


class StopAtNonFiniteLoss(Callback):
    """Stops the run at a loss that is not finite, and keeps it out of every checkpoint.

    On a CPU it looks after each batch; on accelerators, where looking means waiting, when a line of the log is due and
    before a checkpoint is written.
    """

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        each = trainer.world_size == 1 and module.device.type == "cpu"
        if each or (module.batches_seen + 1) % trainer.log_every_n_steps == 0:
            self.check(trainer, module)

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.check(trainer, module)
        # The gradient of a finite loss may overflow, which the next batch's loss would tell: too late for this file.
        for name, value in checkpoint["state_dict"].items():
            if value.is_floating_point() and not value.isfinite().all():
                where = f"the weights of {type(module).__name__} ({name}) are not finite after batch"
                raise NonFiniteLoss(self.message(trainer, f"{where} {module.batches_seen}"))

    def check(self, trainer: Trainer, module: LightningModule) -> None:
        """Raise where any rank has seen one."""
        first = trainer.strategy.reduce(module.nonfinite_batch.float(), reduce_op="max").tolist()
        bad = {player: int(batch) for player, batch in zip(module.players, first, strict=True) if batch >= 0}
        if not bad:
            return
        order = [p for p in module.update_order if p in bad] or list(bad)  # the first one infects the others
        player = min(order, key=bad.get)
        where = f"the loss of {type(module).__name__}'s {module.networks[player]} is not finite at batch {bad[player]}"
        raise NonFiniteLoss(self.message(trainer, where))

    def message(self, trainer: Trainer, where: str) -> str:
        """Say what was lost, what was kept, and what usually helps."""
        folders = {Path(callback.dirpath) for callback in trainer.checkpoint_callbacks if callback.dirpath}
        kept = [path for folder in folders for path in folder.glob("*.ckpt")]
        good = max(kept, key=lambda path: path.stat().st_mtime, default=None)
        return (
            f"{where}; stopped there. {f'The last good checkpoint is {good}' if good else 'No checkpoint was written'};"
            " a lower learning rate, or --trainer.precision 32 or bf16-mixed, usually helps"
        )


class StopOnSignal(Callback):
    """Ctrl-C and SIGTERM end the run after the current batch, on all ranks together, with a checkpoint to resume from.

    The process exits with 130 or 143, so that a scheduler knows that there is more to do. A second Ctrl-C stops at
    once.

    Args:
        every: Batches between two looks at the other ranks.
    """

    exit_codes: ClassVar[dict[int, int]] = {signal.SIGINT: 130, signal.SIGTERM: 143}

    def __init__(self, every: int = 16) -> None:
        self.every = every
        self.received = 0
        self.previous: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        for number in self.exit_codes:  # later than Lightning's own, which would save in the middle of a step
            self.previous[number] = signal.signal(number, self._receive)
        if trainer.received_sigterm:  # while everything was set up
            self.received = self.exit_codes[signal.SIGTERM]

    def _receive(self, number: int, frame: Any) -> None:
        self.received = self.exit_codes[number]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        rank_zero_info("\nStopping after this batch, with a checkpoint; Ctrl-C again stops at once, without one.")

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.world_size > 1 and (module.batches_seen + 1) % self.every:
            return
        code = self.received
        if trainer.world_size > 1:
            code = int(trainer.strategy.reduce(torch.tensor(float(code), device=module.device), reduce_op="max"))
        if code:
            path = run_folder(trainer) / "checkpoints" / "interrupted.ckpt"
            path = trainer.strategy.broadcast(path)
            trainer.save_checkpoint(path, weights_only=False)  # the optimizers' state too
            config = run_folder(trainer) / "config.yaml"
            options = f"lightning-gans fit --config {config}" if config.is_file() else "the same command and"
            resume = f"{options} --ckpt_path {path}"
            rank_zero_info(f"Stopped after {trainer.global_step} generator updates. Resume with: {resume}")
            raise SystemExit(code)

    def teardown(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}
