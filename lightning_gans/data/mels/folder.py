"""Any folder of sound files, for vocoders; with mels beside them or without."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from lightning_gans.data.audio.sounds import SUFFIXES, Sounds
from lightning_gans.data.base import SKIP, OnBadFile, require_choice
from lightning_gans.data.files import files_below, walk
from lightning_gans.data.mels.base import MelDataModule
from lightning_gans.data.mels.files import Mels, read_mels
from lightning_gans.data.splits import require_splits, split_files
from lightning_gans.errors import InputError


class MelFolder(MelDataModule):
    """The sound files in ``root/folder`` and its sub-folders, of any format that soundfile reads, decoded once.

    Several channels are averaged, other sample rates are resampled to that of the mel. Files that are no sound, cut
    short, empty or silent are errors, or left out with a note.

    With ``mel_suffix``, the mels come from files beside the sounds, such as those that a text-to-speech system predicts
    for them: ``a.npy`` beside ``a.wav``, floats of shape (L, M) or (M, L), in the convention of ``mel`` and not
    normalized by statistics. They are read as they are, so that nothing that changes the sound goes with them, and
    training files shorter than a crop are always left out.

    Held-out files: those that ``val_pattern`` and ``test_pattern`` find. Without ``val_pattern``, the files with the
    smallest SHA-256 hashes of their paths are the validation set; without ``test_pattern``, it is the test set too.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        folder: The sounds' folder, relative to ``root``; patterns are searched in paths relative to it.
        mel_suffix: Ending of the mel files' names, in place of the sounds', such as ``.npy``.
        validation: Share of the files held out without a ``val_pattern``; 0 validates on the training files.
        on_bad_file: What to do with files that cannot be used: ``error``, or ``skip`` with a note.
        options: As ``MelDataModule``.
    """

    way_out = SKIP

    def __init__(
        self,
        root: str | None = None,
        *,
        folder: str = ".",
        mel_suffix: str | None = None,
        validation: float = 0.1,
        on_bad_file: OnBadFile = "error",
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        require_splits({}, validation)
        require_choice("on_bad_file", on_bad_file, "error", "skip")
        if mel_suffix is not None:
            if not mel_suffix.endswith(".npy"):
                raise InputError(f"mel_suffix is {mel_suffix!r}; expected an ending such as .npy or _mel.npy")
            changes = {"normalize peak_file": self.peak, "gain": self.gain, "trim_silence": self.trim_silence}
            if clash := [name for name, value in changes.items() if value]:
                raise InputError(
                    f"{' and '.join(clash)} would change the sound and not its mel file; leave it out, or leave out"
                    " mel_suffix to make the mels from the sound"
                )
        self.save_hyperparameters(logger=False)
        self.folder, self.mel_suffix = folder, mel_suffix
        self.validation, self.on_bad_file = validation, on_bad_file

    def _rows(self, names: list[str]) -> dict[str, np.ndarray]:
        return split_files(names, self.patterns, self.validation)

    def _files(self) -> tuple[Path, dict[str, tuple[int, int]]]:
        return self.root / self.folder, files_below(self.root, self.folder, SUFFIXES, "sound file")

    def _mels(self, folder: Path, sounds: Sounds) -> tuple[Sounds, Mels | None]:
        if self.mel_suffix is None:
            return sounds, None
        path = {name: str(PurePosixPath(name).with_suffix("")) + self.mel_suffix for name in sounds.names}
        there = walk(folder, (".npy",))
        mels = read_mels(folder, {p: there[p] for p in path.values() if p in there}, self.mel.n_mels)
        length = dict(zip(mels.names, mels.length.tolist(), strict=True))
        broken = {}
        for name, samples in zip(sounds.names, sounds.length.tolist(), strict=True):
            mel, expected = path[name], self.mel.frames(samples)
            if mel not in there:
                broken[name] = f"there is no {mel} beside it"
            elif mel in mels.broken:
                broken[name] = f"{mel}: {mels.broken[mel]}"
            elif abs(length[mel] - expected) > 1:
                broken[name] = (
                    f"{mel} has {length[mel]} frames, {samples} samples at {self.sample_rate} Hz make {expected} of"
                    f" {self.mel.hop_length}"
                )
        sounds = sounds.without(broken)
        return sounds, mels.of([path[name] for name in sounds.names])
