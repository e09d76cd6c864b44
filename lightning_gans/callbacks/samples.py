"""Pictures and sounds, speed, and the safety of a run: what happens around a paper's training step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from torch import Tensor
from torch.nn.functional import pad

from lightning_gans.callbacks.media import SHOWN, clips_picture, write_clips
from lightning_gans.callbacks.run_folder import run_folder
from lightning_gans.errors import InputError
from lightning_gans.training.compatibility import kind_of

IMAGES, CLIPS, UTTERANCES = 64, 8, 4
"""How many ``val/samples`` shows."""


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
