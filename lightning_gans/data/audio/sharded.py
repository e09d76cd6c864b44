"""Sounds in shards: each a FLAC file of the int16 samples that training decodes, so that nothing is lost on the way."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from lightning_gans.data.audio.sounds import Sounds
from lightning_gans.data.shards import SHARD_BYTES, WAY_OUT, Shards, write_shards
from lightning_gans.files import Damaged, reading

LENGTHS = "lengths.npy"


def write_sounds(folder: Path, sounds: Sounds, rows: np.ndarray, shard_bytes: int = SHARD_BYTES) -> int:
    """Write some of the decoded files as shards, with their lengths beside.

    Args:
        folder: Where to, see ``write_shards``.
        sounds: Decoded files: int16, at the rate of the training, whatever the files held.
        rows: (N,) which.
        shard_bytes: Of a shard, about.

    Returns:
        N.
    """
    count = write_shards(folder, (_flac(sounds[row], sounds.sample_rate) for row in rows), shard_bytes)
    np.save(folder / LENGTHS, sounds.length[rows].astype(np.int64))
    return count


def _flac(samples: np.ndarray, sample_rate: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples.T, sample_rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


class ShardedSounds:
    """What ``write_sounds`` has written, to be indexed as ``Sounds`` are; a sound is decoded when it is asked for.

    Args:
        folder: With the shards.

    Attributes:
        length: (N,) T of each sound.

    Raises:
        InputError: for shards or lengths that are damaged or do not belong together.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.shards = folder, Shards(folder)
        with reading(folder / LENGTHS, "lengths of sounds", WAY_OUT):
            self.length = np.load(folder / LENGTHS, allow_pickle=False)
        if self.length.dtype != np.int64 or self.length.shape != (len(self.shards),):
            what = f"{self.length.dtype} of shape {self.length.shape}, expected one length for each of the"
            raise Damaged(folder / LENGTHS, f"{what} {len(self.shards)} sounds", WAY_OUT)

    def __getitem__(self, row: int) -> np.ndarray:
        """(C, T) int16 of one sound."""
        what = f"sound {row} of {self.folder}"
        with reading(what, "FLAC", WAY_OUT):
            samples, _ = soundfile.read(io.BytesIO(self.shards[row]), dtype="int16", always_2d=True)
        if len(samples) != self.length[row]:
            raise Damaged(what, f"{len(samples)} samples, expected {self.length[row]}", WAY_OUT)
        return samples.T

    def content(self, rows: np.ndarray) -> Iterator[bytes]:
        """What tells some of the sounds from others, see ``fingerprint``."""
        yield self.length[rows].tobytes()
        for row in rows[np.linspace(0, len(rows) - 1, min(len(rows), 8)).astype(int)]:
            yield self.shards[row]
