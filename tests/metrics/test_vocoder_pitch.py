import math

import pytest
import torch

from lightning_gans.audio import MelConfig
from lightning_gans.audio.pitch import pitch
from lightning_gans.metrics import F0RMSE, VUVF1
from lightning_gans.metrics import pitch as module

MEL = MelConfig.of("melgan")


def tone(frequency: float, rate: int = 22_050, seconds: float = 0.6) -> torch.Tensor:
    """Five harmonics, and nothing but faint noise in the first third."""
    time = torch.arange(int(seconds * rate)) / rate
    sound = sum(torch.sin(2 * math.pi * frequency * k * time) / k for k in range(1, 6))
    return 0.2 * sound * (time > seconds / 3) + 1e-3 * torch.randn(
        len(time), generator=torch.Generator().manual_seed(0)
    )


@pytest.mark.parametrize("rate", [16_000, 24_000])
def test_pitch_of_a_tone(rate):
    frequency, voiced = pitch(tone(180, rate), rate)
    assert len(voiced) == 61  # 0.6 s, 100 a second, and one
    assert not voiced[:14].any() and voiced[26:54].all()
    assert frequency[voiced].numpy() == pytest.approx(180, rel=0.01)
    assert frequency[~voiced].isnan().all()


@pytest.fixture
def tracks(monkeypatch):
    """Known pitches in place of sounds: a sound's first sample says which."""
    known = {
        0: ([100.0, 200, 300, math.nan, math.nan, 400], [1, 1, 1, 0, 0, 1]),
        1: ([100.0, 400, math.nan, 150, math.nan, 400 * 2 ** (100 / 1200)], [1, 1, 0, 1, 0, 1]),
        2: ([math.nan] * 6, [0] * 6),
    }
    calls = []

    def found(audio, rate):
        calls.append(int(audio[0]))
        frequency, voiced = known[int(audio[0])]
        return torch.tensor(frequency, dtype=torch.float64), torch.tensor(voiced, dtype=torch.bool)

    monkeypatch.setattr(module, "pitch", found)
    monkeypatch.setattr(module, "_known", type(module._known)())
    return calls


def sound(which: int) -> torch.Tensor:
    return torch.full((1, 1, 10), float(which))


def test_by_hand(tracks):
    """Voiced in both: 0, 1200 and 100 cents. One voice is missed and one is invented: 2 * 3 / (2 * 3 + 1 + 1)."""
    rmse, f1 = F0RMSE(mel=MEL), VUVF1(mel=MEL)
    for metric in (rmse, f1):
        metric.update(sound(0), sound(1))
    assert rmse.compute().item() == pytest.approx(math.sqrt((1200**2 + 100**2) / 3))
    assert f1.compute().item() == pytest.approx(6 / 8)
    for metric in (rmse, f1):
        metric.update(sound(0), sound(0))  # 4 more frames, all right
    # 6 / 8 without the second, 1 without the first: 0.875 +- 0.125, and half the sum of the squares is 0.125 squared
    assert f1.standard_error().item() == pytest.approx(1 / 8)
    assert rmse.compute().item() == pytest.approx(math.sqrt((1200**2 + 100**2) / 7))
    assert f1.compute().item() == pytest.approx(14 / 16)


def test_without_a_voice(tracks):
    rmse, f1 = F0RMSE(mel=MEL), VUVF1(mel=MEL)
    for metric in (rmse, f1):
        metric.update(sound(0), sound(2))
    assert rmse.compute().isnan() and f1.compute().item() == 0
    f1 = VUVF1(mel=MEL)
    f1.update(sound(2), sound(2))
    assert f1.compute().isnan()


def test_each_sound_is_looked_at_once(tracks, monkeypatch):
    rmse, f1 = F0RMSE(mel=MEL), VUVF1(mel=MEL)
    for metric in (rmse, f1):
        metric.update(sound(0), sound(1))
    assert tracks == [0, 1]
    F0RMSE(mel=MelConfig.of("vocos")).update(sound(0), sound(0))  # another rate, another pitch
    assert tracks == [0, 1, 0]
    monkeypatch.setattr(module, "KEPT", 1)
    for _ in range(2):
        rmse.update(sound(2), sound(2))
    assert tracks == [0, 1, 0, 2] and len(module._known) == 3  # one goes for each that comes


def test_semitones():
    """Real sounds through pYIN: a semitone is 100 cents."""
    rmse, f1 = F0RMSE(mel=MEL), VUVF1(mel=MEL)
    for metric in (rmse, f1):
        metric.update(tone(200)[None, None], tone(200 * 2 ** (1 / 12))[None, None])
    assert rmse.compute().item() == pytest.approx(100, abs=15)
    assert f1.compute().item() > 0.95
