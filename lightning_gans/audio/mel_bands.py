"""Mel filter banks: TensorFlow's and librosa's."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from lightning_gans.audio.resampling import torchaudio_functional


@lru_cache(maxsize=16)
def tensorflow_mel_matrix(n_mels: int, n_freqs: int, sample_rate: int, f_min: float, f_max: float) -> Tensor:
    """Mel bands as TensorFlow's ``linear_to_mel_weight_matrix`` has them: HTK's scale, triangles linear in mel.

    torchaudio's and librosa's HTK bands are linear in Hz. No band is normalized, and bin 0 (the mean) belongs to none.

    Args:
        n_mels: M.
        n_freqs: F, bins from 0 to half the sample rate.
        sample_rate: In Hz.
        f_min: Lower edge of the lowest band, in Hz.
        f_max: Upper edge of the highest band, in Hz.

    Returns:
        (F, M), float32, to be multiplied from the right.
    """
    bins = 1127 * torch.linspace(0, sample_rate / 2, n_freqs, dtype=torch.float64).div(700).log1p()
    low, high = (1127 * math.log1p(f / 700) for f in (f_min, f_max))
    edges = torch.linspace(low, high, n_mels + 2, dtype=torch.float64)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    matrix = torch.minimum(rising, falling).clamp(min=0)
    matrix[0] = 0
    return matrix.float()


def mel_matrix(
    n_mels: int, n_freqs: int, sample_rate: int, f_min: float, f_max: float, scale: str, norm: str | None
) -> Tensor:
    """Mel bands as librosa has them: triangles that are linear in Hz.

    Args:
        n_mels: M.
        n_freqs: F, bins from 0 to half the sample rate.
        sample_rate: In Hz.
        f_min: Lower edge of the lowest band, in Hz.
        f_max: Upper edge of the highest band, in Hz.
        scale: Where the bands lie: ``slaney`` (librosa's default) or ``htk``.
        norm: ``slaney`` gives each triangle the area of 1 Hz, None the height of 1.

    Returns:
        (F, M), float32, to be multiplied from the right.
    """
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)  # torchaudio computes in the default, which bf16-true changes
    try:
        return torchaudio_functional().melscale_fbanks(n_freqs, f_min, f_max, n_mels, sample_rate, norm, scale)
    finally:
        torch.set_default_dtype(default)
