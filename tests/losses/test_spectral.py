import math

import numpy as np
import pytest
import torch

from lightning_gans.errors import InputError
from lightning_gans.losses import MultiResolutionSTFTLoss
from lightning_gans.losses.spectral import RESOLUTIONS, magnitude


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) - 0.5


def test_the_papers_resolutions():
    """FFT sizes, hops and windows of table 1, in samples at 24 kHz."""
    assert RESOLUTIONS == ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_magnitudes(resolution):
    """Of a frame in numpy: reflected ends, the window in the middle of its zeros."""
    n_fft, hop, win = resolution
    audio = noise(2, 1, 4_096)
    made = magnitude(audio, *resolution)
    assert made.shape == (2, n_fft // 2 + 1, 1 + 4_096 // hop)
    window = np.zeros(n_fft)
    start = (n_fft - win) // 2
    window[start : start + win] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(win) / win)
    padded = np.pad(audio[1, 0].double().numpy(), n_fft // 2, mode="reflect")
    for frame in (0, 1, 7, 4_096 // hop):
        expected = np.abs(np.fft.rfft(padded[frame * hop : frame * hop + n_fft] * window))
        np.testing.assert_allclose(made[1, :, frame].numpy(), np.maximum(expected, 1e-7**0.5), atol=2e-5)


@pytest.mark.parametrize(("gain", "expected"), [(0.5, (0.5, math.log(2))), (3, (2, math.log(3)))])
def test_a_gain_by_hand(gain, expected):
    """|g x - x| / |x| = |g - 1|, and |ln g| in every bin."""
    real = noise(2, 1, 4_096)
    convergence, log_magnitude = MultiResolutionSTFTLoss()(gain * real, real)
    assert convergence.item() == pytest.approx(expected[0], rel=1e-5)
    assert log_magnitude.item() == pytest.approx(expected[1], rel=1e-4)


def test_one_norm_for_the_batch_or_one_for_each_example():
    """Energies 1 and 0.01, gains 1 and 3: the root of (0 + 4 * 0.01) / 1.01, or the mean of 0 and 2."""
    loud = noise(1, 1, 4_096)
    real = torch.cat([loud, 0.1 * loud])
    fake = torch.cat([loud, 0.3 * loud])
    batch, log_batch = MultiResolutionSTFTLoss()(fake, real)
    example, log_example = MultiResolutionSTFTLoss(reduction="example")(fake, real)
    assert batch.item() == pytest.approx(math.sqrt(0.04 / 1.01), rel=1e-4)
    assert example.item() == pytest.approx(1, rel=1e-4)
    assert log_batch.item() == pytest.approx(math.log(3) / 2, rel=1e-4) == log_example.item()


def test_means_over_resolutions():
    """Each counts alike, whatever its number of bins and frames."""
    fake, real = noise(2, 1, 4_096), noise(2, 1, 4_096, seed=1)
    single = [MultiResolutionSTFTLoss([resolution])(fake, real) for resolution in RESOLUTIONS]
    joined = MultiResolutionSTFTLoss()(fake, real)
    for i in range(2):
        values = [pair[i].item() for pair in single]
        assert len(set(values)) == 3
        assert joined[i].item() == pytest.approx(np.mean(values), rel=1e-5)


def test_targets_are_made_once():
    loss, fake, real = MultiResolutionSTFTLoss(), noise(2, 1, 4_096), noise(2, 1, 4_096, seed=1)
    real.requires_grad_(True)
    target = loss.target(real)
    assert not any(x.requires_grad for x in target)
    assert loss(fake, target) == loss(fake, real)


def test_subbands_are_examples():
    fake, real = noise(2, 4, 2_048), noise(2, 4, 2_048, seed=1)
    for reduction in ("batch", "example"):
        loss = MultiResolutionSTFTLoss(reduction=reduction)
        assert loss(fake, real) == loss(fake.view(8, 1, -1), real.view(8, -1))


@pytest.mark.parametrize("reduction", ["batch", "example"])
@pytest.mark.parametrize("kind", ["equal", "silent", "silent target", "both silent"])
def test_values_and_gradients_stay_finite(reduction, kind):
    """A silent target: the floor bounds the ratio by the fake's magnitudes over 3.16e-4."""
    real = torch.zeros(2, 1, 4_096) if kind in ("silent target", "both silent") else noise(2, 1, 4_096)
    fake = {"equal": real, "silent target": noise(2, 1, 4_096)}.get(kind, torch.zeros_like(real)).clone()
    convergence, log_magnitude = MultiResolutionSTFTLoss(reduction=reduction)(fake.requires_grad_(True), real)
    (convergence + log_magnitude).backward()
    assert fake.grad.isfinite().all()
    if kind in ("equal", "both silent"):
        assert (convergence.item(), log_magnitude.item()) == (0, 0)
    if kind == "silent target":
        assert 1e3 < convergence < 1e5


def test_float32_under_any_precision():
    loss, fake, real = MultiResolutionSTFTLoss(), noise(1, 1, 4_096), noise(1, 1, 4_096, seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        assert loss(fake, real) == loss(fake, loss.target(real))
        half = loss(fake.bfloat16(), real.bfloat16())
    assert all(value.dtype == torch.float32 for value in half)
    assert half == loss(fake.bfloat16().float(), real.bfloat16().float())
    assert not loss.state_dict()  # nothing for a checkpoint to miss


def test_what_does_not_fit():
    with pytest.raises(InputError, match="1024 samples are too few for an STFT of 2048; expected at least 1025"):
        MultiResolutionSTFTLoss()(noise(1, 1, 1_024), noise(1, 1, 1_024))
    with pytest.raises(InputError, match="unknown reduction 'mean'; expected batch or example"):
        MultiResolutionSTFTLoss(reduction="mean")
