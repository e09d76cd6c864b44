"""The LJ Speech Dataset (Ito & Johnson 2017, https://keithito.com/LJ-Speech-Dataset), public domain."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from lightning_gans.data.audio.sounds import Sounds
from lightning_gans.data.base import download_once, missing
from lightning_gans.data.files import walk
from lightning_gans.data.mels.base import MelDataModule
from lightning_gans.data.splits import held_out, require_held_out
from lightning_gans.errors import InputError

CLIPS = 13_100
HELD_OUT = 250
"""Of validation, and of test, in kan-bayashi's recipes: the last 500 clips by name, the second half for the test."""
NAME = "LJSpeech-1.1"


class LJSpeech(MelDataModule):
    """24 hours of one English speaker reading, 22050 Hz, 13,100 clips of 1 to 10 seconds.

    Looked for in ``root/LJSpeech-1.1/wavs`` (torchaudio's layout) and in ``root/wavs``; where there is none, torchaudio
    downloads the 2.7 GB into the first.

    Of the complete set, the last 250 clips by name are for testing, the 250 before them for validation, the others for
    training. Of a part of it, ``val_pattern`` and ``test_pattern`` say which clips are.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        complete: True insists on all 13,100 clips; False takes those that are there, and needs a ``val_pattern``.
        mel: The convention of the mels: a name, or a mapping with a name and the fields that differ from it.
        crop: T, samples of a training crop; a multiple of the hop.
        context: Frames that the mel has beyond either end of the audio.
        normalize: ``peak_file`` scales each clip so that its loudest sample is ``peak``.
        peak: In (0, 1].
        gain: Bounds of a uniform gain of training crops, such as [0.3, 1.0]; none when not given.
        trim_silence: Cut off both ends of each clip as far as they are 60 dB below its loudest frame.
        val_pattern: Regular expression that finds the validation clips by name; the official ones when not given.
        test_pattern: The same for the test; the validation clips when only ``val_pattern`` is given.
        short: Training clips shorter than a crop: ``pad`` puts zeros behind them, ``skip`` leaves them out.
        crops_per_file: In each epoch.
        batch_size: Training crops per step and process.
        num_workers: Loader processes; 0 is fastest, since decoding is done once.
    """

    def __init__(
        self,
        root: str | None = None,
        complete: bool = True,
        mel: str | dict[str, Any] = "parallel_wavegan",
        crop: int = 25600,
        context: int = 0,
        normalize: Literal["none", "peak_file"] = "none",
        peak: float = 0.95,
        gain: tuple[float, float] | None = None,
        trim_silence: bool = False,
        val_pattern: str | None = None,
        test_pattern: str | None = None,
        short: Literal["pad", "skip"] = "pad",
        crops_per_file: int = 1,
        batch_size: int = 6,
        num_workers: int = 0,
    ) -> None:
        super().__init__(
            root,
            mel,
            crop,
            context,
            normalize,
            peak,
            gain,
            trim_silence,
            short,
            crops_per_file,
            batch_size,
            num_workers,
        )
        require_held_out(val_pattern, test_pattern, 0)
        if val_pattern is None and (test_pattern is not None or not complete):
            given = "complete is false" if not complete else "test_pattern is given"
            raise InputError(f"{given}, so that the official clips are not those held out; give --data.val_pattern too")
        self.save_hyperparameters(logger=False)

    def prepare_data(self) -> None:
        """Download where nothing is there, and fill the cache, on one process."""
        if self._find() is None:
            download_once(self.root, lambda: download(self.root), self._missing())
        super().prepare_data()

    def _find(self) -> Path | None:
        return next((folder for folder in (self.root / NAME / "wavs", self.root / "wavs") if folder.is_dir()), None)

    def _files(self) -> tuple[Path, Sounds, None]:
        folder = self._find()
        if folder is None:
            raise InputError(self._missing())
        stamps = walk(folder, (".wav",))
        if not stamps or (self.hparams.complete and len(stamps) != CLIPS):
            raise InputError(
                f"{folder} has {len(stamps):,} clips; expected {CLIPS:,}; fetch it again, or take what is there with"
                " --data.complete false and a --data.val_pattern"
            )
        self._parts(list(stamps))
        return folder, self._decoded(folder, stamps), None

    def _parts(self, names: list[str]) -> dict[str, np.ndarray]:
        h = self.hparams
        if h.val_pattern is not None:
            return held_out(names, h.val_pattern, h.test_pattern, 0)
        train, val, test = np.split(np.arange(len(names)), (-2 * HELD_OUT, -HELD_OUT))  # of sorted names
        return {"train": train, "val": val, "test": test}

    def _missing(self) -> str:
        return missing(
            "LJ Speech",
            f"the folder {NAME}/wavs or wavs",
            self.root,
            ", or connect to the network once to download https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
        )


def download(root: Path) -> None:
    """Fetch and extract with torchaudio, which checks the archive's SHA-256."""
    from torchaudio.datasets import LJSPEECH

    LJSPEECH(str(root), download=True)
