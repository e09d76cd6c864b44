import math

import pytest
import torch

from lightning_gans.audio.cqt import constant_q, frequencies, half_band, lengths, octaves_of, top_kernels

CPU = torch.device("cpu")


def tone(frequency: float, rate: int, length: int) -> torch.Tensor:
    return (
        0.5 * torch.sin(2 * math.pi * frequency * torch.arange(length, dtype=torch.double) / rate).float()[None, None]
    )


def test_a_tone_is_in_its_bin():
    """440 Hz at 48 kHz and 24 bins per octave: 216 bins, of which the 90th; so at other resolutions."""
    octaves = octaves_of(tone(440, 48000, 65536), 9)
    spectrum = constant_q(octaves, 48000, 512, 24)
    assert spectrum.shape == (1, 2, 216, 129)
    magnitude = spectrum.square().sum(1).sqrt()[0, :, 64]
    assert magnitude.argmax() == 90
    for bins, hop in ((36, 256), (48, 256)):
        magnitude = constant_q(octaves, 48000, hop, bins).square().sum(1).sqrt()[0]
        assert magnitude.shape == (9 * bins, 257)
        assert magnitude[:, 128].argmax() == round(bins * math.log2(440 / 32.70))


def test_bins():
    """The highest is between 16.26 and 16.50 kHz at every rate; a kernel has as many periods as any other."""
    for bins in (24, 36, 48):
        assert 16260 < frequencies(9 * bins, bins)[-1] < 16510
    widths = lengths(48000, 216, 24)
    periods = [width * f / 48000 for width, f in zip(widths, frequencies(216, 24), strict=True)]
    assert min(periods) >= 1 / (2 ** (1 / 24) - 1) and max(periods) < min(periods) + 0.5


@pytest.mark.parametrize("rate, bins, size", [(48000, 24, 256), (48000, 48, 512), (88200, 24, 512), (88200, 48, 1024)])
def test_kernels(rate, bins, size):
    """Absolute values that sum to 1, in a power of two; the response to their own tone is a half."""
    kernels = top_kernels(rate, 9 * bins, bins, CPU)
    assert kernels.shape == (2 * bins, 1, size)
    real, imaginary = kernels[:, 0].unflatten(0, (2, bins)).double()
    torch.testing.assert_close(real.hypot(imaginary).sum(1), torch.ones(bins, dtype=torch.double))
    k = bins // 2
    wave = torch.exp(2j * math.pi * frequencies(9 * bins, bins)[8 * bins + k] / rate * torch.arange(size).double())
    assert ((real[k] + 1j * imaginary[k]) @ wave).abs().item() == pytest.approx(1, abs=1e-3)


def test_the_low_pass_filter():
    """That of scipy's firwin2 for the same gains."""
    from scipy.signal import firwin2

    expected = firwin2(256, [0, 0.5 / 1.001, 0.5 * 1.001, 1], [1, 1, 0, 0])
    torch.testing.assert_close(half_band(CPU)[0, 0].double(), torch.from_numpy(expected), rtol=0, atol=1e-8)


def test_octaves():
    """A tone keeps its level down to where it lies above the rate."""
    levels = [x[..., 64:-64].square().mean().sqrt().item() for x in octaves_of(tone(1000, 48000, 48000), 6)]
    root = 0.5 / 2**0.5
    assert levels[:5] == pytest.approx([root] * 5, rel=0.02)  # 3 kHz, of which 1.5 are left
    assert levels[5] < 0.02


def test_silence_and_ends():
    """Beyond the ends are zeros: an impulse in the middle is seen by the frames around it only."""
    audio = torch.zeros(2, 1, 8192)
    assert not constant_q(octaves_of(audio, 9), 48000, 256, 24).any()
    audio[1, 0, 4096] = 1
    top = constant_q(octaves_of(audio, 9), 48000, 256, 24)[1, :, -24:]
    touched = top.abs().sum((0, 1)).nonzero().flatten().tolist()
    assert touched == [16]
