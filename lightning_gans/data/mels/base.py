"""What the DataModules of vocoders share: crops with their log-mel spectrograms, whole utterances to be judged by."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_warn

from lightning_gans.audio import MelConfig, unlikely
from lightning_gans.data.audio.base import too_short
from lightning_gans.data.audio.decoding import INT16_STEPS
from lightning_gans.data.audio.sounds import Sounds, decoded_sounds
from lightning_gans.data.base import SplitDataModule, require_choice, require_positive, seed
from lightning_gans.data.batches import MelBatch, MelSource
from lightning_gans.data.files import first_names
from lightning_gans.data.mels.crops import MelCrops, MelExamples, Utterances, to_batch
from lightning_gans.data.mels.files import Mels
from lightning_gans.data.splits import only_split, require_splits
from lightning_gans.errors import InputError

LEAST_FRAMES = 16
"""Held-out files of fewer frames are left out: networks that reflect their input cannot take them."""


class MelDataModule(SplitDataModule):
    """Base of the data sets of vocoders: a subclass says which files there are and which are held out.

    Training batches are random crops. Those of validation, test and prediction are whole utterances, one per batch and
    cut to whole frames; where their number is no multiple of the number of processes, the longest are cut in two.
    Frames of a crop equal those of the whole utterance: the mel is made on the device from the crop and what lies
    around it, after the gain.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        mel: The convention of the mels: a name, or a mapping with a name and the fields that differ from it. When not
            given, the model's on the command line, else ``parallel_wavegan``.
        crop: T, samples of a training crop; a multiple of the hop.
        context: Frames that the mel has beyond either end of the audio, where the outermost frame of an utterance is
            repeated. When not given, the model's on the command line, else 0.
        normalize: ``peak_file`` scales each file so that its loudest sample is ``peak``.
        peak: In (0, 1].
        gain: Bounds of a uniform gain of training crops, such as [0.3, 1.0]; none when not given.
        trim_silence: Cut off both ends of each file as far as they are 60 dB below its loudest frame.
        train_pattern: Regular expression that finds the training files by their names; all that are not held out when
            not given.
        val_pattern: The same for the validation files.
        test_pattern: The same for the test files; the validation files when only ``val_pattern`` is given.
        short: Training files shorter than a crop: ``pad`` puts zeros behind them, ``skip`` leaves them out.
        crops_per_file: In each epoch.
        batch_size: Training crops per step and process.
        num_workers: Loader processes; 0 is fastest, since decoding is done once.

    Attributes:
        splits: ``train`` crops, ``val`` and ``test`` utterances.
        mel: The convention.
        sample_rate: In Hz, that of the convention; other files are resampled.
        audio_kind: ``mel``.

    Raises:
        InputError: for values that do not go together.
    """

    splits: dict[str, MelExamples]
    audio_kind = "mel"
    things = "examples"
    on_bad_file = "error"
    way_out = ""
    """The end of the message on files that cannot be used."""

    def __init__(
        self,
        root: str | None = None,
        *,
        mel: str | dict[str, Any] | None = None,
        crop: int = 25600,
        context: int | None = None,
        normalize: Literal["none", "peak_file"] = "none",
        peak: float = 0.95,
        gain: tuple[float, float] | None = None,
        trim_silence: bool = False,
        train_pattern: str | None = None,
        val_pattern: str | None = None,
        test_pattern: str | None = None,
        short: Literal["pad", "skip"] = "pad",
        crops_per_file: int = 1,
        batch_size: int = 6,
        num_workers: int = 0,
    ) -> None:
        super().__init__(root, batch_size, 1, num_workers)
        require_positive(crop=crop, crops_per_file=crops_per_file)
        context = 0 if context is None else context
        self.mel = MelConfig.of("parallel_wavegan" if mel is None else mel)
        self.sample_rate, self.context, self.crop = self.mel.sample_rate, context, crop
        require_whole_frames(crop, self.mel)
        if context < 0:
            raise InputError(f"context is {context}; expected 0 or more")
        require_choice("normalize", normalize, "none", "peak_file")
        if not 0 < peak <= 1:
            raise InputError(f"peak is {peak}; expected a number above 0, up to 1")
        if gain is not None and not (len(gain) == 2 and 0 < gain[0] <= gain[1] <= 1):
            raise InputError(f"gain is {gain}; expected two numbers, 0 < low <= high <= 1, such as [0.3, 1.0]")
        self.patterns = dict(train_pattern=train_pattern, val_pattern=val_pattern, test_pattern=test_pattern)
        require_splits(self.patterns)
        require_choice("short", short, "pad", "skip")
        self.peak = peak if normalize == "peak_file" else None
        self.gain = None if gain is None else (float(gain[0]), float(gain[1]))
        self.trim_silence, self.short, self.crops_per_file = trim_silence, short, crops_per_file

    def prepare_data(self) -> None:
        """Fill the caches on one process, so that the others find them."""
        self._read()

    def _load(self) -> dict[str, MelExamples]:
        folder, sounds, mels = self._read()
        sounds.report(folder, self.on_bad_file, self.way_out)
        clipped = [f"{name} ({count} samples)" for name, count in sounds.clipped.items() if name not in sounds.broken]
        if clipped:
            rank_zero_warn(
                f"{len(clipped)} sound file(s) in {folder} reach full scale often and may be clipped:"
                f" {first_names(clipped)}; they are used, remove them if they sound distorted"
            )
        if mels and mels.names and (reason := unlikely(torch.from_numpy(mels.some()).mT, self.mel)):
            rank_zero_warn(f"{folder}: {reason}")
        return self._split(folder, sounds, mels, self._rows(sounds.names))

    def on_after_batch_transfer(self, batch: MelSource | MelBatch, dataloader_idx: int) -> MelBatch:
        """Scale the samples to [-1, 1] and make the mel, on the device."""
        if isinstance(batch, MelSource):
            return to_batch(batch, self.mel, self.context)
        return MelBatch(batch.mel, batch.audio.float().div_(INT16_STEPS))

    def _for_evaluation(self, split: str, world_size: int) -> Utterances:
        part = self.splits[split]
        return Utterances(part.sounds, part.rows, self.mel, self.context, part.mels, parts=world_size)

    # ---- for the subclasses

    def _files(self) -> tuple[Path, dict[str, tuple[int, int]]]:
        """The folder, and the size and time of change of its files."""
        raise NotImplementedError

    def _rows(self, names: list[str]) -> dict[str, np.ndarray]:
        """The rows of the files of each split, see ``split_files``."""
        raise NotImplementedError

    def _mels(self, folder: Path, sounds: Sounds) -> tuple[Sounds, Mels | None]:
        """The files that can be used, and their mels where those come from files too."""
        return sounds, None

    def _read(self) -> tuple[Path, Sounds, Mels | None]:
        """The folder and the files of the splits, decoded; silent ones are as broken as those that are no sound."""
        folder, stamps = self._files()
        stamps = only_split(stamps, self._rows(list(stamps)))  # a wrong pattern is told before minutes of decoding
        sounds = decoded_sounds(folder, stamps, self.sample_rate, 1, self.peak, self.trim_silence)
        sounds = sounds.without(dict.fromkeys(sounds.silent, "silent: all samples are 0"))
        return folder, *self._mels(folder, sounds)

    def _split(
        self, folder: Path, sounds: Sounds, mels: Mels | None, rows: dict[str, np.ndarray]
    ) -> dict[str, MelExamples]:
        """The data sets of the splits, each given by the rows of its files.

        Raises:
            InputError: for a split that gives no example.
        """
        hop, crop_frames = self.mel.hop_length, self.crop // self.mel.hop_length
        frames = sounds.length // hop if mels is None else np.minimum(sounds.length // hop, mels.length)
        pad = self.short == "pad" and mels is None  # there is no mel of the zeros
        splits: dict[str, MelExamples] = {}
        for split, of_split in {**rows, "val": rows.get("val", rows["train"])}.items():
            least = LEAST_FRAMES if split != "train" else 1 if pad else crop_frames
            used = of_split[frames[of_split] >= least]
            if not len(used):
                fix = "--data.short pad, a smaller --data.crop or " if split == "train" and least > 1 else ""
                args = sounds.length[of_split], least * hop, self.sample_rate, f"{fix}longer files"
                raise InputError(too_short(split, "example", *args))
            if len(used) < len(of_split):
                rank_zero_info(
                    f"{folder}: {len(of_split) - len(used)} {split} file(s) have fewer than {least} frame(s)"
                    f" ({least * hop / self.sample_rate:.2f} s) and are left out"
                )
            if split != "train":
                splits[split] = Utterances(sounds, used, self.mel, self.context, mels)
                continue
            if padded := int((frames[used] < crop_frames).sum()):
                rank_zero_info(f"{folder}: {padded} {split} file(s) are shorter than a crop; zeros follow them")
            splits[split] = MelCrops(
                sounds,
                used,
                self.mel,
                self.context,
                mels,
                crop_frames=crop_frames,
                per_file=self.crops_per_file,
                gain=self.gain,
                seed=seed(),
            )
        listed = ", ".join(f"{len(p.rows)} {name} ({60 * sounds.hours(p.rows):.1f} min)" for name, p in splits.items())
        rank_zero_info(f"{folder}: files at {self.sample_rate} Hz: {listed}")
        return splits


def require_whole_frames(crop: int, mel: MelConfig) -> None:
    """Raise ``InputError`` for a crop that is no multiple of the hop, with those that are."""
    hop = mel.hop_length
    if crop % hop:
        low, high = crop // hop, crop // hop + 1
        near = [f"{n * hop} ({n} frames)" for n in (low, high) if n]
        raise InputError(
            f"crop is {crop} samples, which is no whole number of frames of {hop} samples (mel {mel.name}); use"
            f" {' or '.join(near)}"
        )
