"""Sound files."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from lightning_gans.errors import InputError
from lightning_gans.files.writing import written

INT16_SCALE = 32767
LONGEST = 2**32 - 64
"""Bytes of samples in a wav file, which has 32 bits for its size."""


def write_wav(path: Path, audio: Tensor, sample_rate: int) -> None:
    """Write (C, T) samples as a 16-bit wav file; what lies outside of [-1, 1] is clipped.

    Raises:
        InputError: where the file cannot be written, or samples are not finite; nothing is written then.
    """
    with wav_writer(path, sample_rate, len(audio)) as write:
        write(audio)


@contextmanager
def wav_writer(path: Path, sample_rate: int, channels: int = 1) -> Iterator[Callable[[Tensor], None]]:
    """As ``write_wav``, piece by piece: a function that writes the next samples (C, T)."""

    def write(audio: Tensor) -> None:
        audio = audio.detach().float().cpu()
        if not audio.isfinite().all():
            raise InputError(f"{path} is not written: samples are not finite; take an earlier checkpoint")
        samples = (audio.clamp(-1, 1) * INT16_SCALE).round().to(torch.int16)
        if 2 * (channels * sound.tell() + samples.numel()) > LONGEST:
            raise InputError(f"{path} is not written: it would be larger than a wav file can be; make it in parts")
        sound.writeframesraw(samples.T.numpy().tobytes())

    with written(path) as file, wave.open(file, "wb") as sound:
        sound.setparams((channels, 2, sample_rate, 0, "NONE", ""))
        yield write
