"""Sound files, decoded once into a cache of int16 samples that all processes map.

What fits into memory is held there by the operating system, the rest is read by seeking. int16 is what most files
hold, so that nothing is lost, and half of the bytes of float32 go to the device.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import pad

from lightning_gans.audio import resample
from lightning_gans.data.caching import cache_path, read_ahead, threads, written_whole
from lightning_gans.errors import InputError

SUFFIXES = tuple(".wav .flac .ogg .oga .opus .mp3 .aiff .aif .aifc .au .snd .caf .w64 .rf64".split())
"""What soundfile reads, but for formats without a header."""
FORMAT = 1
"""Raise it when the same files and settings give other samples, so that old caches are left alone."""
INT16_STEPS = 32768
"""Full scale of what is read, as in libsndfile: 16-bit files keep their samples."""
PROMISED = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
UNKNOWN_SIZE = 0x7FFF0000
"""Programs that write into a pipe put this size, or a larger one, into the header: it promises nothing."""
END_MISSING = ("does not match value from 'ds64' chunk", "lacks an end-of-stream", "Ogg : Junk after the last page")
"""How libsndfile's log of RF64, Vorbis and Opus files says so; it opens them all the same."""
CHUNK = 64


class Header(NamedTuple):
    """What a file says of itself: samples per channel, Hz, channels."""

    frames: int
    rate: int
    channels: int


@dataclass(frozen=True)
class Sounds:
    """Decoded files.

    Attributes:
        names: Those that could be decoded.
        samples: int16, mapped from the cache: one file after the other, (C, T) each.
        start: (N,) where each file begins.
        length: (N,) its T, at the wanted rate.
        channels: C.
        sample_rate: In Hz.
        source_rates: How many files have which rate.
        broken: Why the others could not be decoded.
    """

    names: list[str]
    samples: np.ndarray
    start: np.ndarray
    length: np.ndarray
    channels: int
    sample_rate: int
    source_rates: dict[int, int]
    broken: dict[str, str]

    def hours(self, rows: np.ndarray | slice = slice(None)) -> float:
        """Hours of sound in some of the files."""
        return float(self.length[rows].sum()) / self.sample_rate / 3600


def decoded_sounds(
    root: Path, stamps: dict[str, tuple[int, int]], sample_rate: int, channels: int, peak: bool = False
) -> Sounds:
    """Decode sound files, or take the result of an earlier time from the cache.

    Samples are decoded to float32, averaged over the channels for mono, resampled with torchaudio's windowed sinc
    filter, clipped to [-1, 1] and rounded to int16.

    Args:
        root: Their folder.
        stamps: Size and time of change by path.
        sample_rate: Of the result, in Hz.
        channels: Of the result. Mono is doubled for stereo, anything is averaged for mono.
        peak: Scale each file so that its loudest sample is 1; silence stays silence.

    Returns:
        The files in the order given, those that are no sound or cut short apart, with the reason.

    Raises:
        InputError: for channels that cannot be made from a file's; for a cache that cannot be written.
    """
    listed = [(name, *stamp) for name, stamp in stamps.items()]
    path = cache_path("audio", ".int16", FORMAT, str(root.resolve()), listed, sample_rate, channels, peak)
    index = path.with_suffix(".json")
    if not (path.is_file() and index.is_file()):
        _fill(path, index, root, list(stamps), sample_rate, channels, peak)
    read_ahead(path)
    table = json.loads(index.read_text(encoding="utf-8"))
    return Sounds(
        names=table["names"],
        samples=np.memmap(path, np.int16, "r") if path.stat().st_size else np.zeros(0, np.int16),
        start=np.array(table["start"], np.int64),
        length=np.array(table["length"], np.int64),
        channels=channels,
        sample_rate=sample_rate,
        source_rates={int(rate): count for rate, count in table["source_rates"].items()},
        broken=table["broken"],
    )


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


