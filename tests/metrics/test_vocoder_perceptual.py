import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch

from lightning_gans.audio import MelConfig
from lightning_gans.errors import InputError
from lightning_gans.metrics import DNSMOS, PESQ, STOI, DistillMOS, mos
from lightning_gans.metrics import perceptual as module

MEL = MelConfig.of("vocos")


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **contents) -> None:
    """A package of that name with these contents."""
    package = ModuleType(name)
    package.__spec__ = ModuleSpec(name, None)
    vars(package).update(contents)
    monkeypatch.setitem(sys.modules, name, package)


def audio(*levels: float) -> torch.Tensor:
    return torch.tensor(levels)[:, None, None].expand(-1, 1, 2_400).contiguous()


def test_missing_packages_are_named_at_once(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    for metric, package, extra in (
        (STOI, "pystoi", "metrics"),
        (PESQ, "pesq", "metrics"),
        (DistillMOS, "distillmos", "mos"),
        (DNSMOS, "speechmos", "mos"),
    ):
        with pytest.raises(InputError, match=rf"needs the package {package}, .*'lightning-gans\[{extra}\]'"):
            metric(mel=MEL)


def test_stoi_gets_both_at_their_rate(monkeypatch):
    def stoi(real, fake, rate):
        assert isinstance(real, np.ndarray) and real.shape == fake.shape == (2_400,) and rate == 24_000
        return real[0] - fake[0]

    stand_in(monkeypatch, "pystoi", stoi=stoi)
    metric = STOI(mel=MEL)
    metric.update(audio(0.75, 0.5), audio(0.25, 0.25))
    assert metric.compute().item() == pytest.approx((0.5 + 0.25) / 2)


class NoUtterancesError(Exception):
    pass


class BufferTooShortError(Exception):
    pass


@pytest.fixture
def pesq(monkeypatch):
    def pesq(rate, real, fake, mode):
        assert (rate, mode, real.shape, fake.shape) == (16_000, "wb", (1_600,), (1_600,))
        middle = fake[800]
        if middle < 0:
            raise NoUtterancesError
        if middle > 0.9:
            raise BufferTooShortError
        assert real[800] == pytest.approx(0.5, abs=0.01)  # the recording comes first
        return 4 * middle

    stand_in(
        monkeypatch, "pesq", pesq=pesq, NoUtterancesError=NoUtterancesError, BufferTooShortError=BufferTooShortError
    )


def test_pesq_gets_both_at_16_khz(pesq):
    metric = PESQ(mel=MEL)
    metric.update(audio(0.5, 0.5), audio(0.5, 0.75))
    assert metric.compute().item() == pytest.approx((2 + 3) / 2, abs=0.02)


def test_pesq_of_no_speech_is_the_worst(pesq):
    metric = PESQ(mel=MEL)
    metric.update(audio(0.5, 0.5), audio(-0.5, 0))
    assert metric.compute().item() == 1


def test_pesq_of_a_moment(pesq):
    with pytest.raises(InputError, match=r"an utterance of 0.10 s; it takes at least 0.25 s"):
        PESQ(mel=MEL).update(audio(0.5), audio(0.95))


class Sums(torch.nn.Module):
    """In place of DistillMOS's network: 1 and a half of what is in the middle, (B, T) to (B, 1)."""

    def forward(self, audio):
        assert audio.shape == (1, 1_600)
        return 1 + audio[:, 800:801] / 2


def test_distillmos_hears_what_was_made_at_16_khz(monkeypatch, capsys):
    monkeypatch.setattr(mos, "distillmos", mos.distillmos.__wrapped__)
    stand_in(monkeypatch, "distillmos", ConvTransformerSQAModel=lambda: print("loaded") or Sums())
    metric = DistillMOS(mel=MEL)
    metric.update(audio(0, 0), audio(0.5, 0.25))
    assert metric.compute().item() == pytest.approx((1.25 + 1.125) / 2, abs=0.01)
    assert not capsys.readouterr().out


def test_dnsmos_hears_what_was_made_at_16_khz(monkeypatch):
    def run(heard, rate):
        assert rate == 16_000 and heard.shape == (1_600,) and np.abs(heard).max() <= 1
        return {"ovrl_mos": heard[800] * 2, "sig_mos": 9}

    stand_in(monkeypatch, "speechmos", dnsmos=ModuleType("dnsmos"))
    sys.modules["speechmos"].dnsmos.run = run
    metric = DNSMOS(mel=MEL)
    metric.update(audio(0, 0), audio(0.5, 1.5))
    assert metric.compute().item() == pytest.approx((1 + 2) / 2, abs=0.02)


def test_natural_speech(data_root):
    """What the packages give for LJ050-0031 on their own: 4.59 and 3.32."""
    pytest.importorskip("distillmos")
    pytest.importorskip("speechmos")
    file = data_root / "LJSpeech-1.1" / "wavs" / "LJ050-0031.wav"
    samples = torch.from_numpy(soundfile.read(file, dtype="float32")[0])[None, None]
    for metric, expected in ((DistillMOS(mel="melgan"), 4.592), (DNSMOS(mel="melgan"), 3.325)):
        metric.update(samples, samples)
        assert metric.compute().item() == pytest.approx(expected, abs=0.005)
