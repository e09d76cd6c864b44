"""Log-mel features of whole utterances and of crops."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import pad

from lightning_gans.audio.mel_bands import mel_matrix
from lightning_gans.audio.mel_config import MelConfig
from lightning_gans.audio.stft import hann
from lightning_gans.errors import InputError


def log_mel(audio: Tensor, config: MelConfig) -> Tensor:
    """Features of whole utterances, whose ends are reflected as the convention has it.

    Float32 under any precision, and without a NaN in the gradient of silence.

    Args:
        audio: (..., T) in [-1, 1].
        config: The convention.

    Returns:
        (..., M, L), L = ``config.frames(T)``.

    Raises:
        InputError: for integers, or fewer samples than can be reflected.
    """
    if audio.shape[-1] <= config.margin:
        raise InputError(
            f"{audio.shape[-1]} samples are too few for a mel of n_fft {config.n_fft}; expected at least"
            f" {config.margin + 1}: leave the sound out, or put zeros behind it"
        )
    audio = _floats(audio)
    padded = pad(audio.reshape(-1, audio.shape[-1]), config.padding, mode="reflect")
    return _log_mel_of_frames(padded.view(*audio.shape[:-1], -1), config)


def log_mel_of_crop(audio: Tensor, config: MelConfig) -> Tensor:
    """Features of a part of an utterance: the frames that ``log_mel`` of the whole has there.

    Args:
        audio: (..., T + 2 * config.margin) in [-1, 1], T a multiple of the hop: the crop with what lies around it. The
            crop begins at a multiple of the hop.
        config: The convention.

    Returns:
        (..., M, T / hop_length).

    Raises:
        InputError: for integers, or another number of samples.
    """
    length, hop = audio.shape[-1] - 2 * config.margin, config.hop_length
    if length < hop or length % hop:
        raise InputError(
            f"a crop of {length} samples and {config.margin} at either end is no whole number of frames of {hop};"
            f" take {max(hop, length // hop * hop)}"
        )
    audio = _floats(audio)[..., config.margin - config.padding[0] :]
    return _log_mel_of_frames(audio[..., :-hop] if config.framing == "center" else audio, config)


def _log_mel_of_frames(audio: Tensor, config: MelConfig) -> Tensor:
    """(..., T) to (..., M, L) without any padding."""
    with torch.autocast(audio.device.type, enabled=False):
        spectrum = torch.stft(
            audio.reshape(-1, audio.shape[-1]),
            config.n_fft,
            config.hop_length,
            config.win_length,
            hann(config.win_length, audio.device),
            center=False,
            return_complex=True,
        )  # (N, F, L)
        if config.epsilon:
            magnitude = (torch.view_as_real(spectrum).square().sum(-1) + config.epsilon).sqrt()
        else:
            magnitude = spectrum.abs()  # its gradient at 0 is 0, that of the root is NaN
        mel = _product(bank(config, audio.device), magnitude).clamp(min=config.floor)
        return (mel.log() if config.log == "ln" else mel.log10()).view(*audio.shape[:-1], config.n_mels, -1)


@lru_cache(maxsize=16)
def bank(config: MelConfig, device: torch.device) -> Tensor:
    """Mel bands (M, F), made once per device."""
    with torch.inference_mode(False):
        bank = mel_matrix(
            config.n_mels,
            config.n_fft // 2 + 1,
            config.sample_rate,
            config.f_min,
            config.top,
            config.scale,
            config.norm,
        )
        return bank.T.contiguous().to(device, torch.float32)  # also where the default is another


def _floats(audio: Tensor) -> Tensor:
    if not audio.is_floating_point():
        raise InputError(f"a mel takes samples as floats in [-1, 1], and got {str(audio.dtype)[6:]}; divide them first")
    return audio.float()


def _product(bands: Tensor, magnitude: Tensor) -> Tensor:
    """Matrix product in full float32, though training may have chosen TF32 or bfloat16."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        return bands @ magnitude
    finally:
        torch.set_float32_matmul_precision(precision)
