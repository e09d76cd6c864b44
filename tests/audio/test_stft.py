import math

import numpy as np
import pytest
import soundfile
import torch

from lightning_gans.audio.files import write_wav
from lightning_gans.audio.mel_bands import tensorflow_mel_matrix
from lightning_gans.audio.resampling import resample
from lightning_gans.audio.stft import griffin_lim, hann, istft, stft
from lightning_gans.errors import InputError

N, HOP, LENGTH = 256, 128, 16384


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_frames_begin_at_multiples_of_the_hop_and_are_padded_at_the_end():
    audio = noise(2, 1, LENGTH)
    spectrum = stft(audio, N, HOP)
    assert spectrum.shape == (2, 1, 129, 128)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N) / N)  # periodic Hann
    padded = np.pad(audio[1, 0].double().numpy(), (0, N - HOP))
    for frame in (0, 1, 70, 127):
        expected = np.fft.rfft(padded[frame * HOP : frame * HOP + N] * window)
        np.testing.assert_allclose(spectrum[1, 0, :, frame].numpy(), expected, atol=2e-4)


@pytest.mark.parametrize("shape", [(1000,), (3, 1000), (2, 2, 1000)])
def test_any_number_of_leading_dimensions(shape):
    audio = noise(*shape)
    spectrum = stft(audio, 64, 16)
    assert spectrum.shape == (*shape[:-1], 33, 63)  # 1000 / 16 rounded up
    torch.testing.assert_close(istft(spectrum, 64, 16, 1000)[..., 14:], audio[..., 14:], atol=1e-5, rtol=0)


def test_the_normalised_inverse_has_gain_1_and_the_official_one_swings():
    """A Hann window at half overlap: the squares sum to 1 at a frame's middle, and to 1/2 between two."""
    ones = torch.ones(LENGTH)
    spectrum = stft(ones, N, HOP)
    inverse = istft(spectrum, N, HOP, LENGTH)
    assert (inverse[49:] - 1).abs().max() < 1e-5
    window = hann(N, torch.device("cpu"))[:48]
    torch.testing.assert_close(inverse[:48], window.square() / 0.1, atol=1e-5, rtol=0)  # fades in
    gain = istft(spectrum, N, HOP, LENGTH, normalized=False)[N:-N]
    assert (gain.min().item(), gain.max().item()) == pytest.approx((0.5, 1.0), abs=1e-5)
    assert gain[:HOP].argmax() == 0 and gain[:HOP].argmin() == HOP // 2  # a hop is half a frame


def test_transforms_stay_in_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert stft(noise(1000).bfloat16(), 64, 16).dtype == torch.complex64


def test_griffin_lim_keeps_the_magnitudes():
    """Sixteen iterations from a phase of zero on a voiced sound: see the spec's figures of 0.36 and 0.19."""
    t = torch.arange(LENGTH) / 16000
    audio = sum(torch.sin(2 * math.pi * 120 * k * t) / k for k in range(1, 20)) * torch.exp(-2 * t) / 3
    magnitude = stft(audio, N, HOP).abs()

    def convergence(normalized: bool, iterations: int) -> float:
        made = griffin_lim(magnitude, N, HOP, LENGTH, iterations, normalized)
        assert made.shape == (LENGTH,)
        return ((stft(made, N, HOP).abs() - magnitude).norm() / magnitude.norm()).item()

    assert convergence(True, 16) < 0.75 * convergence(False, 16)
    assert convergence(True, 60) < convergence(True, 16) < convergence(True, 0)


def test_silence_stays_silent():
    made = griffin_lim(torch.zeros(1, 129, 128), N, HOP, LENGTH)
    assert torch.equal(made, torch.zeros(1, LENGTH))


def test_mel_bands_are_triangles_in_mel():
    """Worked out by hand for one bin: 1000 Hz is 1000.0 mel on HTK's scale."""
    matrix = tensorflow_mel_matrix(128, 513, 16000, 40.0, 7800.0)
    assert matrix.shape == (513, 128)
    assert torch.equal(matrix[0], torch.zeros(128))
    low, high = (1127 * math.log(1 + f / 700) for f in (40, 7800))
    mel = 1127 * math.log(1 + 1000 / 700)  # bin 64
    position = (mel - low) / (high - low) * 129
    below = int(position)
    expected = {below - 1: below + 1 - position, below: position - below}
    assert {int(i): pytest.approx(v, abs=1e-5) for i, v in expected.items()} == {
        int(i): matrix[64, i].item() for i in matrix[64].nonzero()[:, 0]
    }
    inner = matrix[4:480].sum(1)  # between the outer bands' middles, neighbours add up to 1
    torch.testing.assert_close(inner, torch.ones_like(inner), atol=1e-4, rtol=0)


def test_the_window_is_made_once():
    assert hann(64, torch.device("cpu")) is hann(64, torch.device("cpu"))


def test_resampling_keeps_a_tone():
    t = torch.arange(8000) / 8000
    twice = resample(torch.sin(2 * math.pi * 440 * t)[None], 8000, 16000)
    expected = torch.sin(2 * math.pi * 440 * torch.arange(16000) / 16000)
    assert twice.shape == (1, 16000)
    assert (twice[0, 100:-100] - expected[100:-100]).abs().max() < 5e-3
    assert resample(twice, 16000, 16000) is twice


def test_wav_files_have_16_bits_and_are_clipped(tmp_path):
    write_wav(tmp_path / "a.wav", torch.tensor([[0.0, 0.5, 1.0, 2.0, -3.0], [0.0, -1.0, 0.25, 0.0, 0.0]]), 16000)
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert (rate, soundfile.info(tmp_path / "a.wav").subtype) == (16000, "PCM_16")
    assert samples.T.tolist() == [[0, 16384, 32767, 32767, -32767], [0, -32767, 8192, 0, 0]]


def test_what_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/a\.wav cannot be written .*choose another place"):
        write_wav(tmp_path / "file" / "a.wav", torch.zeros(1, 8), 16000)
    with pytest.raises(InputError, match="samples are not finite"):
        write_wav(tmp_path / "a.wav", torch.full((1, 8), math.nan), 16000)
    assert not (tmp_path / "a.wav").exists()
