"""The constant-Q transform: bins at equal steps of pitch, each over as many periods as the others.

By octaves (Schörkhuber & Klapuri 2010): the highest is taken from the signal, each lower one, with the same kernels,
from the signal at half the rate of the one before. As in nnAudio's ``CQT2010v2``, to rounding.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import conv1d

LOWEST = 32.70
"""Of the lowest bin, in Hz: C1."""
LOW_PASS_TAPS = 256


def octaves_of(audio: Tensor, count: int) -> list[Tensor]:
    """A signal (B, 1, T) in float32 at its rate, at half of it, at a quarter, ..., ``count`` of them."""
    octaves = [audio]
    for _ in range(count - 1):
        taps = half_band(audio.device)
        octaves.append(conv1d(octaves[-1], taps, stride=2, padding=(LOW_PASS_TAPS - 1) // 2))
    return octaves


def constant_q(octaves: list[Tensor], sample_rate: int, hop_length: int, bins_per_octave: int) -> Tensor:
    """The transform of what ``octaves_of`` gave; beyond the ends are zeros.

    Args:
        octaves: The signal at its rate, at half of it, ..., N of them.
        sample_rate: Of the first, in Hz.
        hop_length: Samples of the first from one frame to the next; a multiple of 2^(N - 1).
        bins_per_octave: K.

    Returns:
        Real and imaginary parts (B, 2, N * K, L), from the lowest bin on, L = T / hop_length + 1.
    """
    bins = len(octaves) * bins_per_octave
    kernels = top_kernels(sample_rate, bins, bins_per_octave, octaves[0].device)  # (2 K, 1, N)
    parts = []
    for i, octave in reversed(list(enumerate(octaves))):
        part = conv1d(octave, kernels, stride=hop_length >> i, padding=kernels.shape[-1] // 2)
        parts.append(part.unflatten(1, (2, bins_per_octave)))
    gains = loudness(sample_rate, bins, bins_per_octave, octaves[0].device)
    return torch.cat(parts, 2) * gains[:, None]


def frequencies(bins: int, bins_per_octave: int) -> list[float]:
    """Of all bins, in Hz."""
    return [LOWEST * 2 ** (i / bins_per_octave) for i in range(bins)]


def lengths(sample_rate: int, bins: int, bins_per_octave: int) -> list[int]:
    """Samples that each bin's kernel takes at the full rate."""
    q = 1 / (2 ** (1 / bins_per_octave) - 1)
    return [math.ceil(q * sample_rate / f) for f in frequencies(bins, bins_per_octave)]


@lru_cache(maxsize=16)
def loudness(sample_rate: int, bins: int, bins_per_octave: int, device: torch.device) -> Tensor:
    """Factors (N * K,) that make up for kernels whose absolute values sum to 1, made once per device."""
    with torch.inference_mode(False):
        return torch.tensor(lengths(sample_rate, bins, bins_per_octave)).float().sqrt().to(device)


@lru_cache(maxsize=16)
def top_kernels(sample_rate: int, bins: int, bins_per_octave: int, device: torch.device) -> Tensor:
    """Kernels (2 K, 1, N) of the highest octave, the real parts first, made once per device."""
    top = slice(bins - bins_per_octave, bins)
    widths = lengths(sample_rate, bins, bins_per_octave)[top]
    size = 2 ** math.ceil(math.log2(max(widths)))
    with torch.inference_mode(False):
        kernels = torch.zeros(2, bins_per_octave, size, dtype=torch.float64)
        for k, (frequency, width) in enumerate(zip(frequencies(bins, bins_per_octave)[top], widths, strict=True)):
            start = math.ceil(size / 2 - width / 2) - width % 2
            turns = 2 * math.pi * frequency / sample_rate * (torch.arange(width) + math.floor(-width / 2)).double()
            window = torch.hann_window(width, dtype=torch.float64)
            window = window / window.sum()
            kernels[0, k, start : start + width] = window * turns.cos()
            kernels[1, k, start : start + width] = -window * turns.sin()
        return kernels.flatten(0, 1)[:, None].float().to(device)


@lru_cache(maxsize=16)
def half_band(device: torch.device) -> Tensor:
    """A low-pass filter (1, 1, 256) for half the rate, made once per device.

    Its gain at 257 frequencies, turned into taps and seen through a Hamming window: 1 up to 0.5 / 1.001 of half the
    sample rate, 0 from 0.5005 on, and a line between them.
    """
    with torch.inference_mode(False):
        edge, stop = 0.5 / 1.001, 0.5 * 1.001
        grid = torch.linspace(0, 1, LOW_PASS_TAPS + 1, dtype=torch.float64)
        gain = ((stop - grid) / (stop - edge)).clamp(0, 1)
        delay = torch.polar(gain, -math.pi * (LOW_PASS_TAPS - 1) / 2 * grid)
        window = torch.hamming_window(LOW_PASS_TAPS, periodic=False, dtype=torch.float64)
        return (torch.fft.irfft(delay)[:LOW_PASS_TAPS] * window)[None, None].float().to(device)
