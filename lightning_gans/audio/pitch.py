"""The pitch of speech."""

from __future__ import annotations

import torch
from torch import Tensor

PITCH_RANGE, PITCH_FRAME = (65.0, 600.0), 0.09
"""In Hz, and in seconds."""


def pitch(audio: Tensor, sample_rate: int) -> tuple[Tensor, Tensor]:
    """Fundamental frequency of speech by pYIN (Mauch & Dixon 2014), 100 frames a second, on the CPU.

    Args:
        audio: (T,) in [-1, 1].
        sample_rate: In Hz.

    Returns:
        Frequency in Hz between ``PITCH_RANGE``'s ends, NaN where there is no voice; whether there is one; (L,) each.
    """
    import librosa

    low, high = PITCH_RANGE
    frame = round(PITCH_FRAME * sample_rate / 2) * 2
    samples = audio.detach().float().cpu().numpy()
    frequency, voiced, _ = librosa.pyin(
        samples, fmin=low, fmax=high, sr=sample_rate, frame_length=frame, hop_length=sample_rate // 100
    )
    return torch.from_numpy(frequency), torch.from_numpy(voiced)
