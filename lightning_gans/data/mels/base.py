"""What the data sets of vocoders share: crops to train on, whole utterances to be judged by, mels made on devices."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_gans.audio import MelConfig
from lightning_gans.data.audio.decoding import INT16_STEPS
from lightning_gans.data.audio.sharded import ShardedSounds
from lightning_gans.data.audio.sounds import Sounds, too_short
from lightning_gans.data.base import SplitDataModule, require_choice, seed
from lightning_gans.data.batches import MelBatch, MelSource
from lightning_gans.data.mels.crops import MelCrops, MelExamples, Utterances, to_batch
from lightning_gans.data.mels.files import Mels
from lightning_gans.errors import InputError
from lightning_gans.ranges import ClosedUnitInterval, NonNegativeInt, PositiveFloat, PositiveInt

LEAST_FRAMES = 16
"""Held-out files of fewer frames are left out: networks that reflect their input cannot take them."""


class MelDataModule(SplitDataModule):
    """Base of the data sets of vocoders: a subclass says which sounds the splits have, see ``_split``.

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
        gain: Bounds of a uniform gain of training crops, such as [0.3, 1.0]; none when not given.
        short: Training files shorter than a crop: ``pad`` puts zeros behind them, ``skip`` leaves them out.
        crops_per_file: In each epoch.
        batch_size: Training crops per step and process.
        num_workers: Loader processes.

    Attributes:
        splits: ``train`` crops, ``val`` and ``test`` utterances.
        mel: The convention.
        sample_rate: In Hz, that of the convention.
        audio_kind: ``mel``.

    Raises:
        InputError: for values that do not go together.
    """

    splits: dict[str, MelExamples]
    audio_kind = "mel"
    things = "examples"

    def __init__(
        self,
        root: str | None = None,
        *,
        mel: str | dict[str, Any] | None = None,
        crop: PositiveInt = 25600,
        context: NonNegativeInt | None = None,
        gain: tuple[PositiveFloat, ClosedUnitInterval] | None = None,
        short: Literal["pad", "skip"] = "pad",
        crops_per_file: PositiveInt = 1,
        batch_size: PositiveInt = 6,
        num_workers: NonNegativeInt = 0,
    ) -> None:
        super().__init__(root, batch_size, 1, num_workers)
        self.mel = MelConfig.of("parallel_wavegan" if mel is None else mel)
        hop = self.mel.hop_length
        if crop % hop:
            near = " or ".join(f"{n * hop} ({n} frames)" for n in (crop // hop, crop // hop + 1) if n)
            reason = f"is no whole number of frames of {hop} samples (mel {self.mel.name})"
            raise InputError(f"crop is {crop} samples, which {reason}; use {near}")
        if gain is not None and gain[0] > gain[1]:
            raise InputError(f"gain is {gain}; expected two numbers, 0 < low <= high <= 1, such as [0.3, 1.0]")
        require_choice("short", short, "pad", "skip")
        self.sample_rate, self.context, self.crop = self.mel.sample_rate, context or 0, crop
        self.gain = None if gain is None else (float(gain[0]), float(gain[1]))
        self.short, self.crops_per_file = short, crops_per_file

    def on_after_batch_transfer(self, batch: MelSource | MelBatch, dataloader_idx: int) -> MelBatch:
        """Scale the samples to [-1, 1] and make the mel, on the device."""
        if isinstance(batch, MelSource):
            return to_batch(batch, self.mel, self.context)
        return MelBatch(batch.mel, batch.audio.float().div_(INT16_STEPS))

    def _split(
        self, parts: dict[str, tuple[Sounds | ShardedSounds, np.ndarray]], mels: Mels | None = None
    ) -> dict[str, MelExamples]:
        """The data sets of the splits.

        Args:
            parts: The sounds of each, and which of them: (N,) rows.
            mels: Of the sounds, where they are not to be made from them.

        Raises:
            InputError: for a split that gives no example.
        """
        hop, crop_frames = self.mel.hop_length, self.crop // self.mel.hop_length
        pad = self.short == "pad" and mels is None  # there is no mel of the zeros
        splits: dict[str, MelExamples] = {}
        told = []
        for split, (sounds, of_split) in {**parts, "val": parts.get("val", parts["train"])}.items():
            frames = sounds.length // hop if mels is None else np.minimum(sounds.length // hop, mels.length)
            least = LEAST_FRAMES if split != "train" else 1 if pad else crop_frames
            used = of_split[frames[of_split] >= least]
            if not len(used):
                fix = "--data.short pad, a smaller --data.crop or " if split == "train" and least > 1 else ""
                args = sounds.length[of_split], least * hop, self.sample_rate, f"{fix}longer files"
                raise InputError(too_short(split, "example", *args))
            if len(used) < len(of_split):
                rank_zero_info(
                    f"{sounds.root}: {len(of_split) - len(used)} {split} file(s) have fewer than {least} frame(s)"
                    f" ({least * hop / self.sample_rate:.2f} s) and are left out"
                )
            told.append(f"{len(used)} {split} ({sounds.length[used].sum() / self.sample_rate / 60:.1f} min)")
            examples = self.mel, self.context, mels
            if split != "train":
                splits[split] = Utterances(sounds, used, *examples)
                continue
            if padded := int((frames[used] < crop_frames).sum()):
                rank_zero_info(f"{sounds.root}: {padded} {split} file(s) are shorter than a crop; zeros follow them")
            drawn: dict[str, Any] = dict(per_file=self.crops_per_file, gain=self.gain, seed=seed())
            splits[split] = MelCrops(sounds, used, *examples, crop_frames=crop_frames, **drawn)
        rank_zero_info(f"{parts['train'][0].root}: files at {self.sample_rate} Hz: {', '.join(told)}")
        return splits

    def _for_evaluation(self, split: str, world_size: int) -> Utterances:
        part = self.splits[split]
        return Utterances(part.sounds, np.unique(part.rows), self.mel, self.context, part.mels, parts=world_size)
