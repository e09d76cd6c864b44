"""What the audio DataModules share: int16 on the way to the device, scaled there."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor

from lightning_gans.data.audio.decoding import INT16_STEPS
from lightning_gans.data.audio.slicing import AudioClips, Slicing
from lightning_gans.data.audio.sounds import Sounds, decoded_sounds
from lightning_gans.data.base import SplitDataModule, require_positive, seed
from lightning_gans.data.batches import AudioBatch
from lightning_gans.data.files import describe_broken
from lightning_gans.data.loading import EpochSampler
from lightning_gans.errors import InputError

Normalize = Literal["none", "peak_file", "peak_slice"]
SKIP = ", or leave them out with --data.on_bad_file skip"
"""The end of the message on files that cannot be used, where they can be skipped."""


class AudioDataModule(SplitDataModule):
    """Base of the audio data sets: a subclass sets ``splits`` in ``setup``.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        batch_size: Training clips per step and process.
        eval_batch_size: Clips per batch of validation and test.
        length: T, samples of a clip.
        sample_rate: In Hz; other files are resampled.
        channels: 1 for mono, 2 for stereo.
        normalize: ``peak_file`` scales each file so that its loudest sample is 1, ``peak_slice`` each clip. Silence
            stays silence.
        num_workers: Loader processes. 0 is fastest, since decoding is done once.

    Attributes:
        splits: ``train``, ``val`` and ``test`` data sets whose items are ``AudioBatch`` of int16.
        audio_shape: (C, T).
        sample_rate: In Hz.

    Raises:
        InputError: for a size that is not positive, more channels than two, an unknown way to normalise.
    """

    splits: dict[str, AudioClips]
    audio_shape: tuple[int, int]
    sample_rate: int
    things = "clips"
    sampler = EpochSampler

    def __init__(
        self,
        root: str | None,
        batch_size: int,
        eval_batch_size: int,
        length: int,
        sample_rate: int,
        channels: int = 1,
        normalize: Normalize = "none",
        num_workers: int = 0,
    ) -> None:
        super().__init__(root, batch_size, eval_batch_size, num_workers)
        require_positive(length=length, sample_rate=sample_rate)
        if channels not in (1, 2):
            raise InputError(f"channels is {channels}; expected 1 (mono) or 2 (stereo)")
        if normalize not in ("none", "peak_file", "peak_slice"):
            raise InputError(f"normalize is {normalize}; expected none, peak_file or peak_slice")
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
        return decoded_sounds(
            folder, stamps, self.sample_rate, self.audio_shape[0], 1.0 if self.normalize == "peak_file" else None
        )

    def _split(
        self,
        sounds: Sounds,
        label: Tensor,
        parts: dict[str, np.ndarray],
        slicing: Slicing,
        hop: int | None = None,
        pad_end: bool = False,
    ) -> dict[str, AudioClips]:
        """The data sets of the parts, each given by the rows of its files.

        Raises:
            InputError: for a part that gives no example.
        """
        window = self.audio_shape[1]
        splits = {
            split: AudioClips(sounds, rows, label[rows], window, slicing, hop, pad_end, seed())
            for split, rows in parts.items()
        }
        for split, clips in splits.items():
            if not len(clips):
                raise InputError(self._no_clips(split, sounds.length[parts[split]]))
        return splits

    def _no_clips(self, split: str, length: np.ndarray) -> str:
        window = self.audio_shape[1]
        if not len(length):
            return f"no file is left for {split}; use more files, or hold out fewer"
        return (
            f"no {split} clip: the longest of {len(length)} files has {length.max()} samples"
            f" ({length.max() / self.sample_rate:.2f} s at {self.sample_rate} Hz), a clip has {window}"
            f" ({window / self.sample_rate:.2f} s), and consecutive slicing drops what is shorter; use"
            " --data.slicing first, --data.pad_end true or a shorter --data.length"
        )


def report(sounds: Sounds, folder: Path, on_bad_file: str = "error", way_out: str = "") -> None:
    """Say what was resampled or left out.

    Args:
        sounds: Decoded files.
        folder: Where they lie.
        on_bad_file: ``skip`` leaves out what cannot be used.
        way_out: The end of the message otherwise.

    Raises:
        InputError: for files that cannot be used, unless they are to be skipped and others are left.
    """
    if sounds.broken:
        message = describe_broken("sound", folder, sounds.broken)
        if on_bad_file == "error" or not sounds.names:
            raise InputError(f"{message}; replace or remove them{way_out}")
        rank_zero_info(f"{message}; they are left out")
    resampled = {rate: count for rate, count in sounds.source_rates.items() if rate != sounds.sample_rate}
    if resampled:
        listed = ", ".join(f"{count} of {rate} Hz" for rate, count in sorted(resampled.items()))
        rank_zero_info(f"{folder}: files are resampled to {sounds.sample_rate} Hz: {listed}")
