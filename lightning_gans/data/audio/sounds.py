"""Sound files, decoded once into a cache of int16 samples that all processes map.

What fits into memory is held there by the operating system, the rest is read by seeking. int16 is what most files
hold, so that nothing is lost, and half of the bytes of float32 go to the device.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_warn

from lightning_gans.data.audio.decoding import decode, measure
from lightning_gans.data.caching import cache_path, packed
from lightning_gans.data.files import Stamps, describe_broken, first_names
from lightning_gans.data.loading import evenly
from lightning_gans.errors import InputError

SUFFIXES = tuple(".wav .flac .ogg .oga .opus .mp3 .aiff .aif .aifc .au .snd .caf .w64 .rf64".split())
"""What soundfile reads, but for formats without a header."""
UNREAD = tuple(".m4a .m4b .mp4 .aac .wma .webm .mka .amr .ape .wv .tta .ac3".split())
FORMAT = 3
"""Raise it when the same files and settings give other samples, so that old caches are left alone."""
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
        loud: What is to be said of files that reach full scale often, see ``Loudness``.
        root: Where the files lie.
        copies: Of names that are files at another speed, the file and the speed.
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
    loud: dict[str, str] = field(default_factory=dict)
    root: Path = Path()
    copies: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    def __getitem__(self, row: int) -> np.ndarray:
        """(C, T) of one file."""
        start, length = self.start[row], self.length[row]
        return self.samples[start : start + self.channels * length].reshape(self.channels, length)

    def part(self, row: int, begin: int, end: int) -> np.ndarray:
        """(C, end - begin) of one file."""
        return self[row][:, begin:end]

    def without(self, broken: dict[str, str]) -> Sounds:
        """Leave files out, for the reasons given."""
        rows = [row for row, name in enumerate(self.names) if name not in broken]
        names, broken = [self.names[row] for row in rows], self.broken | broken
        return replace(self, names=names, start=self.start[rows], length=self.length[rows], broken=broken)

    def content(self, rows: np.ndarray) -> Iterator[bytes]:
        """What tells some of the files from others, see ``fingerprint``."""
        yield json.dumps([self.channels, self.sample_rate, [self.names[row] for row in rows]]).encode()
        yield self.length[rows].tobytes()
        for row in rows[evenly(len(rows))]:
            yield self[row].ravel()[:SOME_SAMPLES].tobytes()

    def hours(self, rows: np.ndarray | slice = slice(None)) -> float:
        """Hours of sound in some of the files."""
        return float(self.length[rows].sum()) / self.sample_rate / 3600

    def report(self, on_bad_file: str) -> None:
        """Say what was resampled, left out or cut off.

        Raises:
            InputError: for files that cannot be used, unless ``on_bad_file`` is ``skip`` and others are left.
        """
        if self.broken:
            message = describe_broken("sound", self.root, self.broken)
            if on_bad_file == "error" or not self.names:
                fix = "replace or remove them, or leave them out with --data.on_bad_file skip"
                raise InputError(f"{message}; {fix}")
            rank_zero_info(f"{message}; they are left out")
        rates = [f"{n} of {rate} Hz" for rate, n in sorted(self.source_rates.items()) if rate != self.sample_rate]
        if rates:
            rank_zero_info(f"{self.root}: files are resampled to {self.sample_rate} Hz: {', '.join(rates)}")
        if loud := [f"{name} ({remark})" for name, remark in self.loud.items() if name not in self.broken]:
            rank_zero_warn(
                f"{len(loud)} sound file(s) in {self.root} reach full scale often: {first_names(loud)}; they are used,"
                " remove them if they sound distorted, and scale those that are cut off, as --data.normalize peak_file"
                " does"
            )


def decoded_sounds(
    root: Path,
    stamps: Stamps,
    sample_rate: int,
    channels: int,
    peak: float | None = None,
    trim: bool = False,
    copies: Mapping[str, tuple[str, float]] | None = None,
) -> Sounds:
    """Decode sound files, or take the result of an earlier time from the cache.

    Samples are decoded to float32, averaged over the channels for mono, resampled, see ``resample``, trimmed and scaled
    if asked for, cut off at [-1, 1] and rounded to int16.

    Args:
        root: Their folder.
        stamps: Size and time of change by path.
        sample_rate: Of the result, in Hz.
        channels: Of the result. Mono is doubled for stereo, anything is averaged for mono.
        peak: Scale each file so that its loudest sample is this; silence stays silence.
        trim: Cut off both ends as far as they are 60 dB below the loudest frame.
        copies: Further names, for files at another speed, as a tape plays them: twice the speed is an octave higher.

    Returns:
        The files in the order given, those that are no sound or cut short apart, with the reason.

    Raises:
        InputError: for channels that cannot be made from a file's; for a cache that cannot be written.
    """
    listed = [(name, *stamp) for name, stamp in stamps.items()]
    sources = {name: (name, 1.0) for name in stamps} | dict(copies or {})
    key = [*sources.items()] if copies else []
    path = cache_path("audio", ".int16", FORMAT, str(root.resolve()), listed, sample_rate, channels, peak, trim, *key)
    length: dict[str, int] = {}
    rates: dict[str, int] = {}
    silent: list[str] = []
    loud: dict[str, str] = {}

    def read(name: str) -> np.ndarray:
        file, speed = sources[name]
        header = measure(root / file)
        played = header._replace(rate=round(header.rate * speed))
        audio, loudness = decode(root / file, played, sample_rate, channels, peak, trim)
        length[name], rates[name] = audio.shape[1], header.rate
        if not audio.any():
            silent.append(name)
        if not (peak and loudness.is_cut) and (remark := loudness.remark()):
            loud[name] = remark
        return audio

    def facts(names: list[str], _: dict[str, str]) -> dict[str, Any]:
        said = {"silent": sorted(set(silent)), "loud": dict(sorted(loud.items()))}
        return {"length": [length[name] for name in names], "source_rates": Counter(rates.values()), **said}

    samples, index = packed(path, "decoded sounds", np.int16, list(sources), read, facts)
    index |= {key: np.array(index[key], np.int64) for key in ("start", "length")}
    index["source_rates"] = {int(rate): count for rate, count in index["source_rates"].items()}
    return Sounds(samples=samples, channels=channels, sample_rate=sample_rate, root=root, copies=copies or {}, **index)


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
        return f"no file is left for {split}; use more files, or hold out {'fewer' if split == 'train' else 'others'}"
    longest = f"{length.max()} samples ({length.max() / sample_rate:.2f} s at {sample_rate} Hz)"
    return (
        f"no {split} {what}: the longest of {len(length)} files has {longest}, at least {needed}"
        f" ({needed / sample_rate:.2f} s) are needed; use {fix}"
    )
