"""What holds for every metric of vocoders, and the values of those that compare spectra."""

import math
from importlib.util import find_spec

import pytest
import soundfile
import torch
from helpers.voices import voice

from lightning_gans.audio import MelConfig, griffin_lim_of_mel, log_mel
from lightning_gans.errors import InputError
from lightning_gans.losses import MultiResolutionSTFTLoss
from lightning_gans.metrics import METRICS, of_kind
from lightning_gans.metrics.spectral import CEPSTRAL_MEL, cosines

MEL = MelConfig.of("melgan")
INSTALLED = sorted(
    name for name in of_kind("mel") if not hasattr(METRICS[name], "package") or find_spec(METRICS[name].package)
)


def value(name: str, real: torch.Tensor, fake: torch.Tensor, mel: MelConfig = MEL) -> float:
    metric = METRICS[name](mel=mel)
    metric.update(real, fake)
    return metric.compute().item()


@pytest.mark.parametrize("name", INSTALLED)
def test_a_recording_is_its_own_best_copy(name):
    real = voice(seconds=1)
    best = {"vuv_f1": 1, "stoi": 1, "pesq": 4.644}.get(name, 0)
    assert value(name, real, real) == pytest.approx(best, abs=1e-3)
    better, worse = (
        value(name, real, voice(seconds=1, pitch=pitch, noise=noise, onset=onset))
        for pitch, noise, onset in ((152 if name == "f0_rmse" else 150, 0.003, 0.3), (160, 0.1, 0.6))
    )
    if METRICS[name].higher_is_better:
        assert best > better > worse
    else:
        assert best < better < worse


@pytest.mark.parametrize("name", INSTALLED)
def test_what_does_not_fit(name):
    metric, audio = METRICS[name](mel=MEL), voice()
    for fake in (audio[..., 1:], audio[0], audio.repeat(2, 1, 1)):
        with pytest.raises(InputError, match=r"it compares \(B, 1, T\) samples of one length: cut both"):
            metric.update(audio, fake)
    with pytest.raises(InputError, match="generated samples that are not finite"):
        metric.update(audio, audio.log())


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_no_utterances():
    for name in ("mel_l1", "vuv_f1"):
        with pytest.raises(InputError, match="got no utterances"):
            METRICS[name](mel=MEL).compute()


# ---- values by hand


def test_mel_l1_of_a_gain():
    """Half as loud is log10(2) lower in all bands that stay above the floor; ln 2 in nats."""
    real = torch.rand(2, 1, 8_192, generator=torch.Generator().manual_seed(0)) - 0.5
    assert value("mel_l1", real, real / 2) == pytest.approx(math.log10(2), rel=1e-4)
    assert value("mel_l1", real, real / 2, MelConfig.of("hifigan")) == pytest.approx(math.log(2), rel=1e-4)


def test_mel_l1_is_of_whole_utterances():
    """A mean over utterances, whatever their lengths and however they come in batches."""
    long, short = (torch.rand(1, 1, n, generator=torch.Generator().manual_seed(0)) - 0.5 for n in (8_192, 2_048))
    metric = METRICS["mel_l1"](mel=MEL)
    metric.update(long, long / 10)
    metric.update(short, short / 1_000)
    assert metric.compute().item() == pytest.approx(2, rel=1e-3)  # of 1 and 3


def test_standard_error_of_a_mean():
    """Scores 1, 2 and 3 decades: their deviation is 1, by n - 1, over the root of 3; one utterance has none."""
    real = torch.rand(3, 1, 4_096, generator=torch.Generator().manual_seed(0)) - 0.5
    metric, alone = (METRICS["mel_l1"](mel=MEL) for _ in range(2))
    metric.update(real, real * torch.tensor([0.1, 0.01, 0.001])[:, None, None])
    assert metric.compute().item() == pytest.approx(2, rel=1e-3)
    assert metric.standard_error().item() == pytest.approx(1 / math.sqrt(3), rel=1e-3)
    alone.update(real[:1], real[:1] / 10)
    assert alone.standard_error().isnan()


def test_stft_distance_is_the_loss_of_each():
    loud = torch.rand(1, 1, 4_096, generator=torch.Generator().manual_seed(0)) - 0.5
    real, fake = torch.cat([loud, loud / 10]), torch.cat([loud * 2, loud / 20])
    expected = [sum(MultiResolutionSTFTLoss()(f[None], r[None])).item() for f, r in zip(fake, real, strict=True)]
    assert expected == pytest.approx([1 + math.log(2), 0.5 + math.log(2)], rel=1e-3)
    assert value("stft_distance", real, fake) == pytest.approx(sum(expected) / 2, rel=1e-6)


def test_mcd_by_hand(monkeypatch):
    """A ripple of 3 dB over the bands has an effective value of 3 / sqrt 2 dB; a gain and fine ripples have none."""
    band = (torch.arange(80) + 0.5) / 80

    def distortion(ripple: torch.Tensor) -> float:
        added = ripple * math.log(10) / 20  # dB to nats
        logs = torch.stack([torch.zeros(80, 4), added[:, None].expand(80, 4)])
        monkeypatch.setattr("lightning_gans.metrics.spectral.log_mel", lambda audio, config: logs)
        return value("mcd", torch.zeros(1, 1, 1_024), torch.zeros(1, 1, 1_024))

    for k in (1, 13):
        assert distortion(3 * torch.cos(math.pi * k * band)) == pytest.approx(3 / math.sqrt(2), rel=1e-5)
    assert distortion(3 * torch.cos(math.pi * 14 * band)) == pytest.approx(0, abs=1e-5)
    assert distortion(torch.full((80,), 6.0)) == pytest.approx(0, abs=1e-5)
    both = 3 * torch.cos(math.pi * 2 * band) + 4 * torch.cos(math.pi * 5 * band)
    assert distortion(both) == pytest.approx(5 / math.sqrt(2), rel=1e-5)
    assert cosines(torch.device("cpu")).shape == (13, 80) and CEPSTRAL_MEL.top == 8_000


@pytest.mark.parametrize("rate", [16_000, 24_000])
def test_mcd_is_alike_at_other_rates(rate):
    """Two vowels sampled anew; taken for 22.05 kHz, they would be slower or faster."""

    def vowels(rate: int) -> list[torch.Tensor]:
        time = torch.arange(int(0.5 * rate)) / rate
        return [
            0.3 * sum(torch.sin(2 * math.pi * f0 * k * time) / k**2 for k in range(1, 20))[None, None]
            for f0 in (150, 180)
        ]

    expected = value("mcd", *vowels(22_050))
    mel = MelConfig.of({"name": "melgan", "sample_rate": rate})
    assert value("mcd", *vowels(rate), mel) == pytest.approx(expected, rel=2e-3)
    assert value("mcd", *vowels(rate)) != pytest.approx(expected, rel=2e-2)


def test_griffin_lim_of_speech(data_root):
    """Measured at 1.08 dB, 0.050 decades and 0.95 on another recording of the same voice."""
    samples, _ = soundfile.read(data_root / "LJSpeech-1.1" / "wavs" / "LJ050-0031.wav", dtype="float32")
    real = torch.from_numpy(samples[: len(samples) // 256 * 256])[None, None]
    fake = griffin_lim_of_mel(log_mel(real, MEL), MEL, real.shape[-1])
    assert 0.5 < value("mcd", real, fake) < 2
    assert 0.03 < value("mel_l1", real, fake) < 0.08
    assert 0.7 < value("stft_distance", real, fake) < 1.2
