import math

import librosa
import numpy as np
import pytest
import soundfile
import torch

from lightning_gans.audio import (
    CONVENTIONS,
    MelConfig,
    convert,
    difference,
    griffin_lim_of_mel,
    log_mel,
    log_mel_of_crop,
    unlikely,
)
from lightning_gans.errors import InputError


def noise(*shape: int) -> torch.Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1) * 0.5


@pytest.fixture(scope="module")
def speech(data_root):
    samples, rate = soundfile.read(data_root / "LJSpeech-1.1" / "wavs" / "LJ050-0030.wav", dtype="float32")
    assert rate == 22_050
    return torch.from_numpy(samples)


def published(audio: np.ndarray, name: str) -> np.ndarray:
    """Each convention written out with librosa, apart from the table under test."""
    rate, bands, low, high, framing, log, floor, epsilon, htk, norm = {
        "melgan": (22050, 80, 0, 11025, "hop", np.log10, 1e-5, 0, False, "slaney"),
        "tacotron2": (22050, 80, 0, 8000, "center", np.log, 1e-5, 0, False, "slaney"),
        "hifigan": (22050, 80, 0, 8000, "hop", np.log, 1e-5, 1e-9, False, "slaney"),
        "bigvgan": (22050, 80, 0, 8000, "hop", np.log, 1e-5, 1e-9, False, "slaney"),
        "univnet": (24000, 100, 0, 12000, "hop", np.log, 1e-5, 1e-9, False, "slaney"),
        "parallel_wavegan": (22050, 80, 80, 7600, "center", np.log10, 1e-10, 0, False, "slaney"),
        "vocos": (24000, 100, 0, 12000, "center", np.log, 1e-7, 0, True, None),
    }[name]
    if framing == "hop":
        audio = np.pad(audio, (1024 - 256) // 2, mode="reflect")
    spectrum = librosa.stft(
        audio.astype(np.float64), n_fft=1024, hop_length=256, center=framing == "center", pad_mode="reflect"
    )
    bank = librosa.filters.mel(
        sr=rate, n_fft=1024, n_mels=bands, fmin=low, fmax=high, htk=htk, norm=norm, dtype=np.float64
    )
    return log(np.maximum(bank @ np.sqrt(np.abs(spectrum) ** 2 + epsilon), floor))


def compare(audio: torch.Tensor, name: str) -> None:
    """To 1e-5, but for faint single bins beside a loud one, which have the rounding of the loud one's float32."""
    config = MelConfig.of(name)
    mel, expected = log_mel(audio, config).double().numpy(), published(audio.numpy(), name)
    assert mel.shape == expected.shape
    error = np.abs(mel - expected)
    assert np.median(error) < 2e-6 and np.mean(error < 1e-5) > 0.95
    base = 10 if config.log == "log10" else math.e
    mel, expected = base**mel, base**expected
    np.testing.assert_array_less(np.abs(mel - expected), 1e-5 * expected + 1.5e-6 * expected.max(0))


@pytest.mark.parametrize("name", CONVENTIONS)
def test_noise_as_librosa_has_it(name):
    compare(noise(22_050), name)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_speech_as_librosa_has_it(name, speech):
    compare(speech, name)


def test_a_shorter_window_lies_in_the_middle_of_the_frame():
    audio = noise(8_000)
    config = MelConfig.of(
        {"name": "parallel_wavegan", "sample_rate": 24_000, "n_fft": 2048, "hop_length": 300, "win_length": 1200}
    )
    spectrum = np.abs(
        librosa.stft(audio.double().numpy(), n_fft=2048, hop_length=300, win_length=1200, pad_mode="reflect")
    )
    bank = librosa.filters.mel(sr=24_000, n_fft=2048, n_mels=80, fmin=80, fmax=7600, dtype=np.float64)
    np.testing.assert_allclose(log_mel(audio, config), np.log10(bank @ spectrum), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", CONVENTIONS)
@pytest.mark.parametrize("samples", [5_120, 5_121, 5_375])
def test_counts_of_frames(name, samples):
    """20 hops of 256; one more frame where the first one is in the middle of sample 0."""
    config = MelConfig.of(name)
    assert log_mel(noise(2, 1, samples), config).shape == (2, 1, config.n_mels, config.frames(samples))
    assert config.frames(samples) == (21 if config.framing == "center" else 20)
    assert config.samples(20) == 5_120


@pytest.mark.parametrize("name", CONVENTIONS)
def test_frames_of_a_crop_are_those_of_the_whole(name):
    config, audio = MelConfig.of(name), noise(2, 1, 20 * 256 + 77)
    assert config.margin == (512 if config.framing == "center" else 384)
    first, last = 2, 17
    around = audio[..., first * 256 - config.margin : last * 256 + config.margin]
    crop = log_mel_of_crop(around, config)
    assert crop.shape == (2, 1, config.n_mels, 15)
    torch.testing.assert_close(crop, log_mel(audio, config)[..., first:last], atol=1e-5, rtol=0)


def test_an_odd_hop():
    """The code of HiFi-GAN and BigVGAN reflects 803 samples at both ends, and has one frame less."""
    config = MelConfig.of(
        {"name": "hifigan", "sample_rate": 44_100, "n_fft": 2048, "win_length": 2048} | {"hop_length": 441}
    )
    assert (config.padding, config.margin) == ((803, 804), 804)
    audio = noise(10 * 441 + 200)
    mel = log_mel(audio, config)
    assert mel.shape == (80, config.frames(len(audio))) == (80, 10)
    padded = torch.nn.functional.pad(audio[None, : 10 * 441], (803, 803), mode="reflect")[0].numpy()
    spectrum = librosa.stft(padded.astype(np.float64), n_fft=2048, hop_length=441, center=False)
    bank = librosa.filters.mel(sr=44_100, n_fft=2048, n_mels=80, fmax=8000, dtype=np.float64)
    expected = np.log(np.maximum(bank @ np.sqrt(np.abs(spectrum) ** 2 + 1e-9), 1e-5))
    assert expected.shape == (80, 9)
    np.testing.assert_allclose(log_mel(audio[: 10 * 441], config)[:, :9], expected, atol=1e-4, rtol=0)
    crop = log_mel_of_crop(audio[2 * 441 - 804 : 8 * 441 + 804], config)
    torch.testing.assert_close(crop, mel[:, 2:8], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_silence_is_the_floor_and_has_a_gradient(name):
    config, audio = MelConfig.of(name), torch.zeros(1, 4_096, requires_grad=True)
    mel = log_mel(audio, config)
    expected = config.lowest
    if config.epsilon:  # the root of the epsilon is above the floor in the narrow lower bands alone
        expected = published(np.zeros(4_096, dtype=np.float32), name).min()
    assert mel.min().item() == pytest.approx(expected, abs=1e-5)
    mel.sum().backward()
    assert audio.grad.isfinite().all()


def test_the_lowest_value():
    assert MelConfig.of("melgan").lowest == pytest.approx(-5)
    assert MelConfig.of("parallel_wavegan").lowest == pytest.approx(-10)
    assert MelConfig.of("tacotron2").lowest == pytest.approx(math.log(1e-5))


def test_float32_under_any_precision():
    config, audio = MelConfig.of("hifigan"), noise(1, 4_096)
    expected = log_mel(audio, config)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(log_mel(audio, config), expected)
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert torch.equal(log_mel(audio, config), expected)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(precision)
    half = log_mel(audio.bfloat16(), config)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, log_mel(audio.bfloat16().float(), config))


def test_features_made_in_inference_mode_leave_training_alone():
    """The bands are cached: an inference tensor among them could not be saved for the backward pass."""
    config = MelConfig.of({"name": "melgan", "n_mels": 17})
    with torch.inference_mode():
        log_mel(noise(1, 2_048), config)
    audio = noise(1, 2_048).requires_grad_(True)
    log_mel(audio, config).sum().backward()
    assert audio.grad.abs().sum() > 0


# ---- configs


@pytest.mark.parametrize("name", CONVENTIONS)
def test_hparams_are_read_back(name):
    config = MelConfig.of(name)
    assert config.hparams()["name"] == name
    assert MelConfig.of(config.hparams()) == config == MelConfig.of(config)
    assert all(isinstance(value, str | int | float | None) for value in config.hparams().values())


def test_fields_over_a_name():
    config = MelConfig.of({"name": "melgan", "sample_rate": 16_000, "floor": "1e-4"})  # YAML reads 1e-4 as text
    assert (config.sample_rate, config.top, config.floor, config.log) == (16_000, 8_000, 1e-4, "log10")
    assert MelConfig.of("melgan").f_max is None and MelConfig.of("melgan").top == 11_025


def test_difference():
    melgan, wavegan = MelConfig.of("melgan"), MelConfig.of("parallel_wavegan")
    assert difference(melgan, wavegan) == (
        "f_min 0 against 80, f_max 11025 against 7600, floor 1e-05 against 1e-10, framing hop against center"
    )
    assert difference(melgan, melgan) == ""
    assert difference(MelConfig.of("hifigan"), MelConfig.of("bigvgan")) == ""
    assert MelConfig.of("hifigan") == MelConfig.of("bigvgan")
    explicit = MelConfig.of({"name": "melgan", "f_max": 11_025})
    assert explicit == melgan and difference(explicit, melgan) == ""


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("melgam", "unknown mel 'melgam'; did you mean melgan"),
        ({"sample_rate": 22_050}, "expected a name .melgan, .* or a mapping with a name"),
        (7, "mel is 7; expected a name"),
        ({"name": "melgan", "n_mel": 80}, "unknown mel.n_mel; did you mean n_mels"),
        ({"name": "hifigan", "sample_rate": 8_000}, "mel.f_max 8000 Hz is above half the sample_rate, 4000 Hz; lower"),
        ({"name": "melgan", "win_length": 2_048}, "mel.win_length 2048 is above n_fft 1024; raise n_fft"),
        ({"name": "vocos", "hop_length": 2_000}, "mel.hop_length 2000 is above win_length 1024"),
        ({"name": "melgan", "n_fft": 1_025}, "mel.n_fft 1025 is odd"),
        ({"name": "melgan", "n_mels": 0}, "mel.n_mels is 0; expected a whole number of at least 1"),
        ({"name": "melgan", "n_mels": 80.5}, "mel.n_mels is 80.5; expected a whole number"),
        ({"name": "melgan", "floor": 0}, "mel.floor is 0; expected a number above 0"),
        ({"name": "melgan", "floor": None}, "mel.floor is None; expected a number"),
        ({"name": "melgan", "epsilon": -1e-9}, "mel.epsilon is -1e-09; expected 0 or a little more"),
        ({"name": "melgan", "f_min": 12_000}, "mel.f_min 12000 Hz is not between 0 and f_max 11025 Hz"),
        ({"name": "melgan", "f_max": "high"}, "mel.f_max is 'high'; expected a number"),
        ({"name": "melgan", "f_max": float("nan")}, "mel.f_max is nan; expected a number"),
        ({"name": "melgan", "log": "log2"}, "mel.log is 'log2'; expected ln or log10"),
        ({"name": "melgan", "norm": "area"}, "mel.norm is 'area'; expected slaney or None"),
    ],
)
def test_what_cannot_be(value, message):
    with pytest.raises(InputError, match=message):
        MelConfig.of(value)


