"""Sounds in shards: each a FLAC file of the int16 samples that training decodes, so that nothing is lost on the way."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from lightning_gans.data.audio.decoding import FRAMES_PER_BYTE, LOOSE_FRAMES
from lightning_gans.data.audio.sounds import Sounds
from lightning_gans.data.loading import evenly
from lightning_gans.data.places import Place
from lightning_gans.data.shards import SHARD_BYTES, WAY_OUT, Shards, encoded, write_shards
from lightning_gans.files import Damaged, reading
from lightning_gans.files.arrays import mapped
from lightning_gans.files.limits import LARGEST

LENGTHS = "lengths.npy"
COMPARED = 8
"""Sounds that speak for all in a fingerprint, beside the lengths of all: each may lie in a shard of its own."""


def write_sounds(folder: Path, sounds: Sounds, rows: np.ndarray, shard_bytes: int = SHARD_BYTES) -> None:
    """Write some of the decoded files as shards, with their lengths beside.

    Args:
        folder: Where to, see ``write_shards``.
        sounds: Decoded files: int16, at the rate of the training, whatever the files held.
        rows: (N,) which.
        shard_bytes: Of a shard, about.
    """

    def flac(row: int) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, sounds[row].T, sounds.sample_rate, format="FLAC", subtype="PCM_16")
        return file.getvalue()

    write_shards(folder, encoded(flac, rows, f"{folder.name} sounds"), shard_bytes)
    np.save(folder / LENGTHS, sounds.length[rows].astype(np.int64))


class ShardedSounds:
    """What ``write_sounds`` has written, with ``part`` as ``Sounds`` have it; a sound is decoded when it is asked for.

    Args:
        place: Of the shards.

    Attributes:
        length: (N,) T of each sound.
        ends: (S,) as those of ``Shards``.

    Raises:
        InputError: for shards or lengths that are damaged or do not belong together.
    """

    def __init__(self, place: Place) -> None:
        self.root, self.shards = place, Shards(place)
        self.length, self.ends = np.array(mapped(place.file(LENGTHS, LARGEST), WAY_OUT)), self.shards.ends
        if self.length.dtype != np.int64 or self.length.shape != (len(self.shards),) or (self.length < 1).any():
            what = f"{self.length.dtype} of shape {self.length.shape}, expected a length for each of"
            raise Damaged(place.folder / LENGTHS, f"{what} {len(self.shards)} sounds", WAY_OUT)

    def part(self, row: int, begin: int, end: int) -> np.ndarray:
        """(1, end - begin) int16 of one sound; what lies before and behind is not decoded."""
        example, length = self.shards[row], int(self.length[row])
        where = f"sound {row} of {self.root}"
        with reading(where, "FLAC", WAY_OUT), soundfile.SoundFile(io.BytesIO(example)) as file:
            found = (file.format, file.subtype, file.channels, file.frames)
            if found != ("FLAC", "PCM_16", 1, length) or length > LOOSE_FRAMES + FRAMES_PER_BYTE * len(example):
                raise ValueError(f"{found} in {len(example)} bytes; {length} samples are expected")
            file.seek(begin)
            return file.read(end - begin, dtype="int16", always_2d=True).T

    def content(self, rows: np.ndarray) -> Iterator[bytes]:
        """What tells some of the sounds from others, see ``fingerprint``."""
        yield self.length[rows].tobytes()
        for row in rows[evenly(len(rows), COMPARED)]:
            yield self.shards[row]