def decode(path: Path, header: Header, sample_rate: int, channels: int, peak: bool) -> np.ndarray:
    """Decode, mix and resample one file.

    Returns:
        (C, T) int16.

    Raises:
        ValueError: for a file that cannot be decoded, or holds fewer samples than its header promises.
    """
    import soundfile

    try:
        audio, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise ValueError(f"cut short or damaged: {_reason(error)}") from error
    if len(audio) != header.frames:
        raise ValueError(f"cut short: its header promises {header.frames} samples, it holds {len(audio)}")
    if not np.isfinite(audio).all():
        raise ValueError("samples that are not finite")
    audio = audio.mean(1, keepdims=True) if channels == 1 else audio
    # torchaudio rounds the length of hours of sound to float32
    length = _resampled(header, sample_rate)
    audio = resample(torch.from_numpy(audio.T.copy()), rate, sample_rate)[:, :length]
    audio = pad(audio, (0, length - audio.shape[-1])).numpy()
    if peak and (loudest := np.abs(audio).max()):
        audio = audio / loudest
    audio = np.rint(audio * INT16_STEPS).clip(-INT16_STEPS, INT16_STEPS - 1).astype(np.int16)
    return np.repeat(audio, channels, 0) if len(audio) == 1 else audio


def _reason(error: Exception) -> str:
    """What libsndfile says, without the path."""
    return getattr(error, "error_string", str(error)) or "its data cannot be decoded"


def _fill(path: Path, index: Path, root: Path, names: list[str], sample_rate: int, channels: int, peak: bool) -> None:
    """Write the samples and then their index."""
    broken: dict[str, str] = {}
    headers: dict[str, Header] = {}

    def look(name: str) -> None:
        headers[name] = measure(root / name)

    _each("measuring sounds", names, look, broken)
    good = [name for name in names if name in headers]
    _require_channels(root, headers, channels)
    sizes = [channels * _resampled(headers[name], sample_rate) for name in good]
    start = dict(zip(good, accumulate(sizes[:-1], initial=0), strict=False))
    total = sum(sizes)
    with written_whole(path, 2 * total, "decoded sounds") as temporary:
        samples = np.memmap(temporary, np.int16, "r+", shape=(total,)) if total else np.zeros(0, np.int16)

        def work(name: str) -> None:
            audio = decode(root / name, headers[name], sample_rate, channels, peak)
            samples[start[name] : start[name] + audio.size] = audio.ravel()

        _each("decoding sounds", good, work, broken)
        if total:
            samples.flush()
    good = [name for name in good if name not in broken]
    table = {
        "names": good,
        "start": [start[name] for name in good],
        "length": [_resampled(headers[name], sample_rate) for name in good],
        "source_rates": Counter(headers[name].rate for name in good),
        "broken": broken,
    }
    content = json.dumps(table).encode()
    with written_whole(index, len(content), "decoded sounds") as temporary:
        temporary.write_bytes(content)


def _resampled(header: Header, sample_rate: int) -> int:
    """Samples after resampling."""
    return -(-header.frames * sample_rate // header.rate)


def _require_channels(root: Path, headers: dict[str, Header], channels: int) -> None:
    """Only mono can be made from anything, and anything from mono."""
    odd = {name: header.channels for name, header in headers.items() if header.channels not in (1, channels)}
    if odd and channels != 1:
        name, given = next(iter(odd.items()))
        raise InputError(
            f"{len(odd)} sound file(s) in {root} have neither 1 nor {channels} channels, such as {name} with {given};"
            " use --data.channels 1, which averages them, or convert these files"
        )


def _each(what: str, names: Sequence[str], work: Callable[[str], None], broken: dict[str, str]) -> None:
    """Do something with each file in threads; ``broken`` takes the reasons of those for which it fails."""
    from tqdm import tqdm

    bar = tqdm(total=len(names), desc=what, unit="", delay=2, leave=False)
    lock = threading.Lock()

    def chunk(start: int) -> None:
        part = names[start : start + CHUNK]
        for name in part:
            try:
                work(name)
            except InputError:  # about all files, not this one
                raise
            except (OSError, ValueError) as error:
                broken[name] = " ".join(str(error).split()) or type(error).__name__
        with lock:
            bar.update(len(part))

    with bar, ThreadPoolExecutor(threads()) as pool:
        list(pool.map(chunk, range(0, len(names), CHUNK)))
