"""Predicted opinion scores of speech, which need no recording, by packages that come with the extra ``mos``.

Both are networks trained on what listeners said, from 1 to 5. DistillMOS sets noise, Griffin-Lim and good vocoders
apart; DNSMOS, made for noise suppression, sees the noise and cannot rank good vocoders.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from functools import lru_cache

import torch
from torch import Tensor, nn

from lightning_gans.audio.resampling import resample
from lightning_gans.metrics.perceptual import Perceptual

RATE = 16000
"""Of both networks, in Hz."""


class DistillMOS(Perceptual):
    """Speech quality from 1 to 5 as DistillMOS predicts it (Stahl & Gamper 2025, https://arxiv.org/abs/2502.05356)."""

    package, extra = "distillmos", "mos"

    def score(self, real: Tensor, fake: Tensor) -> Tensor:
        """Of one utterance."""
        with torch.no_grad():
            return distillmos(fake.device)(resample(fake, self.mel.sample_rate, RATE)[None])[0, 0]


class DNSMOS(Perceptual):
    """Overall quality from 1 to 5 as DNSMOS predicts it for noisy speech (Reddy et al. 2021)."""

    package, extra = "speechmos", "mos"

    def score(self, real: Tensor, fake: Tensor) -> float:
        """Of one utterance; samples beyond [-1, 1] are clipped."""
        from speechmos import dnsmos

        audio = resample(fake, self.mel.sample_rate, RATE).clamp(-1, 1).cpu().numpy()
        return float(dnsmos.run(audio, RATE)["ovrl_mos"])


@lru_cache(maxsize=1)
def distillmos(device: torch.device) -> nn.Module:
    """DistillMOS with the weights that its package holds; making it must not change a run's random numbers."""
    from distillmos import ConvTransformerSQAModel

    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), redirect_stdout(io.StringIO()):
        return ConvTransformerSQAModel().eval().requires_grad_(False).to(device)
