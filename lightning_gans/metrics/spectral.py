"""Metrics of vocoders that compare spectra: how far is the sound from the recording, whatever its phase?"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lightning_gans.audio import MelConfig, log_mel
from lightning_gans.audio.resampling import resample
from lightning_gans.losses.spectral import MultiResolutionSTFTLoss
from lightning_gans.metrics.paired import Paired

CEPSTRAL_MEL = MelConfig.of("tacotron2")
"""80 bands up to 8 kHz of audio at 22.05 kHz, for every vocoder."""
CEPSTRAL_ORDER = 13


class MelL1(Paired):
    """Mean absolute difference of log-mel features in the vocoder's own convention, without its statistics.

    Only vocoders of one convention can be compared: decades (log10) are 2.3 times fewer than nats, and a lower floor
    makes silence weigh more.
    """

    higher_is_better = False

    def score(self, real: Tensor, fake: Tensor) -> Tensor:
        """Mean over bands and frames."""
        real, fake = log_mel(torch.stack([real, fake]), self.mel)
        return (real - fake).abs().mean()


class STFTDistance(Paired):
    """Spectral convergence plus log magnitude distance, with which Parallel WaveGAN trains, of each utterance alone.

    See ``losses.MultiResolutionSTFTLoss``. Its windows are counted in samples: compare at one sample rate.
    """

    higher_is_better = False

    def __init__(self, mel: MelConfig, **kwargs: Any) -> None:
        super().__init__(mel, **kwargs)
        self.loss = MultiResolutionSTFTLoss()

    def score(self, real: Tensor, fake: Tensor) -> Tensor:
        """Sum of the two parts."""
        return sum(self.loss(fake, real))


class MelCepstralDistortion(Paired):
    """Mel-cepstral distortion in dB (Kubichek 1993): mean over frames of 10 / ln 10 * sqrt(2 * sum of (c_k - c'_k)^2).

    There are several variants, whose values are not to be mixed. Here c_1 to c_13 are the cosine coefficients of the
    natural logarithm of 80 Slaney mel bands (magnitudes, 0 to 8 kHz, 1024 samples every 256 at 22.05 kHz, to which
    other rates are resampled; floor 1e-5), so that ln band_m = c_0 + sum of c_k cos(pi k (m + 1/2) / 80). c_0, the
    loudness, is left out. Frames are compared one to one without time warping, silent ones too.
    """

    higher_is_better = False

    def score(self, real: Tensor, fake: Tensor) -> Tensor:
        """Mean over frames."""
        pair = resample(torch.stack([real, fake]), self.mel.sample_rate, CEPSTRAL_MEL.sample_rate)
        real, fake = log_mel(pair, CEPSTRAL_MEL).double()
        cepstrum = cosines(real.device) @ (real - fake)  # (13, L)
        return 10 / math.log(10) * (2 * cepstrum.square().sum(0)).sqrt().mean()


@lru_cache(maxsize=4)
def cosines(device: torch.device) -> Tensor:
    """Matrix (13, 80) from log bands to cosine coefficients."""
    with torch.inference_mode(False):
        k = torch.arange(1, CEPSTRAL_ORDER + 1, dtype=torch.float64)
        m = torch.arange(CEPSTRAL_MEL.n_mels, dtype=torch.float64)
        matrix = 2 / CEPSTRAL_MEL.n_mels * torch.cos(math.pi / CEPSTRAL_MEL.n_mels * k[:, None] * (m + 0.5))
        return matrix.to(device)
