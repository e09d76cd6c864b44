"""Sounds that are so like speech that what judges speech has something to judge."""

import math

import torch


def vowels(count, seed=0):
    """Harmonics of a voice through two formants, (count, 1, 16384): so like speech that the guesses vary."""
    pitch, first, second, center, width = torch.rand(5, count, 1, 1, generator=torch.Generator().manual_seed(seed))
    time = torch.arange(16_384) / 16_000
    frequency = torch.arange(1, 30)[:, None] * (100 + 60 * pitch)  # (count, 29, 1)
    gain = sum(
        weight / (1 + ((frequency - formant) / 90) ** 2)
        for weight, formant in ((1, 300 + 500 * first), (0.4, 900 + 1_400 * second))
    )
    voice = (0.1 * gain * (6.2832 * frequency * time).sin()).sum(1, keepdim=True)
    return voice * (-(((time - 0.15 - 0.2 * center) / (0.08 + 0.12 * width)) ** 2)).exp()


def voice(pitch: float = 150, seconds: float = 0.5, noise: float = 0.0, onset: float = 0.1) -> torch.Tensor:
    """Harmonics that fall off by 12 dB an octave, a breath before them, (1, 1, T) at 22.05 kHz."""
    time = torch.arange(int(seconds * 22_050) // 256 * 256) / 22_050
    sound = sum(torch.sin(2 * math.pi * pitch * k * time) / k**2 for k in range(1, 20)) * (time > onset)
    breath = torch.randn(len(time), generator=torch.Generator().manual_seed(0))
    return (0.3 * sound + (0.003 + noise) * breath)[None, None]
