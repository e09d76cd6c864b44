"""What ``predict`` generates, as files."""

from __future__ import annotations

from typing import Any

from lightning import Callback
from lightning.pytorch.utilities import rank_zero_info

from lightning_gans.audio.files import write_wav
from lightning_gans.callbacks.run_folder import run_folder
from lightning_gans.errors import InputError
from lightning_gans.files.writing import written


class SavePredictions(Callback):
    """Writes what ``predict`` generates as numbered PNG or wav files, which other tools can score."""

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        self.folder = run_folder(trainer) / "predictions"
        self.sample_rate = getattr(module, "sample_rate", None)
        self.noun = "clips" if self.sample_rate else "images"
        if stage == "predict" and self.folder.is_dir() and any(self.folder.iterdir()):
            raise InputError(
                f"{self.folder} holds files already, and the {self.noun} of two models must not mix; move them away,"
                " or choose another folder with --trainer.default_root_dir DIR"
            )

    def on_predict_start(self, trainer: Any, module: Any) -> None:
        trainer.strategy.barrier()  # no rank writes before all have looked
        self.count = 0

    def on_predict_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, *_: Any) -> None:
        from torchvision.utils import save_image

        for fake in outputs.float().cpu():
            path = self.folder / f"{self.count * trainer.world_size + trainer.global_rank:08d}"
            if self.sample_rate:
                write_wav(path.with_suffix(".wav"), fake, self.sample_rate)
            else:
                with written(path.with_suffix(".png")) as file:
                    save_image(fake, file, "png", normalize=True, value_range=(-1, 1))
            self.count += 1

    def on_predict_end(self, trainer: Any, module: Any) -> None:
        trainer.strategy.barrier()  # all ranks have written theirs
        rank_zero_info(f"{len([*self.folder.iterdir()])} {self.noun} in {self.folder}")
