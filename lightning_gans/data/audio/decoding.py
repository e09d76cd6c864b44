"""One sound file: what its header says, its samples as int16, and how loud they were."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Thread
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from torch.nn.functional import pad

from lightning_gans.audio.resampling import resample
from lightning_gans.errors import InputError
from lightning_gans.files import Damaged, opened

INT16_STEPS = 32768
"""Full scale of what is read, as in libsndfile: 16-bit files keep their samples."""
PROMISED = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
UNKNOWN_SIZE = 0x7FFF0000
"""Programs that write into a pipe put this size, or a larger one, into the header: it promises nothing."""
END_MISSING = ("does not match value from 'ds64' chunk", "lacks an end-of-stream", "Ogg : Junk after the last page")
"""How libsndfile's log of RF64, Vorbis and Opus files says so; it opens them all the same."""


LOOSE_FRAMES, FRAMES_PER_BYTE = 2**24, 2048
"""A file may promise so many samples, and so many more for each of its bytes: an hour of silence is 50 KB of FLAC."""
RATES = (100, 1_536_000)
"""Hz; others are a damaged header's."""
FIRST_FRAME = 2048
"""Bytes that hold the first frame of an MP3, in which it says how long it is."""
BLOCK = 2**20
"""Samples of all channels that are decoded at a time."""
LOUD = 10
"""So many samples at full scale, or fewer, are only loud."""


class Header(NamedTuple):
    """What a file says of itself: samples per channel, Hz, channels."""

    frames: int
    rate: int
    channels: int


class Loudness(NamedTuple):
    """Of a file as it is on disk: how many samples, of all channels, are at full scale or beyond, and the loudest."""

    full_scale: int
    peak: float

    @property
    def is_cut(self) -> bool:
        """Whether int16 does not hold it, as with floats on the scale of 16 bits."""
        return self.full_scale > LOUD and self.peak > 1

    def remark(self) -> str:
        """What a listener might hear of it; empty where there is nothing to hear."""
        if self.is_cut:
            return f"{self.full_scale} samples lie beyond [-1, 1], up to {self.peak:.5g}, and are cut off there"
        return f"{self.full_scale} samples are at full scale; it may be clipped" if self.full_scale > LOUD else ""


def measure(path: Path) -> Header:
    """Read a file's header.

    Raises:
        Damaged: for a file that is no sound, has no samples, or less data than its header promises.
    """
    import soundfile

    with opened(path) as file, _decoding(path):
        size = os.fstat(file.fileno()).st_size
        info = soundfile.info(os.fsencode(path), verbose=True)
        frames = sum(map(len, _blocks(path))) if _is_bare(file) else info.frames
    for promised, held in PROMISED.findall(info.extra_info):
        if int(held) < int(promised) < UNKNOWN_SIZE:
            raise Damaged(path, f"cut short: its header promises {promised} bytes, it holds {held}")
    if any(words in info.extra_info for words in END_MISSING):
        raise Damaged(path, "cut short: its end is missing")
    if not frames:
        raise Damaged(path, "no samples")
    if frames > LOOSE_FRAMES + FRAMES_PER_BYTE * size:
        raise Damaged(path, f"cut short: its header promises {frames} samples, which {size} bytes cannot hold")
    if not RATES[0] <= info.samplerate <= RATES[1]:
        raise Damaged(path, f"its header says {info.samplerate} Hz; expected {RATES[0]} to {RATES[1]}")
    return Header(frames, info.samplerate, info.channels)


