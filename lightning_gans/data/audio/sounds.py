"""Sound files, decoded once into a cache of int16 samples that all processes map.

What fits into memory is held there by the operating system, the rest is read by seeking. int16 is what most files
hold, so that nothing is lost, and half of the bytes of float32 go to the device.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path

import numpy as np

from lightning_gans.data.audio.decoding import Header, decode, measure, resampled
from lightning_gans.data.caching import cache_path, read_ahead, threads, written_whole
from lightning_gans.data.loading import evenly
from lightning_gans.errors import InputError, one_line

SUFFIXES = tuple(".wav .flac .ogg .oga .opus .mp3 .aiff .aif .aifc .au .snd .caf .w64 .rf64".split())
"""What soundfile reads, but for formats without a header."""
FORMAT = 1
"""Raise it when the same files and settings give other samples, so that old caches are left alone."""
CLIPPED = 10
"""So many samples at full scale, or fewer, are only loud."""
CHUNK = 64
SOME_SAMPLES = 32768
"""Of a file, from its beginning, which its fingerprint is of."""


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
        silent: Files of zeros only.
        clipped: How many samples are at full scale, for files with more than ``CLIPPED``.
    """

    names: list[str]
    samples: np.ndarray
    start: np.ndarray
    length: np.ndarray
    channels: int
    sample_rate: int
    source_rates: dict[int, int]
    broken: dict[str, str]
    silent: list[str] = field(default_factory=list)
    clipped: dict[str, int] = field(default_factory=dict)

    def without(self, broken: dict[str, str]) -> Sounds:
        """Leave files out, for the reasons given."""
        rows = [row for row, name in enumerate(self.names) if name not in broken]
        return replace(
            self,
            names=[self.names[row] for row in rows],
            start=self.start[rows],
            length=self.length[rows],
            broken=self.broken | broken,
        )

    def content(self, rows: np.ndarray) -> Iterator[bytes]:
        """What tells some of the files from others, see ``fingerprint``."""
        yield json.dumps([self.channels, self.sample_rate, [self.names[row] for row in rows]]).encode()
        yield self.length[rows].tobytes()
        for row in rows[evenly(len(rows))]:
            start = self.start[row]
            yield self.samples[start : start + min(self.channels * self.length[row], SOME_SAMPLES)].tobytes()

    def hours(self, rows: np.ndarray | slice = slice(None)) -> float:
        """Hours of sound in some of the files."""
        return float(self.length[rows].sum()) / self.sample_rate / 3600


def decoded_sounds(
    root: Path,
    stamps: dict[str, tuple[int, int]],
    sample_rate: int,
    channels: int,
    peak: float | None = None,
    trim: bool = False,
) -> Sounds:
    """Decode sound files, or take the result of an earlier time from the cache.

    Samples are decoded to float32, averaged over the channels for mono, resampled with torchaudio's windowed sinc
    filter, trimmed and scaled if asked for, clipped to [-1, 1] and rounded to int16.

    Args:
        root: Their folder.
        stamps: Size and time of change by path.
        sample_rate: Of the result, in Hz.
        channels: Of the result. Mono is doubled for stereo, anything is averaged for mono.
        peak: Scale each file so that its loudest sample is this; silence stays silence.
        trim: Cut off both ends as far as they are 60 dB below the loudest frame.

    Returns:
        The files in the order given, those that are no sound or cut short apart, with the reason.

    Raises:
        InputError: for channels that cannot be made from a file's; for a cache that cannot be written.
    """
    listed = [(name, *stamp) for name, stamp in stamps.items()]
    path = cache_path("audio", ".int16", FORMAT, str(root.resolve()), listed, sample_rate, channels, peak, trim)
    index = path.with_suffix(".json")
    if not (path.is_file() and index.is_file()):
        _fill(path, index, root, list(stamps), sample_rate, channels, peak, trim)
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
        silent=table["silent"],
        clipped=table["clipped"],
    )


def _fill(
    path: Path,
    index: Path,
    root: Path,
    names: list[str],
    sample_rate: int,
    channels: int,
    peak: float | None,
    trim: bool,
) -> None:
    """Write the samples and then their index."""
    broken: dict[str, str] = {}
    length: dict[str, int] = {}
    silent: set[str] = set()
    clipped: dict[str, int] = {}
    headers: dict[str, Header] = {}

    def look(name: str) -> None:
        headers[name] = measure(root / name)

    each("measuring sounds", names, look, broken)
    good = [name for name in names if name in headers]
    _require_channels(root, headers, channels)
    sizes = [channels * resampled(headers[name], sample_rate) for name in good]
    start = dict(zip(good, accumulate(sizes[:-1], initial=0), strict=False))
    total = sum(sizes)
    with written_whole(path, 2 * total, "decoded sounds") as temporary:
        samples = np.memmap(temporary, np.int16, "r+", shape=(total,)) if total else np.zeros(0, np.int16)

        def work(name: str) -> None:
            audio, full_scale = decode(root / name, headers[name], sample_rate, channels, peak, trim)
            samples[start[name] : start[name] + audio.size] = audio.ravel()
            length[name] = audio.shape[1]
            if not audio.any():
                silent.add(name)
            if full_scale > CLIPPED:
                clipped[name] = full_scale

        each("decoding sounds", good, work, broken)
        if total:
            samples.flush()
    good = [name for name in good if name not in broken]
    table = {
        "names": good,
        "start": [start[name] for name in good],
        "length": [length[name] for name in good],
        "source_rates": Counter(headers[name].rate for name in good),
        "broken": broken,
        "silent": sorted(silent),
        "clipped": dict(sorted(clipped.items())),
    }
    content = json.dumps(table).encode()
    with written_whole(index, len(content), "decoded sounds") as temporary:
        temporary.write_bytes(content)


def _require_channels(root: Path, headers: dict[str, Header], channels: int) -> None:
    """Only mono can be made from anything, and anything from mono."""
    odd = {name: header.channels for name, header in headers.items() if header.channels not in (1, channels)}
    if odd and channels != 1:
        name, given = next(iter(odd.items()))
        raise InputError(
            f"{len(odd)} sound file(s) in {root} have neither 1 nor {channels} channels, such as {name} with {given};"
            " use --data.channels 1, which averages them, or convert these files"
        )


def each(what: str, names: Sequence[str], work: Callable[[str], None], broken: dict[str, str]) -> None:
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
                broken[name] = one_line(error)
        with lock:
            bar.update(len(part))

    with bar, ThreadPoolExecutor(threads()) as pool:
        list(pool.map(chunk, range(0, len(names), CHUNK)))
