"""A change of the sample rate, and torchaudio where it loads."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from lightning_gans.errors import InputError


def resample(audio: Tensor, source_rate: int, target_rate: int) -> Tensor:
    """Change the sample rate of (..., T) with torchaudio's windowed sinc filter."""
    if source_rate == target_rate:
        return audio
    return torchaudio_functional().resample(audio, source_rate, target_rate)


def torchaudio_functional() -> ModuleType:
    """Torchaudio's functions, imported when the first is needed.

    Raises:
        InputError: where its build does not fit torch's.
    """
    try:
        from torchaudio import functional
    except (ImportError, OSError) as error:
        raise InputError(
            f"torchaudio cannot be loaded beside torch {torch.__version__} ({str(error).splitlines()[0]}); install the"
            " builds that constraints.txt names together"
        ) from error
    return functional