def decode(
    path: Path, header: Header, sample_rate: int, channels: int, peak: float | None, trim: bool
) -> tuple[np.ndarray, Loudness]:
    """Decode, mix, resample, trim and scale one file.

    Args:
        path: Of the file.
        header: What ``measure`` gave.
        sample_rate: Of the result, in Hz.
        channels: Of the result.
        peak: The loudest sample of the result; as in the file when not given.
        trim: Cut off both ends as far as they are 60 dB below the loudest frame.

    Returns:
        (C, T) int16, and how loud the file was. What lies outside of [-1, 1] in the end is cut off.

    Raises:
        Damaged: for a file that cannot be decoded, or holds fewer samples than its header promises.
        InputError: for channels that cannot be made from the file's.
    """
    if channels != 1 and header.channels not in (1, channels):
        raise InputError(
            f"{path} has {header.channels} channels, of which {channels} cannot be made; use --data.channels 1, which"
            " averages them, or convert it"
        )
    mixed, loudness = _mixed(path, header, channels)
    # torchaudio rounds the length of hours of sound to float32
    length = resampled(header, sample_rate)
    made = resample(torch.from_numpy(mixed.T.copy()), header.rate, sample_rate)[:, :length]
    audio: np.ndarray = pad(made, (0, length - made.shape[-1])).numpy()
    if trim:
        import librosa

        # as in kan-bayashi's recipes
        audio = librosa.effects.trim(audio, top_db=60, frame_length=2048, hop_length=512)[0]
    if peak and (loudest := np.abs(audio).max()):
        audio = audio / loudest * peak
    audio = np.rint(audio * INT16_STEPS).clip(-INT16_STEPS, INT16_STEPS - 1).astype(np.int16)
    return np.repeat(audio, channels, 0) if len(audio) == 1 else audio, loudness


def _mixed(path: Path, header: Header, channels: int) -> tuple[np.ndarray, Loudness]:
    """Samples (T, C) as float32, averaged where one channel is asked for, and how loud the file is.

    Block by block: what a header promises is not taken on trust, nor are all channels held at once.
    """
    parts, full_scale, peak, frames = list[np.ndarray](), 0, 0.0, 0
    with _decoding(path):
        for block in _blocks(path):
            if not np.isfinite(block).all():
                raise Damaged(path, "samples that are not finite")
            size = np.abs(block)
            full_scale, peak = full_scale + int((size >= 1 - 1 / INT16_STEPS).sum()), max(peak, float(size.max()))
            frames += len(block)
            parts.append(block.mean(1, keepdims=True) if channels == 1 else block)
    if frames != header.frames:
        raise Damaged(path, f"cut short: its header promises {header.frames} samples, it holds {frames}")
    return np.concatenate(parts), Loudness(full_scale, peak)


def _blocks(path: Path) -> Iterator[np.ndarray]:
    """Samples (T, C) as float32, block by block."""
    import soundfile

    class Stream(soundfile.SoundFile):
        """Is not moved to the place behind each block, where it is, as lossy formats begin anew there."""

        def seekable(self) -> bool:
            return False

    with opened(path) as file:
        place = _piped(file) if _is_bare(file) else nullcontext(os.fsencode(path))
        with place as source, Stream(source, closefd=False) as sound:
            while len(block := sound.read(max(1, BLOCK // sound.channels), dtype="float32", always_2d=True)):
                yield block


def _is_bare(file: BinaryIO) -> bool:
    """Whether it is an MP3 that does not say how long it is, so that libsndfile guesses; goes to its first frame."""
    begin = 0
    while (head := file.read(10))[:3] == b"ID3" and len(head) == 10:
        begin += 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        file.seek(begin)
    file.seek(begin)
    frame = file.read(FIRST_FRAME)
    file.seek(begin)
    is_mpeg = frame[:1] == b"\xff" and frame[1:2] >= b"\xe0"
    return is_mpeg and not any(length in frame for length in (b"Xing", b"Info", b"VBRI"))


@contextmanager
def _piped(file: BinaryIO) -> Iterator[int]:
    """The end of a pipe that hands out a file: libsndfile decodes it to its end, not for as long as it guesses."""
    out, into = os.pipe()

    def feed() -> None:
        with suppress(BrokenPipeError), open(into, "wb") as pipe:
            shutil.copyfileobj(file, pipe)

    feeder = Thread(target=feed, daemon=True)
    feeder.start()
    try:
        yield out
    finally:
        os.close(out)
        feeder.join()


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """What libsndfile says, without the path.

    Raises:
        Damaged: for what it cannot read.
    """
    import soundfile

    try:
        yield
    except soundfile.SoundFileError as error:
        reason = getattr(error, "error_string", str(error)) or "its data cannot be decoded"
        raise Damaged(path, f"cut short or damaged: {reason}") from error
    except MemoryError as error:
        raise Damaged(path, "its header promises more than fits into memory") from error


def resampled(header: Header, sample_rate: int) -> int:
    """Samples after resampling."""
    return -(-header.frames * sample_rate // header.rate)
