"""Any folder of sound files."""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor

from lightning_gans.data.audio.base import AudioDataModule
from lightning_gans.data.audio.slicing import AudioClips, Slicing, choose_slicing
from lightning_gans.data.audio.sounds import SUFFIXES, Sounds
from lightning_gans.data.base import SKIP, OnBadFile, require_choice
from lightning_gans.data.files import class_indices, files_below, first_names, folder_classes
from lightning_gans.data.splits import only_split, require_pattern, require_splits, split_files
from lightning_gans.errors import InputError


class AudioFolder(AudioDataModule):
    """The sound files in ``root/folder`` and its sub-folders, of any format that soundfile reads, decoded once.

    Labels: what ``label_pattern`` finds in the paths, if given; else classes, if all files lie in two or more
    sub-folders, which name them; else zeros, with ``num_classes`` None. ``num_classes`` is known after ``setup``.

    Held-out files: those that ``val_pattern`` and ``test_pattern`` find. Without ``val_pattern``, the files with the
    smallest SHA-256 hashes of their paths are the validation set; without ``test_pattern``, it is the test set too.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        folder: The sounds' folder, relative to ``root``.
        slicing: ``first`` takes the beginning of each file, ``random`` a clip of each that is drawn anew in each
            epoch (shorter files are followed by zeros), ``consecutive`` all clips a hop apart. ``auto`` takes
            ``first`` where at least 90 % of the files fit into a clip, else ``consecutive`` where at least half of them
            hold two clips or more, else ``random``.
        overlap: Share of a consecutive clip that the next one repeats.
        pad_end: Fill up the last consecutive clip of a file with zeros; without it, the short tail is dropped.
        label_pattern: Regular expression, searched in the path relative to the folder; its first group is the class.
        train_pattern: Regular expression that finds the training files by their relative paths; all that are not held
            out when not given.
        val_pattern: The same for the validation files.
        test_pattern: The same for the test files.
        validation: Share of the files held out without a ``val_pattern``; 0 validates on the training files.
        on_bad_file: What to do with files that are no sound, empty or cut short: ``error``, or ``skip`` with a note.
        options: As ``AudioDataModule``.
    """

    def __init__(
        self,
        root: str | None = None,
        *,
        folder: str = ".",
        slicing: Literal["auto"] | Slicing = "auto",
        overlap: float = 0.0,
        pad_end: bool = False,
        label_pattern: str | None = None,
        train_pattern: str | None = None,
        val_pattern: str | None = None,
        test_pattern: str | None = None,
        validation: float = 0.1,
        on_bad_file: OnBadFile = "error",
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        length = self.audio_shape[1]
        require_choice("slicing", slicing, "auto", "first", "random", "consecutive")
        if not 0 <= overlap < 1 or round(length * (1 - overlap)) < 1:
            raise InputError(f"overlap is {overlap}; expected a share of at least 0 and below 1")
        self.patterns = dict(train_pattern=train_pattern, val_pattern=val_pattern, test_pattern=test_pattern)
        require_splits(self.patterns, validation)
        require_choice("on_bad_file", on_bad_file, "error", "skip")
        require_pattern("label_pattern", label_pattern, groups=True)
        self.save_hyperparameters(logger=False)
        self.folder, self.slicing, self.label_pattern = folder, slicing, label_pattern
        self.hop, self.pad_end = round(length * (1 - overlap)), pad_end
        self.validation, self.on_bad_file = validation, on_bad_file

    def prepare_data(self) -> None:
        """Fill the cache on one process, so that the others find it."""
        self._sounds()

    def _load(self) -> dict[str, AudioClips]:
        sounds, folder = self._sounds(), self.root / self.folder
        sounds.report(folder, self.on_bad_file, SKIP)
        label, classes = self._label(sounds.names)
        if classes:
            self.num_classes, self.class_names = len(classes), classes
        slicing, why = self.slicing, "as asked for"
        if slicing == "auto":
            slicing, why = choose_slicing(sounds.length, self.audio_shape[1])
        splits = self._split(sounds, label, self._rows(sounds.names), slicing, hop=self.hop, pad_end=self.pad_end)
        listed = ", ".join(f"{len(clips)} {split}" for split, clips in splits.items())
        without = len(sounds.names) - sum(len(np.unique(clips.file)) for clips in splits.values())
        short = f" ({without} files are shorter than a clip and give none)" if without else ""
        rank_zero_info(
            f"{folder}: {len(sounds.names)} files, {sounds.hours():.2f} h; slicing {slicing}, {why}; clips:"
            f" {listed}{short}"
        )
        return splits

    def _rows(self, names: list[str]) -> dict[str, np.ndarray]:
        return split_files(names, self.patterns, self.validation)

    def _sounds(self) -> Sounds:
        """The files of the splits, decoded; what needs no decoding is checked first."""
        stamps = files_below(self.root, self.folder, SUFFIXES, "sound file")
        used = only_split(stamps, self._rows(list(stamps)))
        self._label(list(used))
        return self._decoded(self.root / self.folder, used)

    def _label(self, names: list[str]) -> tuple[Tensor, list[str] | None]:
        """(N,) class indices, and the names of the classes."""
        pattern = self.label_pattern
        if pattern is None:
            return folder_classes(names)
        found = {name: match[1] for name in names if (match := re.search(pattern, name)) and match[1]}
        lost = [name for name in names if name not in found]
        if lost:
            raise InputError(
                f"label_pattern {pattern!r} finds no class in {len(lost)} of {len(names)} files: {first_names(lost)};"
                " change the pattern, or remove these files"
            )
        return class_indices(list(found.values()))
