"""From the features of one convention to those of another, and back to sound without a vocoder."""

from __future__ import annotations

import math
from dataclasses import fields

import torch
from torch import Tensor
from torch.nn.functional import pad

from lightning_gans.audio.mel import bank
from lightning_gans.audio.mel_config import MelConfig, difference
from lightning_gans.audio.resampling import torchaudio_functional
from lightning_gans.audio.stft import hann
from lightning_gans.errors import InputError

MOMENTUM = 0.99


def convert(
    mel: Tensor,
    source: MelConfig,
    target: MelConfig,
    source_statistics: tuple[Tensor, Tensor] | None = None,
    target_statistics: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Features of one convention in another, where that is exact: another logarithm, statistics, a higher floor.

    Args:
        mel: (..., M, L) in the source's convention.
        source: The convention of ``mel``.
        target: That of the result.
        source_statistics: Mean and deviation, (M,) each, by which ``mel`` was normalized; None if it was not.
        target_statistics: Those by which to normalize the result.

    Returns:
        (..., M, L), float32.

    Raises:
        InputError: where the features do not determine those of the target, with the reason.
    """
    others = {item.name for item in fields(MelConfig) if item.compare} - {"log", "floor"}
    if any(getattr(source, name) != getattr(target, name) for name in others) or target.floor < source.floor:
        raise InputError(
            f"mels of {source.name} cannot become those of {target.name}: {difference(source, target)}; only another"
            " logarithm, other statistics and a higher floor are exact, so make them from the audio"
        )
    mel = mel.float()
    if source_statistics is not None:
        mean, scale = (x.to(mel)[:, None] for x in source_statistics)
        mel = mel * scale + mean
    if source.log != target.log:
        mel = mel * (math.log(10) if target.log == "ln" else 1 / math.log(10))
    if target.floor > source.floor:
        mel = mel.clamp(min=target.lowest)
    if target_statistics is not None:
        mean, scale = (x.to(mel)[:, None] for x in target_statistics)
        mel = (mel - mean) / scale
    return mel


def griffin_lim_of_mel(mel: Tensor, config: MelConfig, length: int, iterations: int = 32) -> Tensor:
    """Sound of log-mel features without a network: what a vocoder has to beat.

    The pseudo-inverse of the bands gives magnitudes; their phases are found by the fast Griffin-Lim algorithm
    (Perraudin et al. 2013, https://doi.org/10.1109/WASPAA.2013.6701851, alpha = 0.99), from a phase of zero, so that
    the result is always the same.

    Args:
        mel: (..., M, L) in the convention, not normalized.
        config: The convention.
        length: T, samples to return, at most ``config.samples(L)``.
        iterations: Projections.

    Returns:
        (..., length).

    Raises:
        InputError: for another number of bands or too few frames.
    """
    if mel.dim() < 2 or mel.shape[-2] != config.n_mels or length > config.samples(mel.shape[-1]):
        raise InputError(
            f"a mel {tuple(mel.shape)} for {length} samples; expected (..., {config.n_mels}, at least"
            f" {math.ceil(length / config.hop_length)} frames)"
        )
    with torch.autocast(mel.device.type, enabled=False):
        shape, mel = mel.shape[:-2], mel.reshape(-1, *mel.shape[-2:]).float()
        bands = mel.exp() if config.log == "ln" else 10**mel
        magnitude = (torch.linalg.pinv(bank(config, mel.device)) @ bands).clamp(min=0)  # (N, F, L)
        audio = torchaudio_functional().griffinlim(
            pad(magnitude, (1, 1), mode="replicate"),  # whole overlap at both ends
            hann(config.win_length, mel.device),
            config.n_fft,
            config.hop_length,
            config.win_length,
            power=1.0,
            n_iter=iterations,
            momentum=MOMENTUM,
            length=None,
            rand_init=False,
        )
        # The middle of the frame that was put in front lies this far before the first sample.
        before = config.hop_length // 2 if config.framing == "hop" else config.hop_length
        return audio[:, before : before + length].reshape(*shape, length)
