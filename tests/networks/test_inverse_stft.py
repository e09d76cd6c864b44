"""The inverse STFT of networks, against torch's and against the signal."""

import pytest
import torch

from lightning_gans.errors import InputError
from lightning_gans.networks.inverse_stft import InverseSTFT, RealInverseSTFT


def random_spectrum(n_fft: int, frames: int, dtype: torch.dtype = torch.double) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, n_fft // 2 + 1, frames, dtype=dtype, generator=generator) for _ in range(2))


@pytest.mark.parametrize("n_fft, hop", [(1024, 256), (64, 15)])
def test_center_is_torchs_and_one_hop_more(n_fft, hop):
    real, imaginary = random_spectrum(n_fft, 10)
    audio = InverseSTFT(n_fft, hop, "center")(real, imaginary)
    window = torch.hann_window(n_fft).double()
    expected = torch.istft(torch.complex(real, imaginary), n_fft, hop, window=window, center=True)
    assert audio.shape == (2, 10 * hop) and expected.shape == (2, 9 * hop)
    torch.testing.assert_close(audio[:, : 9 * hop], expected)
    assert audio[:, 9 * hop :].std() > 0.3 * expected.std()


@pytest.mark.parametrize("padding, n_fft, hop", [("center", 64, 16), ("same", 64, 16), ("same", 64, 15)])
def test_the_inverse_gives_the_signal_back(padding, n_fft, hop):
    """Of frames that lie where the padding says, the last hop included."""
    audio = torch.randn(2, 12 * hop, dtype=torch.double)
    start = n_fft // 2 if padding == "center" else (n_fft - hop) // 2
    window = torch.hann_window(n_fft).double()
    padded = torch.nn.functional.pad(audio, (start, n_fft))
    spectrum = torch.stft(padded, n_fft, hop, window=window, center=False, return_complex=True)[..., :12]
    torch.testing.assert_close(InverseSTFT(n_fft, hop, padding)(spectrum.real, spectrum.imag), audio, atol=1e-6, rtol=0)


def test_where_too_little_overlaps_the_sound_fades():
    real, imaginary = random_spectrum(64, 5)
    audio = InverseSTFT(64, 32, "center")(real, imaginary)
    assert audio.abs().max() < 1.5 and audio[:, -1].abs().max() < 0.01
    with pytest.raises(InputError, match=r"hop_length 33 is more than half of n_fft 64.*use an n_fft of 132"):
        InverseSTFT(64, 33, "center")
    with pytest.raises(InputError, match="unknown padding 'valid'; expected center or same"):
        InverseSTFT(64, 16, "valid")


@pytest.mark.parametrize("padding", ["center", "same"])
@pytest.mark.parametrize("n_fft, hop, frames", [(1024, 256, 1), (1024, 256, 7), (64, 15, 9), (64, 32, 4)])
def test_real_operations(padding, n_fft, hop, frames):
    plain = InverseSTFT(n_fft, hop, padding)
    spectrum = random_spectrum(n_fft, frames, torch.float32)
    expected = plain(*spectrum)
    assert (RealInverseSTFT(plain)(*spectrum) - expected).abs().max() < 2e-6 * expected.abs().max()


@pytest.mark.parametrize("padding", ["center", "same"])
@pytest.mark.parametrize("n_fft, hop", [(64, 16), (64, 15), (64, 32), (64, 5)])
def test_reach_by_gradient(padding, n_fft, hop):
    layer = InverseSTFT(n_fft, hop, padding)
    real, imaginary = random_spectrum(n_fft, 61)
    layer(real.requires_grad_(), imaginary)[:, 30 * hop : 31 * hop].square().sum().backward()
    touched = real.grad.abs().sum((0, 1)).nonzero().flatten()
    assert max(30 - touched.min().item(), touched.max().item() - 30) == layer.reach
