"""Any folder of sound files."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor

from lightning_gans.data.audio.base import SKIP, AudioDataModule, Normalize, report
from lightning_gans.data.audio.slicing import AudioClips, Slicing, choose_slicing
from lightning_gans.data.audio.sounds import SUFFIXES, Sounds
from lightning_gans.data.base import missing
from lightning_gans.data.files import first_names, folder_classes, walk
from lightning_gans.data.splits import held_out, require_held_out, require_pattern
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
        length: T, samples of a clip.
        sample_rate: In Hz; other files are resampled.
        channels: 1 for mono (the mean of the channels), 2 for stereo (mono files are doubled).
        slicing: ``first`` takes the beginning of each file, ``random`` a window of each that is drawn anew in each
            epoch (shorter files are followed by zeros), ``consecutive`` all windows a hop apart. ``auto`` takes
            ``first`` where at least 90 % of the files fit into a clip, else ``consecutive`` where at least half of them
            hold two clips or more, else ``random``.
        overlap: Share of a consecutive window that the next one repeats.
        pad_end: Fill up the last consecutive window of a file with zeros; without it, the short tail is dropped.
        normalize: ``peak_file`` scales each file so that its loudest sample is 1, ``peak_slice`` each clip.
        label_pattern: Regular expression, searched in the path relative to the folder; its first group is the class.
        val_pattern: Regular expression that finds the validation files by their relative paths.
        test_pattern: The same for the test files.
        validation: Share of the files held out without a ``val_pattern``; 0 validates on the training files.
        on_bad_file: What to do with files that are no sound, empty or cut short: ``error``, or ``skip`` with a note.
        batch_size: Training clips per step and process.
        eval_batch_size: Clips per batch of validation and test.
        num_workers: Loader processes; 0 is fastest, since decoding is done once.
    """

    def __init__(
        self,
        root: str | None = None,
        folder: str = ".",
        length: int = 16384,
        sample_rate: int = 16000,
        channels: int = 1,
        slicing: Literal["auto"] | Slicing = "auto",
        overlap: float = 0.0,
        pad_end: bool = False,
        normalize: Normalize = "none",
        label_pattern: str | None = None,
        val_pattern: str | None = None,
        test_pattern: str | None = None,
        validation: float = 0.1,
        on_bad_file: Literal["error", "skip"] = "error",
        batch_size: int = 64,
        eval_batch_size: int = 100,
        num_workers: int = 0,
    ) -> None:
        super().__init__(root, batch_size, eval_batch_size, length, sample_rate, channels, normalize, num_workers)
        if slicing not in ("auto", "first", "random", "consecutive"):
            raise InputError(f"slicing is {slicing}; expected auto, first, random or consecutive")
        if not 0 <= overlap < 1 or round(length * (1 - overlap)) < 1:
            raise InputError(f"overlap is {overlap}; expected a share of at least 0 and below 1")
        require_held_out(val_pattern, test_pattern, validation)
        if on_bad_file not in ("error", "skip"):
            raise InputError(f"on_bad_file is {on_bad_file}; expected error or skip")
        require_pattern("label_pattern", label_pattern, groups=True)
        self.save_hyperparameters(logger=False)
        self.hop = round(length * (1 - overlap))

    def prepare_data(self) -> None:
        """Fill the cache on one process, so that the others find it."""
        self._sounds()

    def setup(self, stage: str) -> None:
        if hasattr(self, "splits"):
            return
        h, sounds = self.hparams, self._sounds()
        folder, window = self.root / h.folder, self.audio_shape[1]
        report(sounds, folder, h.on_bad_file, SKIP)
        label, classes = self._label(sounds.names)
        if classes:
            self.num_classes, self.class_names = len(classes), classes
        slicing, why = (h.slicing, "as asked for") if h.slicing != "auto" else choose_slicing(sounds.length, window)
        parts = held_out(sounds.names, h.val_pattern, h.test_pattern, h.validation)
        splits = self._split(sounds, label, parts, slicing, self.hop, h.pad_end)
        rank_zero_info(f"{folder}: {_summary(sounds, slicing, why, splits)}")
        splits.setdefault("val", splits["train"])
        splits.setdefault("test", splits["val"])
        self.splits = splits

    def _sounds(self) -> Sounds:
        """All files, decoded; what needs no decoding is checked first."""
        h, path = self.hparams, self.root / self.hparams.folder
        stamps = walk(path, SUFFIXES) if path.is_dir() else {}
        if not stamps:
            kinds = ", ".join(f"*{suffix}" for suffix in SUFFIXES)
            what = "sound file" if path.is_dir() else f"folder {h.folder}"
            raise InputError(missing(what, f"{kinds} in {path} and its sub-folders", self.root))
        names = list(stamps)
        self._label(names)
        held_out(names, h.val_pattern, h.test_pattern, h.validation)
        return self._decoded(path, stamps)

    def _label(self, names: list[str]) -> tuple[Tensor, list[str] | None]:
        """(N,) class indices, and the names of the classes."""
        pattern = self.hparams.label_pattern
        if pattern is None:
            return folder_classes(names)
        found = {name: match[1] for name in names if (match := re.search(pattern, name)) and match[1]}
        lost = [name for name in names if name not in found]
        if lost:
            raise InputError(
                f"label_pattern {pattern!r} finds no class in {len(lost)} of {len(names)} files: {first_names(lost)};"
                " change the pattern, or remove these files"
            )
        classes = sorted(set(found.values()))
        index = {name: i for i, name in enumerate(classes)}
        return torch.tensor([index[found[name]] for name in names]), classes


def _summary(sounds: Sounds, slicing: Slicing, why: str, splits: dict[str, AudioClips]) -> str:
    listed = ", ".join(f"{len(clips)} {split}" for split, clips in splits.items())
    without = len(sounds.names) - sum(len(np.unique(clips.file)) for clips in splits.values())
    short = f" ({without} files are shorter than a clip and give none)" if without else ""
    return f"{len(sounds.names)} files, {sounds.hours():.2f} h; slicing {slicing}, {why}; clips: {listed}{short}"
