import math

import numpy as np
import pytest
import torch

from lightning_gans.audio import MelConfig
from lightning_gans.errors import InputError
from lightning_gans.losses.mel import mel_distance, multi_scale


def sine(length: int = 16384, rate: int = 24000) -> torch.Tensor:
    """In float32 throughout, whose rounding the logarithms see."""
    return (0.5 * torch.sin(2 * math.pi * 440 * (torch.arange(length) / rate)))[None, None]


def test_anchors_of_the_authors_code():
    audio, configs = sine(), multi_scale(24000)
    assert mel_distance(0.5 * audio, audio, configs).item() == pytest.approx(1.231035, abs=5e-4)
    assert mel_distance(0 * audio, audio, configs).item() == pytest.approx(8.026326, abs=5e-4)
    assert mel_distance(audio, audio, configs).item() == 0


def test_resolutions():
    configs = multi_scale(44100)
    assert [(c.n_fft, c.hop_length, c.n_mels) for c in configs] == [(32 * n, 8 * n, 5 * n) for n in 2 ** np.arange(7)]
    assert all(c.win_length == c.n_fft for c in configs)
    assert {(c.sample_rate, c.f_min, c.top, c.floor, c.log, c.scale, c.norm, c.epsilon) for c in configs} == {
        (44100, 0.0, 22050.0, 1e-5, "log10", "slaney", "slaney", 0.0)
    }


def test_conventions_are_summed():
    fake, real = torch.rand(2, 2, 1, 4096) - 0.5
    one, two = MelConfig.of("bigvgan"), MelConfig.of("melgan")
    parts = [mel_distance(fake, real, [config]).item() for config in (one, two)]
    assert mel_distance(fake, real, [one, two]).item() == pytest.approx(sum(parts), rel=1e-6)


@pytest.mark.parametrize("rate", [22050, 24000, 44100])
def test_gradients_of_silence_and_sound(rate):
    for gain in (0.0, 1.0):
        fake = (gain * sine(2048)).requires_grad_()
        mel_distance(fake, sine(2048) * 0.7, multi_scale(rate)).backward()
        assert fake.grad.isfinite().all() and bool(fake.grad.any()) == bool(gain)
    with torch.autocast("cpu", torch.bfloat16):
        value = mel_distance(sine(2048).bfloat16(), sine(2048), multi_scale(rate))
    assert value.dtype == torch.float32


def test_too_short():
    with pytest.raises(InputError, match="1024 samples are too few for a mel of n_fft 2048; expected at least 1025"):
        mel_distance(sine(1024), sine(1024), multi_scale(24000))
