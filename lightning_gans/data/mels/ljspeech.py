"""The LJ Speech Dataset (Ito & Johnson 2017, https://keithito.com/LJ-Speech-Dataset), public domain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lightning_gans.data.files import Stamps, missing, walk
from lightning_gans.data.mels.folder import MelFolder
from lightning_gans.errors import InputError

CLIPS = 13_100
HELD_OUT = 250
"""Of validation, and of test, in kan-bayashi's recipes: the last 500 clips by name, the second half for the test."""
NAME = "LJSpeech-1.1"


class LJSpeech(MelFolder):
    """24 hours of one English speaker reading, 22050 Hz, 13,100 clips of 1 to 10 seconds.

    Looked for in ``LJSpeech-1.1/wavs`` (torchaudio's layout) of ``root`` and in ``wavs``; where there is none,
    torchaudio downloads the 2.7 GB into the first.

    Of the complete set, the last 250 clips by name are for testing, the 250 before them for validation, the others for
    training. Patterns split it otherwise, and say how a part of it is split.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        complete: True insists on all 13,100 clips; False takes those that are there, and needs a ``val_pattern``.
        options: Of ``MelFolder``; patterns are searched in names such as ``LJ001-0001.wav``.
    """

    download_size = 2_800_000_000

    def __init__(self, root: str | None = None, *, complete: bool = True, **options: Any) -> None:
        super().__init__(root, **options)
        given = [*self.patterns.given(), *([] if complete else ["complete"])]
        if given and self.patterns.val is None:
            reason = "complete is false" if given == ["complete"] else f"{given[0]}_pattern is given"
            raise InputError(f"{reason}, so that the official clips are not held out; give --data.val_pattern too")
        self.complete = complete

    def prepare_data(self) -> None:
        """Download where nothing is there, and fill the cache, on one process."""
        self._located(download=True)
        super().prepare_data()

    def _files(self) -> tuple[Path, Stamps]:
        folder = self._located()
        stamps = walk(folder, (".wav",))
        if not stamps or (self.complete and len(stamps) != CLIPS):
            raise InputError(
                f"{folder} has {len(stamps):,} clips; expected {CLIPS:,}; fetch it again, or take what is there with"
                " --data.complete false and a --data.val_pattern"
            )
        return folder, stamps

    def _rows(self, names: list[str]) -> dict[str, np.ndarray]:
        if self.patterns.given():
            return super()._rows(names)
        train, val, test = np.split(np.arange(len(names)), (-2 * HELD_OUT, -HELD_OUT))  # of sorted names
        return {"train": train, "val": val, "test": test}

    def _find(self) -> Path | None:
        return next((folder for folder in (self.path / NAME / "wavs", self.path / "wavs") if folder.is_dir()), None)

    def _missing(self) -> str:
        archive = "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2"
        brings = f", or connect to the network once to download {archive}"
        return missing("LJ Speech", f"the folder {NAME}/wavs or wavs", self.path, brings)

    def _download(self) -> None:
        from torchaudio.datasets import LJSPEECH  # extracts, and checks the archive's SHA-256

        LJSPEECH(str(self.path), download=True)
