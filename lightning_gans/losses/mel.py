"""Distances of log-mel spectrograms."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_gans.audio import MelConfig, log_mel

WINDOWS = (32, 64, 128, 256, 512, 1024, 2048)
BANDS = (5, 10, 20, 40, 80, 160, 320)


def multi_scale(sample_rate: int) -> tuple[MelConfig, ...]:
    """The seven spectrograms that BigVGAN v2 is held to: decimal logarithms, from windows of 32 to 2,048 samples.

    After Kumar et al. 2023, https://arxiv.org/abs/2306.06546, section 3.5. Not stated there: taken from BigVGAN's code:
    the bands, and hops of a quarter of a window.
    """
    return tuple(
        MelConfig(
            "bigvgan", sample_rate, n_fft=window, hop_length=window // 4, win_length=window, n_mels=bands, log="log10",
            framing="center",
        )
        for window, bands in zip(WINDOWS, BANDS, strict=True)
    )  # fmt: skip


def mel_distance(fake: Tensor, real: Tensor, configs: Sequence[MelConfig]) -> Tensor:
    """Mean absolute difference of log-mel spectrograms, summed over conventions; float32 under any precision.

    Args:
        fake: (B, 1, T) in [-1, 1].
        real: The same shape. No gradient flows into it.
        configs: What is compared.

    Raises:
        InputError: as ``log_mel``, for fewer samples than can be reflected.
    """
    with torch.no_grad():
        targets = [log_mel(real, config) for config in configs]
    gaps = [(log_mel(fake, config) - target).abs().mean() for config, target in zip(configs, targets, strict=True)]
    return torch.stack(gaps).sum()
