"""Sound files."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from lightning_gans.errors import InputError

INT16_SCALE = 32767


def write_wav(path: Path, audio: Tensor, sample_rate: int) -> None:
    """Write (C, T) samples as a 16-bit wav file; what lies outside of [-1, 1] is clipped.

    Raises:
        InputError: where the file cannot be written, or samples are not finite.
    """
    import soundfile

    audio = audio.detach().float().cpu()
    if not audio.isfinite().all():
        raise InputError(f"{path} is not written: samples are not finite; take an earlier checkpoint")
    samples = (audio.clamp(-1, 1) * INT16_SCALE).round().to(torch.int16)
    try:
        soundfile.write(str(path), samples.T.numpy(), sample_rate, subtype="PCM_16", format="WAV")
    except (OSError, soundfile.SoundFileError) as error:
        raise InputError(f"cannot write {path} ({error}); choose another folder with --output") from error
