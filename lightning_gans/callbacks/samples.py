"""Samples of each validation, to look at and to listen to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Callback
from lightning.pytorch.utilities import rank_zero_warn
from PIL.Image import Image
from torch import Tensor
from torch.nn.functional import pad

from lightning_gans.callbacks.media import SHOWN, clips_picture, write_clips
from lightning_gans.callbacks.run_folder import run_folder
from lightning_gans.errors import one_line
from lightning_gans.files.writing import Unwritable, written
from lightning_gans.ranges import PositiveInt, Ranged
from lightning_gans.training.compatibility import kind_of

IMAGES, CLIPS, UTTERANCES = 64, 8, 4
"""How many ``val/samples`` shows."""


class LogSamples(Ranged, Callback):
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

    def __init__(self, num: PositiveInt | None = None, seed: int = 0) -> None:
        self.num, self.seed = num, seed
        self.label: Tensor | None = None
        self.latest: Path | None = None
        self.clips: Path | None = None
        self.pairs: list[tuple[Tensor, Tensor]] = []
        self.references: list[str] = []
        self.references_sent = False

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        self.pairs = []

    def on_validation_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, *_: Any) -> None:
        if kind_of(module) == "mel":
            if trainer.is_global_zero:
                pairs = zip(batch.audio.float().cpu(), outputs.float().cpu(), strict=True)
                self.pairs += list(pairs)[: (self.num or UTTERANCES) - len(self.pairs)]
        elif self.label is None and module.num_classes and batch.label.dim() == 2:
            self.label = batch.label[: self.num or IMAGES].float()

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        if not trainer.is_global_zero or trainer.state.fn != "fit" or trainer.fast_dev_run:
            return
        logger = None if trainer.sanity_checking or not hasattr(trainer.logger, "log_image") else trainer.logger
        if logger:
            axes = {"generator_updates": float(trainer.global_step), "samples_seen": float(module.samples_seen)}
            logger.log_metrics(axes)
        try:
            self._show(run_folder(trainer) / "samples" / f"{trainer.global_step:08d}.png", trainer, module, logger)
        except (Unwritable, OSError) as error:  # OSError: of W&B, which has copies
            rank_zero_warn(f"training goes on without its samples of now: {one_line(error)}")

    def _show(self, path: Path, trainer: Any, module: Any, logger: Any) -> None:
        kind = kind_of(module)
        if kind == "image":
            self._images(path, module, logger)
        elif kind == "audio":
            self._sounds(path, module, logger, getattr(trainer.datamodule, "class_names", None))
        elif self.pairs:
            self._utterances(path, module.sample_rate, logger)

    def _images(self, path: Path, module: Any, logger: Any) -> None:
        from torchvision.transforms.functional import to_pil_image
        from torchvision.utils import make_grid

        by_class = module.num_classes if module.num_classes and self.label is None else None
        num = len(self.label) if self.label is not None else by_class**2 if by_class else self.num or IMAGES
        images = module.sample(num, self.label, seed=self.seed)
        grid = make_grid(images.float().cpu(), by_class or 8, normalize=True, value_range=(-1, 1))
        grid = to_pil_image((grid * 255).round().byte())
        self._write(path, grid)
        if logger:
            logger.log_image("val/samples", [grid])  # a tensor would be stretched to the full range

    def _sounds(self, path: Path, module: Any, logger: Any, class_names: Sequence[str] | None) -> None:
        classes = module.num_classes or 0
        audio = module.sample(self.num or max(CLIPS, classes), seed=self.seed)
        numbers = [f"{i:03d}" for i in range(len(audio))]
        names = class_names or [str(i) for i in range(classes)]
        captions = [f"{number}: {names[i % classes]}" if classes else number for i, number in enumerate(numbers)]
        picture = clips_picture(audio, module.sample_rate)
        self._keep(path, audio, picture, module.sample_rate, logger, numbers, captions)

    def _utterances(self, path: Path, rate: int, logger: Any) -> None:
        real, fake = zip(*self.pairs, strict=True)
        numbers = [f"{i:03d}" for i in range(len(self.pairs))]
        if not self.references:
            self.references = [str(file) for file in write_clips(path.parent / "reference", real, rate, numbers)]
        if logger and not self.references_sent:
            logger.log_audio("val/references", self.references, caption=numbers)
            self.references_sent = True
        picture = clips_picture(in_columns(real, fake), rate, min(len(real), SHOWN // 2))
        self._keep(path, fake, picture, rate, logger, [f"{number}_generated" for number in numbers], numbers)

    def _keep(
        self, path: Path, audio: Any, picture: Image, rate: int, logger: Any, names: list[str], captions: list[str]
    ) -> None:
        """Write clips into the folder beside the picture, and both to W&B."""
        files = [str(file) for file in write_clips(path.with_suffix(""), audio, rate, names)]
        self.clips = path.with_suffix("")
        self._write(path, picture)
        if logger:
            logger.log_audio("val/samples", files, caption=captions)
            logger.log_image("val/spectrograms", [picture])

    def _write(self, path: Path, picture: Image) -> None:
        with written(path) as file:
            picture.save(file, "PNG")
        self.latest = path


def in_columns(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Clips (1, T) of different lengths one below the other, (2 N, 1, T), with silence up to the longest.

    The first ones, where they are more than a picture shows.
    """
    shown = [*real[: SHOWN // 2], *fake[: SHOWN // 2]]
    longest = max(clip.shape[-1] for clip in shown)
    return torch.stack([pad(clip, (0, longest - clip.shape[-1])) for clip in shown])
