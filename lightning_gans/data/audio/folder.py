"""Any folder of sound files, cut into clips."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor

from lightning_gans.data.audio.decoding import INT16_STEPS
from lightning_gans.data.audio.slicing import AudioClips, Slicing, choose_slicing
from lightning_gans.data.audio.sounds import SUFFIXES, UNREAD, Sounds, decoded_sounds, too_short
from lightning_gans.data.base import SplitDataModule, require_choice, seed
from lightning_gans.data.batches import AudioBatch
from lightning_gans.data.files import Stamps, class_indices, files_below, first_names, folder_classes
from lightning_gans.data.splits import Patterns, only_split, require_pattern, rows_left
from lightning_gans.errors import InputError
from lightning_gans.ranges import NonNegativeInt, PositiveInt, Share


class AudioFolder(SplitDataModule):
    """The sound files in ``root/folder`` and its sub-folders, of any format that soundfile reads, decoded once.

    Labels: what ``label_pattern`` finds in the paths, if given; else classes, if all files lie in sub-folders, which
    name them, those for training in two or more; else zeros, with ``num_classes`` None. ``num_classes`` is known after
    ``setup``.

    Held-out files: those that ``val_pattern`` and ``test_pattern`` find. Without ``val_pattern``, the files with the
    smallest SHA-256 hashes of their paths are the validation set; without ``test_pattern``, it is the test set too.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        folder: The sounds' folder, relative to ``root``.
        length: T, samples of a clip.
        sample_rate: In Hz; other files are resampled.
        channels: 1 for mono (the mean of the channels), 2 for stereo (mono files are doubled).
        slicing: ``first`` takes the beginning of each file, ``random`` a clip of each that is drawn anew in each
            epoch (shorter files are followed by zeros), ``consecutive`` all clips a hop apart. ``auto`` takes
            ``first`` where at least 90 % of the files fit into a clip, else ``consecutive`` where at least half of them
            hold two clips or more, else ``random``.
        overlap: Share of a consecutive clip that the next one repeats.
        pad_end: Fill up the last consecutive clip of a file with zeros; without it, the short tail is dropped.
        normalize: ``peak_file`` scales each file so that its loudest sample is 1, ``peak_slice`` each clip. Silence
            stays silence.
        label_pattern: Regular expression, searched in the path relative to the folder; its first group is the class.
        train_pattern: Regular expression that finds the training files by their relative paths; all that are not held
            out when not given.
        val_pattern: The same for the validation files.
        test_pattern: The same for the test files.
        validation: Share of the files held out without a ``val_pattern``, at least one; 0 validates on the training
            files.
        on_bad_file: What to do with files that are no sound, empty or cut short: ``error``, or ``skip`` with a note.
        batch_size: Training clips per step and process.
        eval_batch_size: Clips per batch of validation and test.
        num_workers: Loader processes; 0 is fastest, since decoding is done once.

    Attributes:
        splits: ``train``, ``val`` and ``test`` data sets whose items are ``AudioBatch`` of int16.
        audio_shape: (C, T).
        sample_rate: In Hz.

    Raises:
        InputError: for values that cannot be used.
    """

    splits: dict[str, AudioClips]
    things = "clips"

    def __init__(
        self,
        root: str | None = None,
        *,
        folder: str = ".",
        length: PositiveInt = 16384,
        sample_rate: PositiveInt = 16000,
        channels: PositiveInt = 1,
        slicing: Literal["auto"] | Slicing = "auto",
        overlap: Share = 0.0,
        pad_end: bool = False,
        normalize: Literal["none", "peak_file", "peak_slice"] = "none",
        label_pattern: str | None = None,
        train_pattern: str | None = None,
        val_pattern: str | None = None,
        test_pattern: str | None = None,
        validation: Share = 0.1,
        on_bad_file: Literal["error", "skip"] = "error",
        batch_size: PositiveInt = 64,
        eval_batch_size: PositiveInt = 100,
        num_workers: NonNegativeInt = 0,
    ) -> None:
        super().__init__(root, batch_size, eval_batch_size, num_workers)
        if channels not in (1, 2):
            raise InputError(f"channels is {channels}; expected 1 (mono) or 2 (stereo)")
        require_choice("slicing", slicing, "auto", "first", "random", "consecutive")
        if round(length * (1 - overlap)) < 1:
            raise InputError(f"overlap is {overlap}, which leaves no hop of clips of {length} samples; lower it")
        require_choice("normalize", normalize, "none", "peak_file", "peak_slice")
        require_pattern("label_pattern", label_pattern, groups=True)
        self.patterns = Patterns(train_pattern, val_pattern, test_pattern, validation)
        require_choice("on_bad_file", on_bad_file, "error", "skip")
        self.save_hyperparameters(logger=False)
        self.folder, self.path = folder, self.root / folder
        self.audio_shape, self.sample_rate = (channels, length), sample_rate
        self.slicing, self.hop, self.pad_end = slicing, round(length * (1 - overlap)), pad_end
        self.normalize, self.label_pattern = normalize, label_pattern
        self.on_bad_file = on_bad_file

    def prepare_data(self) -> None:
        """Fill the cache on one process, so that the others find it."""
        self._sounds()

    def on_after_batch_transfer(self, batch: AudioBatch, dataloader_idx: int) -> AudioBatch:
        """Scale to [-1, 1] on the device, after a transfer of half of the bytes."""
        audio = batch.audio.float().div_(INT16_STEPS)
        if self.normalize == "peak_slice":
            peak = audio.abs().amax((1, 2), keepdim=True)
            audio = audio / peak.masked_fill(peak == 0, 1)
        return AudioBatch(audio, batch.label)

    def _load(self) -> dict[str, AudioClips]:
        (sounds, rows_of), (_, length) = self._sounds(), self.audio_shape
        sounds.report(self.on_bad_file)
        label, classes = self._label(sounds.names)
        by_folder = self.label_pattern is None and self.num_classes is None  # nothing else says what they are
        if classes and by_folder and len(found := label[rows_of["train"]].unique()) == 1:
            rank_zero_info(
                f"{sounds.root}: all training files lie in {classes[found]}, so that folders are no classes; give"
                " --data.label_pattern if there are classes"
            )
            label, classes = torch.zeros_like(label), None
        if classes:
            self.num_classes, self.class_names = len(classes), classes
        slicing, why = self.slicing, "as asked for"
        if slicing == "auto":
            slicing, why = choose_slicing(sounds.length, length)
        splits = {}
        fix = "--data.slicing first, --data.pad_end true or a shorter --data.length"
        for split, rows in rows_of.items():
            splits[split] = AudioClips(sounds, rows, label[rows], length, slicing, self.hop, self.pad_end, seed())
            if not len(splits[split]):
                raise InputError(too_short(split, "clip", sounds.length[rows], length, self.sample_rate, fix))
        listed = ", ".join(f"{len(clips)} {split}" for split, clips in splits.items())
        without = len(sounds.names) - sum(len(np.unique(clips.file)) for clips in splits.values())
        short = f" ({without} files are shorter than a clip and give none)" if without else ""
        rank_zero_info(
            f"{sounds.root}: {len(sounds.names)} files, {sounds.hours():.2f} h; slicing {slicing}, {why}; clips:"
            f" {listed}{short}"
        )
        return splits

    def _sounds(self) -> tuple[Sounds, dict[str, np.ndarray]]:
        """The files of the splits, decoded, and the rows of each split; what needs no decoding is checked first."""
        folder, stamps = self._files()
        rows = self._rows(list(stamps))
        used = only_split(stamps, rows)
        self._label(list(used))
        peak = 1.0 if self.normalize == "peak_file" else None
        sounds = decoded_sounds(folder, used, self.sample_rate, self.audio_shape[0], peak)
        return sounds, rows_left(rows, list(stamps), sounds.names)

    # ---- what other data sets of clips do otherwise

    def _files(self) -> tuple[Path, Stamps]:
        """The folder, and the size and time of change of its files."""
        return self.path, files_below(self.root, self.folder, SUFFIXES, "sound file", UNREAD)

    def _rows(self, names: list[str]) -> dict[str, np.ndarray]:
        """The rows of each split's files."""
        return self.patterns.split(names)

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
