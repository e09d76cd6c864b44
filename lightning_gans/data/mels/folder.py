"""Any folder of sound files for vocoders: crops with their log-mel spectrograms, whole utterances to be judged by."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from lightning_gans.audio import unlikely
from lightning_gans.data.audio.sounds import SUFFIXES, UNREAD, Sounds, decoded_sounds
from lightning_gans.data.base import require_choice
from lightning_gans.data.files import Stamps, files_below, walk
from lightning_gans.data.mels.base import MelDataModule
from lightning_gans.data.mels.crops import MelExamples
from lightning_gans.data.mels.files import Mels, read_mels
from lightning_gans.data.splits import Patterns, only_split, require_pattern, rows_left
from lightning_gans.errors import InputError
from lightning_gans.ranges import ClosedUnitInterval, NonNegativeInt, PositiveFloat, PositiveInt, Share


class MelFolder(MelDataModule):
    """The sound files in ``root/folder`` and its sub-folders, of any format that soundfile reads, decoded once.

    Training batches are random crops, the others whole utterances, see ``MelDataModule``.

    Several channels are averaged, other sample rates are resampled to that of the mel. Files that are no sound, cut
    short, empty or silent are errors, or left out with a note.

    With ``mel_suffix``, the mels come from files beside the sounds, such as those that a text-to-speech system predicts
    for them: ``a.npy`` beside ``a.wav``, floats of shape (L, M) or (M, L), in the convention of ``mel`` and not
    normalized by statistics. They are read as they are, so that nothing that changes the sound goes with them.

    Held-out files: those that ``val_pattern`` and ``test_pattern`` find. Without ``val_pattern``, the files with the
    smallest SHA-256 hashes of their paths are the validation set; without ``test_pattern``, it is the test set too.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        folder: The sounds' folder, relative to ``root``.
        mel: The convention of the mels: a name, or a mapping with a name and the fields that differ from it. When not
            given, the model's on the command line, else ``parallel_wavegan``.
        crop: T, samples of a training crop; a multiple of the hop.
        context: Frames that the mel has beyond either end of the audio, where the outermost frame of an utterance is
            repeated. When not given, the model's on the command line, else 0.
        normalize: ``peak_file`` scales each file so that its loudest sample is ``peak``.
        peak: In (0, 1].
        gain: Bounds of a uniform gain of training crops, such as [0.3, 1.0]; none when not given.
        trim_silence: Cut off both ends of each file as far as they are 60 dB below its loudest frame.
        mel_suffix: Ending of the mel files' names, in place of the sounds', such as ``.npy``.
        train_pattern: Regular expression that finds the training files by their paths relative to the folder; all that
            are not held out when not given.
        val_pattern: The same for the validation files.
        test_pattern: The same for the test files.
        validation: Share of the files held out without a ``val_pattern``, at least one; 0 validates on the training
            files.
        short: Training files shorter than a crop: ``pad`` puts zeros behind them, ``skip`` leaves them out. With mel
            files, they are always left out.
        on_bad_file: What to do with files that cannot be used: ``error``, or ``skip`` with a note.
        crops_per_file: In each epoch.
        repeat: How many times as many crops come from the training files that a regular expression finds by their
            paths, such as ``{'^my_voice/': 4}`` beside a larger data set; the first that finds a file counts.
        speeds: Further ones at which the training files are taken as well, such as [0.9, 1.1], as a tape plays them:
            other voices, of which few recordings have too little.
        batch_size: Training crops per step and process.
        num_workers: Loader processes; 0 is fastest, since decoding is done once.

    Raises:
        InputError: for values that do not go together.
    """

    def __init__(
        self,
        root: str | None = None,
        *,
        folder: str = ".",
        mel: str | dict[str, Any] | None = None,
        crop: PositiveInt = 25600,
        context: NonNegativeInt | None = None,
        normalize: Literal["none", "peak_file"] = "none",
        peak: Annotated[float, Gt(0), Le(1)] = 0.95,
        gain: tuple[PositiveFloat, ClosedUnitInterval] | None = None,
        trim_silence: bool = False,
        mel_suffix: str | None = None,
        train_pattern: str | None = None,
        val_pattern: str | None = None,
        test_pattern: str | None = None,
        validation: Share = 0.1,
        short: Literal["pad", "skip"] = "pad",
        on_bad_file: Literal["error", "skip"] = "error",
        crops_per_file: PositiveInt = 1,
        repeat: dict[str, PositiveInt] | None = None,
        speeds: list[Annotated[float, Ge(0.5), Le(2)]] | None = None,
        batch_size: PositiveInt = 6,
        num_workers: NonNegativeInt = 0,
    ) -> None:
        shared: dict[str, Any] = dict(mel=mel, crop=crop, context=context, gain=gain, short=short)
        super().__init__(root, **shared, crops_per_file=crops_per_file, batch_size=batch_size, num_workers=num_workers)
        require_choice("normalize", normalize, "none", "peak_file")
        require_choice("on_bad_file", on_bad_file, "error", "skip")
        if mel_suffix is not None:
            if not mel_suffix.endswith(".npy"):
                raise InputError(f"mel_suffix is {mel_suffix!r}; expected an ending such as .npy or _mel.npy")
            changes: dict[str, Any] = {"normalize peak_file": normalize == "peak_file", "gain": gain, "speeds": speeds}
            changes |= {"trim_silence": trim_silence}
            if clash := [name for name, value in changes.items() if value]:
                raise InputError(
                    f"{' and '.join(clash)} would change the sound and not its mel file; leave it out, or leave out"
                    " mel_suffix to make the mels from the sound"
                )
        for pattern in repeat or {}:
            require_pattern("repeat", pattern)
        self.patterns = Patterns(train_pattern, val_pattern, test_pattern, validation)
        self.save_hyperparameters(logger=False)
        self.folder, self.path, self.mel_suffix = folder, self.root / folder, mel_suffix
        self.peak = peak if normalize == "peak_file" else None
        self.trim_silence = trim_silence
        self.on_bad_file, self.repeat, self.speeds = on_bad_file, repeat or {}, speeds or []

    def prepare_data(self) -> None:
        """Fill the caches on one process, so that the others find them."""
        self._sounds()

    def _load(self) -> dict[str, MelExamples]:
        sounds, mels, rows = self._sounds()
        sounds.report(self.on_bad_file)
        if mels and mels.names and (reason := unlikely(torch.from_numpy(mels.some()).mT, self.mel)):
            rank_zero_warn(f"{sounds.root}: {reason}")
        rows.setdefault("val", rows["train"])  # without the copies at other speeds
        train = {sounds.names[row] for row in rows["train"]}
        copies = [r for r, name in enumerate(sounds.names) if name in sounds.copies and sounds.copies[name][0] in train]
        rows["train"] = np.array([*rows["train"], *copies], int)
        splits = self._split({split: (sounds, of_split) for split, of_split in rows.items()}, mels)
        used = splits["train"].rows
        files = [sounds.copies.get(sounds.names[row], (sounds.names[row],))[0] for row in used]
        splits["train"].rows = np.repeat(used, self._times(files))
        return splits

    def _times(self, names: list[str]) -> list[int]:
        """How many times each of the training files comes in an epoch.

        Raises:
            InputError: for a pattern that finds none.
        """
        for pattern in self.repeat:
            if not any(re.search(pattern, name) for name in names):
                such = f"{len(names)} training files, such as {names[0]}"
                raise InputError(f"repeat {pattern!r} finds none of {such}; change the pattern")
        return [next((n for pattern, n in self.repeat.items() if re.search(pattern, name)), 1) for name in names]

    def _sounds(self) -> tuple[Sounds, Mels | None, dict[str, np.ndarray]]:
        """The files of the splits, decoded, their mels where those come from files too, and the rows of each split.

        Silent files are as broken as those that are no sound.
        """
        folder, stamps = self._files()
        names = list(stamps)
        rows = self._rows(names)  # a wrong pattern is told before minutes of decoding
        train = [names[row] for row in rows["train"]]
        copies = {f"{name} at speed {speed:g}": (name, speed) for speed in self.speeds for name in train}
        used = only_split(stamps, rows)
        sounds = decoded_sounds(folder, used, self.sample_rate, 1, self.peak, self.trim_silence, copies)
        sounds = sounds.without(dict.fromkeys(sounds.silent, "silent: all samples are 0"))
        mels = None
        if self.mel_suffix is not None:
            sounds, mels = self._with_mels(sounds, self.mel_suffix)
        return sounds, mels, rows_left(rows, names, sounds.names)

    def _with_mels(self, sounds: Sounds, suffix: str) -> tuple[Sounds, Mels]:
        """The sounds that have a mel of their length, and those mels."""
        path = {name: str(PurePosixPath(name).with_suffix("")) + suffix for name in sounds.names}
        there = walk(sounds.root, (".npy",))
        mels = read_mels(sounds.root, {p: there[p] for p in path.values() if p in there}, self.mel.n_mels)
        length = dict(zip(mels.names, mels.length.tolist(), strict=True))
        broken = {}
        for name, samples in zip(sounds.names, sounds.length.tolist(), strict=True):
            mel, expected = path[name], self.mel.frames(samples)
            if mel not in there:
                broken[name] = f"there is no {mel} beside it"
            elif mel in mels.broken:
                broken[name] = f"{mel}: {mels.broken[mel]}"
            elif abs(length[mel] - expected) > 1:
                made = f"{samples} samples at {self.sample_rate} Hz make {expected} of {self.mel.hop_length}"
                broken[name] = f"{mel} has {length[mel]} frames, {made}"
        sounds = sounds.without(broken)
        return sounds, mels.of([path[name] for name in sounds.names])

    # ---- what other data sets of vocoders do otherwise

    def _files(self) -> tuple[Path, Stamps]:
        """The folder, and the size and time of change of its files."""
        return self.path, files_below(self.root, self.folder, SUFFIXES, "sound file", UNREAD)

    def _rows(self, names: list[str]) -> dict[str, np.ndarray]:
        """The rows of each split's files."""
        return self.patterns.split(names)
