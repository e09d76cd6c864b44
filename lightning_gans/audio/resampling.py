"""A change of the sample rate, by torchaudio or soxr, and torchaudio where it loads."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import Tensor
from torch.nn.functional import pad

from lightning_gans.errors import InputError

USUAL = 2**19
"""Of two rates without their common divisor, the product: so many weights torchaudio's filter has."""


def resample(audio: Tensor, source_rate: int, target_rate: int) -> Tensor:
    """Change the sample rate of (..., T) with torchaudio's windowed sinc filter, or between odd rates with soxr's.

    The weights of the first are a matrix of one rate by the other: 141,120 for 22050 and 16000 Hz, but 178 million for
    11127 and 16000, which take 2.9 GB and 24 seconds for a second of sound, where soxr takes 1 MB and 7 ms.

    Returns:
        (..., ceil(T * target_rate / source_rate)); without gradients between odd rates.
    """
    if source_rate == target_rate:
        return audio
    common = math.gcd(source_rate, target_rate)
    if source_rate // common * (target_rate // common) <= USUAL:
        return torchaudio_functional().resample(audio, source_rate, target_rate)
    import soxr

    rows = audio.detach().float().cpu().reshape(-1, audio.shape[-1])
    length = -(-audio.shape[-1] * target_rate // source_rate)
    made = torch.from_numpy(soxr.resample(rows.T.numpy(), source_rate, target_rate)).T[:, :length]
    return pad(made, (0, length - made.shape[1])).reshape(*audio.shape[:-1], length).to(audio)


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
