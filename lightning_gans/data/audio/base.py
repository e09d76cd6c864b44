"""What the audio DataModules share: int16 on the way to the device, scaled there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from lightning_gans.data.audio.decoding import INT16_STEPS
from lightning_gans.data.audio.slicing import AudioClips, Slicing
from lightning_gans.data.audio.sounds import Sounds, decoded_sounds
from lightning_gans.data.base import SplitDataModule, require_choice, require_positive, seed
from lightning_gans.data.batches import AudioBatch
from lightning_gans.errors import InputError

Normalize = Literal["none", "peak_file", "peak_slice"]


class AudioDataModule(SplitDataModule):
    """Base of the audio data sets: a subclass sets ``splits`` in ``setup``.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        length: T, samples of a clip.
        sample_rate: In Hz; other files are resampled.
        channels: 1 for mono (the mean of the channels), 2 for stereo (mono files are doubled).
        normalize: ``peak_file`` scales each file so that its loudest sample is 1, ``peak_slice`` each clip. Silence
            stays silence.
        batch_size: Training clips per step and process.
        eval_batch_size: Clips per batch of validation and test.
        num_workers: Loader processes; 0 is fastest, since decoding is done once.

    Attributes:
        splits: ``train``, ``val`` and ``test`` data sets whose items are ``AudioBatch`` of int16.
        audio_shape: (C, T).
        sample_rate: In Hz.

    Raises:
        InputError: for a size that is not positive, more channels than two, an unknown way to normalize.
    """

    splits: dict[str, AudioClips]
    things = "clips"

    def __init__(
        self,
        root: str | None = None,
        *,
        length: int = 16384,
        sample_rate: int = 16000,
        channels: int = 1,
        normalize: Normalize = "none",
        batch_size: int = 64,
        eval_batch_size: int = 100,
        num_workers: int = 0,
    ) -> None:
        super().__init__(root, batch_size, eval_batch_size, num_workers)
        require_positive(length=length, sample_rate=sample_rate)
        if channels not in (1, 2):
            raise InputError(f"channels is {channels}; expected 1 (mono) or 2 (stereo)")
        require_choice("normalize", normalize, "none", "peak_file", "peak_slice")
        self.audio_shape, self.sample_rate, self.normalize = (channels, length), sample_rate, normalize

    def on_after_batch_transfer(self, batch: AudioBatch, dataloader_idx: int) -> AudioBatch:
        """Scale to [-1, 1] on the device, after a transfer of half of the bytes."""
        audio = batch.audio.float().div_(INT16_STEPS)
        if self.normalize == "peak_slice":
            peak = audio.abs().amax((1, 2), keepdim=True)
            audio = audio / peak.masked_fill(peak == 0, 1)
        return AudioBatch(audio, batch.label)

    # ---- for the subclasses

    def _decoded(self, folder: Path, stamps: dict[str, tuple[int, int]]) -> Sounds:
        """Decode files, or find them in the cache."""
        peak = 1.0 if self.normalize == "peak_file" else None
        return decoded_sounds(folder, stamps, self.sample_rate, self.audio_shape[0], peak)

    def _split(
        self, sounds: Sounds, label: Tensor, rows: dict[str, np.ndarray], slicing: Slicing, **options: Any
    ) -> dict[str, AudioClips]:
        """The data sets of the splits, each given by the rows of its files.

        Raises:
            InputError: for a split that gives no example.
        """
        length, fix = self.audio_shape[1], "--data.slicing first, --data.pad_end true or a shorter --data.length"
        splits = {}
        for split, of_split in rows.items():
            splits[split] = AudioClips(sounds, of_split, label[of_split], length, slicing, seed=seed(), **options)
            if not len(splits[split]):
                raise InputError(too_short(split, "clip", sounds.length[of_split], length, self.sample_rate, fix))
        return splits


def too_short(split: str, what: str, length: np.ndarray, needed: int, sample_rate: int, fix: str) -> str:
    """What to say of a split that gives no example.

    Args:
        split: Its name.
        what: What an example is.
        length: (N,) samples of its files.
        needed: Samples of an example, at least.
        sample_rate: In Hz.
        fix: What to use instead.
    """
    if not len(length):
        return f"no file is left for {split}; use more files, or hold out fewer"
    longest = f"{length.max()} samples ({length.max() / sample_rate:.2f} s at {sample_rate} Hz)"
    return (
        f"no {split} {what}: the longest of {len(length)} files has {longest}, at least {needed}"
        f" ({needed / sample_rate:.2f} s) are needed; use {fix}"
    )
