"""SC09: the ten digits of Speech Commands (Warden 2018, https://arxiv.org/abs/1804.03209), CC BY 4.0."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_gans.data.audio.base import AudioDataModule
from lightning_gans.data.audio.slicing import AudioClips
from lightning_gans.data.base import require_choice
from lightning_gans.data.files import missing, walk
from lightning_gans.errors import InputError

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
OFFICIAL = {
    "v0.01": {"train": 18_620, "val": 2_494, "test": 2_552},
    "v0.02": {"train": 31_158, "val": 3_643, "test": 4_107},
}
"""Files of the ten digits in each split. The two versions are not comparable: WaveGAN's paper used v0.01."""
LISTS = {"val": "validation_list.txt", "test": "testing_list.txt"}


class SC09(AudioDataModule):
    """Spoken digits, one per clip of at most a second; each is followed by zeros.

    Looked for in ``root/SpeechCommands/speech_commands_v0.0X`` (torchaudio's layout), in
    ``root/speech_commands_v0.0X``, and in ``root``; where there are none, torchaudio downloads all 35 words (30 in
    v0.01) into the first. The official lists say which files are for validation and testing; the rest is for training.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        version: Of Speech Commands.
        complete: False takes the files that are there; True insists on the official number of each split.
        options: As ``AudioDataModule``; the files have 16 kHz and one channel.
    """

    num_classes = 10
    class_names = WORDS

    def __init__(
        self,
        root: str | None = None,
        *,
        version: Literal["v0.01", "v0.02"] = "v0.02",
        complete: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        require_choice("version", version, *OFFICIAL)
        self.save_hyperparameters(logger=False)
        self.version, self.complete = version, complete
        self.folder_name = f"speech_commands_{version}"

    def prepare_data(self) -> None:
        """Download where nothing is there, and fill the cache, on one process."""
        self._located(download=True)
        folder, stamps, _ = self._files()
        self._decoded(folder, stamps)

    def _load(self) -> dict[str, AudioClips]:
        folder, stamps, rows = self._files()
        sounds = self._decoded(folder, stamps)
        sounds.report(folder)
        label = torch.tensor([WORDS.index(name.split("/")[0]) for name in sounds.names])
        if not self.complete:
            there = ", ".join(f"{len(of_split)} {split}" for split, of_split in rows.items())
            rank_zero_info(f"SC09 {self.version}: not the complete set, but the files of {folder}: {there}")
        return self._split(sounds, label, rows, "first")

    def _find(self) -> Path | None:
        for folder in (self.root / "SpeechCommands" / self.folder_name, self.root / self.folder_name, self.root):
            if any((folder / word).is_dir() for word in WORDS):
                return folder
        return None

    def _files(self) -> tuple[Path, dict[str, tuple[int, int]], dict[str, np.ndarray]]:
        """The folder, size and time of its digits, and the rows of each split."""
        folder = self._located()
        stamps = {
            f"{word}/{name}": stamp
            for word in WORDS
            if (folder / word).is_dir()
            for name, stamp in walk(folder / word, (".wav",)).items()
        }
        listed = {name: split for split, file in LISTS.items() for name in _read_list(folder / file)}
        split_of = np.array([listed.get(name, "train") for name in stamps])
        expected = OFFICIAL[self.version]
        rows = {split: np.flatnonzero(split_of == split) for split in expected}
        counts = {split: len(of_split) for split, of_split in rows.items()}
        if self.complete and counts != expected:
            raise InputError(
                f"{folder} has {_listed(counts)} files of the ten digits; expected {_listed(expected)} in"
                f" {self.version}; fetch it again, name another version with --data.version, or take what is there with"
                " --data.complete false"
            )
        return folder, stamps, rows

    def _missing(self) -> str:
        name = self.folder_name
        looked_for = f"the folders zero to nine in SpeechCommands/{name}, in {name} and in the folder itself"
        archive = f"http://download.tensorflow.org/data/{name}.tar.gz"
        brings = f", or connect to the network once to download {archive}"
        return missing(f"Speech Commands {self.version}", looked_for, self.root, brings)

    def _download(self) -> None:
        from torchaudio.datasets import SPEECHCOMMANDS  # extracts, and checks the archive's SHA-256

        SPEECHCOMMANDS(str(self.root), url=self.folder_name, download=True)


def _read_list(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); it comes with Speech Commands, fetch it again") from error


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in counts.items())
