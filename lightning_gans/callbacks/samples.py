"""Pictures and sounds, speed, and the safety of a run: what happens around a paper's training step."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.nn.functional import pad

from lightning_gans.audio import write_wav
from lightning_gans.checkpoints import newest
from lightning_gans.compatibility import kind_of
from lightning_gans.errors import InputError
from lightning_gans.media import SHOWN, clips_picture, write_clips

IMAGES, CLIPS, UTTERANCES = 64, 8, 4
"""How many ``val/samples`` shows."""


def run_folder(trainer: Trainer) -> Path:
    """Where this run keeps its checkpoints, pictures and config."""
    logger = trainer.logger
    if logger is None:
        return Path(trainer.default_root_dir)
    if logger.log_dir:  # not with W&B
        return Path(logger.log_dir)
    return Path(logger.save_dir or trainer.default_root_dir, str(logger.name), str(logger.version))


class LogSamples(Callback):
    """Samples from the same latents at each validation: files beside the run, and ``val/samples`` in W&B.

    Images make one grid, where with classes a column shows one class. Sounds are wav files, with the classes in turn,
    and a picture of their waveforms and spectrograms, ``val/spectrograms`` in W&B.

    Vocoders make the first utterances of the validation set, of which the recordings are kept once, in the folder
    ``reference`` and as ``val/references`` in W&B. The picture shows them above what was generated.

    Args:
        num: How many, instead of 64 images, 8 clips or 4 utterances; image models with classes make a square of them
            all the same.
        seed: Seed of the latents. A vocoder's noise is that of its validation.
    """

    def __init__(self, num: int | None = None, seed: int = 0) -> None:
        if num is not None and num < 1:
            raise InputError(f"samples.num is {num}; expected at least 1")
        self.num, self.seed = num, seed
        self.label: Tensor | None = None
        self.latest: Path | None = None
        self.clips: Path | None = None
        self.pairs: list[tuple[Tensor, Tensor]] = []
        self.references: Path | None = None
        self.references_sent = False

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.pairs = []

    def on_validation_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        if kind_of(module) == "mel":
            if trainer.is_global_zero:
                pairs = zip(batch.audio.float().cpu(), outputs.float().cpu(), strict=True)
                self.pairs += list(pairs)[: (self.num or UTTERANCES) - len(self.pairs)]
        elif self.label is None and module.num_classes and batch.label.dim() == 2:
            self.label = batch.label[: self.num or IMAGES].float()

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        if not trainer.is_global_zero or trainer.state.fn != "fit" or trainer.fast_dev_run:
            return
        self.latest = run_folder(trainer) / "samples" / f"{trainer.global_step:08d}.png"
        self.latest.parent.mkdir(parents=True, exist_ok=True)
        logger = None if trainer.sanity_checking or not hasattr(trainer.logger, "log_image") else trainer.logger
        if logger:
            axes = {"generator_updates": float(trainer.global_step), "samples_seen": float(module.samples_seen)}
            logger.log_metrics(axes)
        show = {"image": self._images, "audio": self._sounds, "mel": self._utterances}[kind_of(module)]
        show(trainer, module, logger)

    def _images(self, trainer: Trainer, module: LightningModule, logger: Logger | None) -> None:
        from torchvision.transforms.functional import to_pil_image
        from torchvision.utils import make_grid

        by_class = module.num_classes if module.num_classes and self.label is None else None
        num = len(self.label) if self.label is not None else by_class**2 if by_class else self.num or IMAGES
        images = module.sample(num, self.label, seed=self.seed)
        grid = make_grid(images.float().cpu(), by_class or 8, normalize=True, value_range=(-1, 1))
        grid = to_pil_image((grid * 255).round().byte())
        grid.save(self.latest)
        if logger:
            logger.log_image("val/samples", [grid])  # a tensor would be stretched to the full range

    def _sounds(self, trainer: Trainer, module: LightningModule, logger: Logger | None) -> None:
        classes = module.num_classes or 0
        audio = module.sample(self.num or max(CLIPS, classes), seed=self.seed)
        self.clips = self.latest.with_suffix("")
        files = write_clips(self.clips, audio, module.sample_rate)
        picture = clips_picture(audio, module.sample_rate)
        picture.save(self.latest)
        if logger:
            names = getattr(trainer.datamodule, "class_names", None) or range(classes)
            captions = [f"{file.stem}: {names[i % classes]}" if classes else file.stem for i, file in enumerate(files)]
            logger.log_audio("val/samples", [str(file) for file in files], caption=captions)
            logger.log_image("val/spectrograms", [picture])

    def _utterances(self, trainer: Trainer, module: LightningModule, logger: Logger | None) -> None:
        if not self.pairs:
            return
        rate, (real, fake) = module.sample_rate, zip(*self.pairs, strict=True)
        self.clips = self.latest.with_suffix("")
        numbers = [f"{i:03d}" for i in range(len(self.pairs))]
        if self.references is None:
            self.references = self.latest.parent / "reference"
            write_clips(self.references, real, rate, numbers)
        files = write_clips(self.clips, fake, rate, [f"{number}_generated" for number in numbers])
        picture = clips_picture(in_columns(real, fake), rate, min(len(real), SHOWN // 2))
        picture.save(self.latest)
        if logger:
            if not self.references_sent:
                paths = [str(self.references / f"{number}.wav") for number in numbers]
                logger.log_audio("val/references", paths, caption=numbers)
                self.references_sent = True
            logger.log_audio("val/samples", [str(file) for file in files], caption=numbers)
            logger.log_image("val/spectrograms", [picture])


def in_columns(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Clips (1, T) of different lengths one below the other, (2 N, 1, T), with silence up to the longest.

    The first ones, where they are more than a picture shows.
    """
    shown = [*real[: SHOWN // 2], *fake[: SHOWN // 2]]
    longest = max(clip.shape[-1] for clip in shown)
    return torch.stack([pad(clip, (0, longest - clip.shape[-1])) for clip in shown])


class SavePredictions(Callback):
    """Writes what ``predict`` generates as numbered PNG or wav files, which other tools can score."""

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        self.folder = run_folder(trainer) / "predictions"
        self.sample_rate = getattr(module, "sample_rate", None)
        self.noun = "clips" if self.sample_rate else "images"
        if stage == "predict" and self.folder.is_dir() and any(self.folder.iterdir()):
            raise InputError(
                f"{self.folder} holds files already, and the {self.noun} of two models must not mix; move them away,"
                " or choose another folder with --trainer.default_root_dir DIR"
            )

    def on_predict_start(self, trainer: Trainer, module: LightningModule) -> None:
        trainer.strategy.barrier()  # no rank writes before all have looked
        self.folder.mkdir(parents=True, exist_ok=True)
        self.count = 0

    def on_predict_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Tensor, batch: Any, *_: Any
    ) -> None:
        from torchvision.utils import save_image

        for fake in outputs.float().cpu():
            path = self.folder / f"{self.count * trainer.world_size + trainer.global_rank:08d}"
            if self.sample_rate:
                write_wav(path.with_suffix(".wav"), fake, self.sample_rate)
            else:
                save_image(fake, path.with_suffix(".png"), normalize=True, value_range=(-1, 1))
            self.count += 1

    def on_predict_end(self, trainer: Trainer, module: LightningModule) -> None:
        rank_zero_info(f"{self.count * trainer.world_size} {self.noun} in {self.folder}")


class Throughput(Callback):
    """``perf/samples_per_second`` over all ranks, between two lines of the log and without waiting for the device.

    For sounds ``perf/audio_seconds_per_second`` too.
    """

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.since, self.count = time.perf_counter(), 0

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.since, self.count = time.perf_counter(), 0

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, *_: Any) -> None:
        self.count += len(batch[0]) * trainer.world_size
        if (module.batches_seen + 1) % trainer.log_every_n_steps == 0:
            now = time.perf_counter()
            speed = self.count / (now - self.since)
            self.log("perf/samples_per_second", speed)
            if getattr(module, "sample_rate", None):
                self.log("perf/audio_seconds_per_second", speed * batch.audio.shape[-1] / module.sample_rate)
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
        good = newest(*folders)
        return (
            f"{where}; stopped there. {f'The last good checkpoint is {good}' if good else 'No checkpoint was written'};"
            " a lower learning rate, or --trainer.precision 32 or bf16-mixed, usually helps"
        )


class StopOnSignal(Callback):
    """Ctrl-C, SIGTERM and SIGUSR1 end the run after the current batch, on all ranks, with a checkpoint to resume from.

    The process exits with 130, or with 143, so that a scheduler knows that there is more to do. A second Ctrl-C stops
    at once.

    Args:
        every: Batches between two looks at the other ranks.
    """

    exit_codes: ClassVar[dict[int, int]] = {signal.SIGINT: 130, signal.SIGTERM: 143}
    if hasattr(signal, "SIGUSR1"):  # not on Windows
        exit_codes[signal.SIGUSR1] = 143

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