def test_audio_that_cannot_be():
    melgan, vocos = MelConfig.of("melgan"), MelConfig.of("vocos")
    with pytest.raises(InputError, match="384 samples are too few for a mel of n_fft 1024; expected at least 385"):
        log_mel(noise(384), melgan)
    assert log_mel(noise(385), melgan).shape == (80, 1)
    with pytest.raises(InputError, match="512 samples are too few"):
        log_mel(noise(512), vocos)
    assert log_mel(noise(513), vocos).shape == (100, 3)
    with pytest.raises(InputError, match=r"a crop of 300 samples and 384 at either end is no whole number.*take 256"):
        log_mel_of_crop(noise(300 + 768), melgan)
    with pytest.raises(InputError, match=r"floats in .-1, 1., and got int16"):
        log_mel(torch.zeros(1_000, dtype=torch.int16), melgan)


# ---- conversion


def test_another_logarithm_a_higher_floor_and_statistics():
    audio = noise(4_096) * torch.linspace(0, 1, 4_096) ** 8
    source = MelConfig.of("parallel_wavegan")
    target = MelConfig.of({"name": "parallel_wavegan", "log": "ln", "floor": 1e-3})
    mel, expected = log_mel(audio, source), log_mel(audio, target)
    assert (expected == expected.min()).float().mean() > 0.2  # much of it is at the new floor
    torch.testing.assert_close(convert(mel, source, target), expected, atol=2e-5, rtol=0)
    mean, scale = torch.linspace(-3, 1, 80), torch.linspace(0.5, 2, 80)
    normalized = convert(mel, source, target, target_statistics=(mean, scale))
    torch.testing.assert_close(normalized, (expected - mean[:, None]) / scale[:, None], atol=1e-4, rtol=0)
    again = convert(normalized, target, target, source_statistics=(mean, scale))
    torch.testing.assert_close(again, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        (
            "melgan",
            "parallel_wavegan",
            "f_max 11025 against 7600, floor 1e-05 against 1e-10, framing hop against center",
        ),
        ("tacotron2", "hifigan", "framing center against hop, epsilon 0 against 1e-09"),
        ("parallel_wavegan", {"name": "parallel_wavegan", "floor": 1e-12}, "floor 1e-10 against 1e-12"),
    ],
)
def test_what_is_not_exact_is_refused(source, target, reason):
    source, target = MelConfig.of(source), MelConfig.of(target)
    with pytest.raises(
        InputError, match=f"mels of {source.name} cannot become those of {target.name}: .*{reason}; only"
    ):
        convert(torch.zeros(80, 10), source, target)


