"""Short-time Fourier transforms as TensorFlow frames them, their inverse, and the method of Griffin and Lim.

They work on (..., T) samples in [-1, 1] and on any device, in float32 whatever the autocast setting: the logarithm of a
half-precision magnitude is mostly rounding.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import fold, pad

LEAST_ENVELOPE = 0.1


def stft(audio: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """Short-time Fourier transform of frames that begin at each multiple of the hop, the last ones padded with zeros.

    The window is the periodic Hann window of ``n_fft`` samples. There is no centring: frame l covers the samples from
    ``l * hop_length`` on, as in TensorFlow with ``pad_end``.

    Args:
        audio: (..., T).
        n_fft: Samples of a frame.
        hop_length: Samples from one frame to the next.

    Returns:
        (..., F, L) complex, F = n_fft / 2 + 1, L = T / hop_length rounded up.
    """
    with torch.autocast(audio.device.type, enabled=False):
        audio = audio.float()
        frames = math.ceil(audio.shape[-1] / hop_length)
        audio = pad(audio, (0, (frames - 1) * hop_length + n_fft - audio.shape[-1]))
        spectrum = torch.stft(
            audio.reshape(-1, audio.shape[-1]),
            n_fft,
            hop_length,
            window=hann(n_fft, audio.device),
            center=False,
            return_complex=True,
        )
        return spectrum.view(*audio.shape[:-1], *spectrum.shape[1:])


def istft(spectrum: Tensor, n_fft: int, hop_length: int, length: int, normalized: bool = True) -> Tensor:
    """Overlap and add what ``stft`` has taken apart.

    Args:
        spectrum: (..., F, L) complex.
        n_fft: Samples of a frame.
        hop_length: Samples from one frame to the next.
        length: T, samples to return.
        normalized: Divide by the sum of the squared windows, which inverts ``stft`` exactly but for the first fifth of
            a frame: where that sum is below ``LEAST_ENVELOPE``, the result fades in, since a spectrum that belongs to
            no signal would click. False leaves the sum in, so that the gain swings between 0.5 and 1 within each hop
            of half a frame.

    Returns:
        (..., length).
    """
    with torch.autocast(spectrum.device.type, enabled=False):
        window = hann(n_fft, spectrum.device)
        frames = torch.fft.irfft(spectrum, n_fft, dim=-2) * window[:, None]  # (..., N, L)
        audio = overlap_add(frames.flatten(0, -3) if frames.dim() > 2 else frames[None], hop_length)
        if normalized:
            envelope = overlap_add(window.square()[None, :, None].expand(1, -1, frames.shape[-1]), hop_length)
            audio = audio / envelope.clamp(min=LEAST_ENVELOPE)
        return pad(audio, (0, max(0, length - audio.shape[-1])))[..., :length].reshape(*spectrum.shape[:-2], length)


def overlap_add(frames: Tensor, hop_length: int) -> Tensor:
    """Sum frames (B, N, L), each a hop behind the one before, to (B, (L - 1) * hop_length + N)."""
    batch, size, count = frames.shape
    length = (count - 1) * hop_length + size
    if size % hop_length == 0:  # hop by hop, which is faster
        total = frames.new_zeros(batch, length // hop_length, hop_length)
        for i, part in enumerate(frames.mT.split(hop_length, -1)):
            total[:, i : i + count] += part
        return total.flatten(1)
    return fold(frames, (1, length), (1, frames.shape[1]), stride=(1, hop_length))[:, 0, 0]


def griffin_lim(
    magnitude: Tensor, n_fft: int, hop_length: int, length: int, iterations: int = 16, normalized: bool = True
) -> Tensor:
    """Samples whose spectrum has about the given magnitude (Griffin & Lim 1984), from a phase of zero.

    Args:
        magnitude: (..., F, L).
        n_fft: Samples of a frame.
        hop_length: Samples from one frame to the next.
        length: T, samples to return.
        iterations: Projections.
        normalized: Of the inverse transform; see ``istft``.

    Returns:
        (..., length).
    """
    magnitude = magnitude.float()
    spectrum = magnitude.to(torch.complex64)
    for _ in range(iterations):
        estimate = stft(istft(spectrum, n_fft, hop_length, length, normalized), n_fft, hop_length)
        spectrum = magnitude * estimate / estimate.abs().clamp(min=1e-8)
    return istft(spectrum, n_fft, hop_length, length, normalized)


@lru_cache(maxsize=16)
def hann(n_fft: int, device: torch.device) -> Tensor:
    """The periodic Hann window in float32, made once per device."""
    with torch.inference_mode(False):
        return torch.hann_window(n_fft, device=device, dtype=torch.float32)
