"""One sound file: what its header says, and its samples as int16."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import pad

from lightning_gans.audio.resampling import resample
from lightning_gans.errors import InputError

INT16_STEPS = 32768
"""Full scale of what is read, as in libsndfile: 16-bit files keep their samples."""
PROMISED = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
UNKNOWN_SIZE = 0x7FFF0000
"""Programs that write into a pipe put this size, or a larger one, into the header: it promises nothing."""
END_MISSING = ("does not match value from 'ds64' chunk", "lacks an end-of-stream", "Ogg : Junk after the last page")
"""How libsndfile's log of RF64, Vorbis and Opus files says so; it opens them all the same."""


class Header(NamedTuple):
    """What a file says of itself: samples per channel, Hz, channels."""

    frames: int
    rate: int
    channels: int


def measure(path: Path) -> Header:
    """Read a file's header.

    Raises:
        ValueError: for a file that is no sound, has no samples, or less data than its header promises.
    """
    import soundfile

    try:
        info = soundfile.info(str(path), verbose=True)
    except soundfile.SoundFileError as error:
        raise ValueError(_reason(error)) from error
    for promised, there in PROMISED.findall(info.extra_info):
        if int(there) < int(promised) < UNKNOWN_SIZE:
            raise ValueError(f"cut short: its header promises {promised} bytes, it holds {there}")
    if any(words in info.extra_info for words in END_MISSING):
        raise ValueError("cut short: its end is missing")
    if not info.frames:
        raise ValueError("no samples")
    return Header(info.frames, info.samplerate, info.channels)


def decode(
    path: Path, header: Header, sample_rate: int, channels: int, peak: float | None, trim: bool
) -> tuple[np.ndarray, int]:
    """Decode, mix, resample, trim and scale one file.

    Returns:
        (C, T) int16, and how many of the file's samples are at full scale.

    Raises:
        ValueError: for a file that cannot be decoded, or holds fewer samples than its header promises.
        InputError: for channels that cannot be made from the file's.
    """
    import soundfile

    if channels != 1 and header.channels not in (1, channels):
        raise InputError(
            f"{path} has {header.channels} channels, of which {channels} cannot be made; use --data.channels 1, which"
            " averages them, or convert it"
        )
    try:
        audio, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise ValueError(f"cut short or damaged: {_reason(error)}") from error
    if len(audio) != header.frames:
        raise ValueError(f"cut short: its header promises {header.frames} samples, it holds {len(audio)}")
    if not np.isfinite(audio).all():
        raise ValueError("samples that are not finite")
    full_scale = int((np.abs(audio) >= 1 - 1 / INT16_STEPS).sum())
    audio = audio.mean(1, keepdims=True) if channels == 1 else audio
    # torchaudio rounds the length of hours of sound to float32
    length = resampled(header, sample_rate)
    audio = resample(torch.from_numpy(audio.T.copy()), rate, sample_rate)[:, :length]
    audio = pad(audio, (0, length - audio.shape[-1])).numpy()
    if trim:
        import librosa

        # as in kan-bayashi's recipes
        audio = librosa.effects.trim(audio, top_db=60, frame_length=2048, hop_length=512)[0]
    if peak and (loudest := np.abs(audio).max()):
        audio = audio / loudest * peak
    audio = np.rint(audio * INT16_STEPS).clip(-INT16_STEPS, INT16_STEPS - 1).astype(np.int16)
    return np.repeat(audio, channels, 0) if len(audio) == 1 else audio, full_scale


def _reason(error: Exception) -> str:
    """What libsndfile says, without the path."""
    return getattr(error, "error_string", str(error)) or "its data cannot be decoded"


def resampled(header: Header, sample_rate: int) -> int:
    """Samples after resampling."""
    return -(-header.frames * sample_rate // header.rate)