# ---- Griffin-Lim


@pytest.mark.parametrize("name", ["melgan", "parallel_wavegan"])
def test_griffin_lim_finds_the_tone(name):
    """Its place too: both framings put the burst where it was."""
    config = MelConfig.of(name)
    t = torch.arange(40 * 256) / 22_050
    burst = ((t > 0.2) & (t < 0.3)).float()
    audio = 0.5 * burst * torch.sin(2 * math.pi * 1_000 * t)
    made = griffin_lim_of_mel(log_mel(audio[None, None], config), config, len(t))
    assert made.shape == (1, 1, len(t))
    made = made[0, 0]
    energy = made.square()
    assert (energy * t).sum() / energy.sum() == pytest.approx(0.25, abs=1e-3)
    assert energy.sum() == pytest.approx(audio.square().sum().item(), rel=0.15)
    spectrum = torch.fft.rfft(made).abs()
    assert spectrum.argmax() * 22_050 / len(t) == pytest.approx(1_000, abs=15)


def test_griffin_lim_of_speech(speech):
    config = MelConfig.of("melgan")
    audio = speech[: len(speech) // 256 * 256]
    mel = log_mel(audio, config)
    made = griffin_lim_of_mel(mel, config, len(audio))
    assert torch.equal(made, griffin_lim_of_mel(mel, config, len(audio)))
    assert (log_mel(made, config) - mel).abs().mean() < 0.07
    rough = griffin_lim_of_mel(mel, config, len(audio), iterations=0)
    assert (log_mel(rough, config) - mel).abs().mean() > 0.15


def test_griffin_lim_of_another_shape():
    config = MelConfig.of("melgan")
    for mel, length in ((torch.zeros(10, 80), 2_560), (torch.zeros(80, 9), 2_560)):
        with pytest.raises(InputError, match=r"for 2560 samples; expected .*80, at least 10 frames"):
            griffin_lim_of_mel(mel, config, length)


# ---- values that another convention has


def example(name: str | dict) -> torch.Tensor:
    """A second of tones, noise and silence as features (M, L)."""
    config = MelConfig.of(name)
    time = torch.arange(config.sample_rate) / config.sample_rate
    audio = sum(torch.sin(2 * torch.pi * pitch * time) / 4 for pitch in (150.0, 600.0, 2100.0))
    audio = audio * (time > 0.5) + 0.01 * torch.randn(len(time)) * (time > 0.3)
    return log_mel(audio, config)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_conventions_own_features_are_likely(name):
    mel = example(name)
    assert unlikely(mel, MelConfig.of(name)) == ""
    assert unlikely(mel[:, -20:], MelConfig.of(name)) == ""  # no silence


@pytest.mark.parametrize(
    "given, taken, guess",
    [
        ("hifigan", "melgan", "they look like tacotron2 or hifigan or bigvgan,"),
        ("melgan", "hifigan", "they look like melgan"),
        ("melgan", "parallel_wavegan", "they look like melgan"),
        ("parallel_wavegan", "melgan", "they look like parallel_wavegan"),
        ("parallel_wavegan", "vocos", "they look like parallel_wavegan"),
        ("vocos", "hifigan", "they look like vocos"),
    ],
)
def test_the_likely_convention_is_named(given, taken, guess):
    assert guess in unlikely(example(given), MelConfig.of(taken))


def test_natural_logarithms_of_80_bands_are_not_vocos():
    told = unlikely(example({"name": "hifigan", "floor": 1e-9, "epsilon": 0.0}), MelConfig.of("parallel_wavegan"))
    assert "natural logarithms" in told and "vocos" not in told


def test_normalized_features_are_recognised():
    mel = torch.randn(80, 100)
    assert "they look normalized" in unlikely(mel, MelConfig.of("parallel_wavegan"))
    assert "they look normalized" in unlikely(mel, MelConfig.of("melgan"))
