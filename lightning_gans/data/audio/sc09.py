"""SC09: the ten digits of Speech Commands (Warden 2018, https://arxiv.org/abs/1804.03209), CC BY 4.0."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lightning_gans.data.audio.folder import AudioFolder
from lightning_gans.data.audio.slicing import Slicing
from lightning_gans.data.base import require_choice
from lightning_gans.data.files import Stamps, missing, walk
from lightning_gans.errors import InputError
from lightning_gans.files.documents import read_text

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
OFFICIAL = {
    "v0.01": {"train": 18_620, "val": 2_494, "test": 2_552},
    "v0.02": {"train": 31_158, "val": 3_643, "test": 4_107},
}
"""Files of the ten digits in each split. The two versions are not comparable: WaveGAN's paper used v0.01."""
LIST = 2**24
"""Bytes of a list; the longer one has half a megabyte."""
LISTS = {"val": "validation_list.txt", "test": "testing_list.txt"}


class SC09(AudioFolder):
    """Spoken digits, one per clip of at most a second; each is followed by zeros.

    Looked for in ``SpeechCommands/speech_commands_v0.0X`` (torchaudio's layout), in ``speech_commands_v0.0X`` and in
    ``root`` itself; where there are none, torchaudio downloads all 35 words (30 in v0.01) into the first. The official
    lists say which files are for validation and testing, unless patterns do; the rest is for training.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        version: Of Speech Commands.
        complete: False takes the files that are there; True insists on the official number of each split.
        slicing: As in ``AudioFolder``.
        options: Of ``AudioFolder``. The files have 16 kHz and one channel.
    """

    num_classes = 10
    class_names = WORDS
    download_size = 2_500_000_000

    def __init__(
        self,
        root: str | None = None,
        *,
        version: Literal["v0.01", "v0.02"] = "v0.02",
        complete: bool = True,
        slicing: Literal["auto"] | Slicing = "first",
        **options: Any,
    ) -> None:
        super().__init__(root, slicing=slicing, **options)
        require_choice("version", version, *OFFICIAL)
        self.version, self.complete = version, complete

    def prepare_data(self) -> None:
        """Download where nothing is there, and fill the cache, on one process."""
        self._located(download=True)
        super().prepare_data()

    def _files(self) -> tuple[Path, Stamps]:
        folder = self._located()
        there = [word for word in WORDS if (folder / word).is_dir()]
        stamps = {f"{word}/{name}": s for word in there for name, s in walk(folder / word, (".wav",)).items()}
        found, expected = self._listed(list(stamps)), OFFICIAL[self.version]
        if self.complete and any(len(found[split]) != count for split, count in expected.items()):
            there_are = ", ".join(f"{len(rows):,} {split}" for split, rows in found.items())
            there_were = ", ".join(f"{count:,} {split}" for split, count in expected.items())
            raise InputError(
                f"{folder} has {there_are} files of the ten digits; expected {there_were} in {self.version}; fetch it"
                " again, name another version with --data.version, or take what is there with --data.complete false"
            )
        return folder, stamps

    def _rows(self, names: list[str]) -> dict[str, np.ndarray]:
        return super()._rows(names) if self.patterns.given() else self._listed(names)

    def _listed(self, names: list[str]) -> dict[str, np.ndarray]:
        """The rows of each split's files, by the official lists."""
        split_of: dict[str, str] = {}
        for split, file in LISTS.items():
            text = read_text(self._located() / file, LIST, "fetch Speech Commands again")
            split_of |= dict.fromkeys(text.split(), split)
        splits = np.array([split_of.get(name, "train") for name in names])
        return {split: np.flatnonzero(splits == split) for split in OFFICIAL[self.version]}

    def _label(self, names: list[str]) -> tuple[Tensor, list[str] | None]:
        if self.label_pattern is not None:
            return super()._label(names)
        return torch.tensor([WORDS.index(name.split("/")[0]) for name in names]), WORDS

    def _find(self) -> Path | None:
        name = f"speech_commands_{self.version}"
        for folder in (self.path / "SpeechCommands" / name, self.path / name, self.path):
            if any((folder / word).is_dir() for word in WORDS):
                return folder
        return None

    def _missing(self) -> str:
        name = f"speech_commands_{self.version}"
        looked_for = f"the folders zero to nine in SpeechCommands/{name}, in {name} and in the folder itself"
        archive = f"http://download.tensorflow.org/data/{name}.tar.gz"
        brings = f", or connect to the network once to download {archive}"
        return missing(f"Speech Commands {self.version}", looked_for, self.path, brings)

    def _download(self) -> None:
        from torchaudio.datasets import SPEECHCOMMANDS  # extracts, and checks the archive's SHA-256

        SPEECHCOMMANDS(str(self.path), url=f"speech_commands_{self.version}", download=True)
