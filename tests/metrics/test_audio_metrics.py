"""What holds for every audio metric."""

import pytest
import torch
from helpers.voices import vowels

from lightning_gans.metrics import METRICS, of_kind
from lightning_gans.metrics.manifold import Manifold

AUDIO = of_kind("audio")


def labels(clips):
    return torch.arange(len(clips)) % 10


def value(name, clips, rate=16_000):
    metric = METRICS[name](sample_rate=rate)
    if metric.calibration:
        metric.calibrate(clips.flip(-1))
    metric.update(clips.roll(1, -1), clips, labels(clips))
    return metric.compute().item()


@pytest.mark.parametrize("name", AUDIO)
def test_channels_and_length(name):
    """Two equal channels are one; what lies behind 1.024 s is cut, and zeros are put behind what is shorter."""
    clips = vowels(6)
    expected = value(name, clips)
    assert value(name, clips.repeat(1, 2, 1)) == pytest.approx(expected, rel=1e-5)
    short = clips.clone()
    short[..., 9_000:] = 0
    long = torch.nn.functional.pad(clips, (0, 500), value=0.5)
    whole, parts = (METRICS[name](sample_rate=16_000) for _ in range(2))
    for metric in (whole, parts):
        if metric.calibration:
            metric.calibrate(clips.flip(-1))
    whole.update(clips.repeat(2, 1, 1), torch.cat([short, clips]), labels(clips).repeat(2))
    for part in (short[..., :9_000], long):
        parts.update(clips, part, labels(part))
    assert parts.compute().item() == pytest.approx(whole.compute().item(), rel=1e-5)


@pytest.mark.parametrize("name", ["classifier_score_fsdd", "label_entropy_fsdd"])
def test_other_rates_are_resampled(name):
    """Taken for 16 kHz, the same samples would be half as long and an octave higher."""
    clips = vowels(6)
    expected = value(name, clips)
    assert value(name, clips[..., ::2], rate=8_000) == pytest.approx(expected, rel=1e-2)
    assert value(name, clips[..., ::2]) != pytest.approx(expected, rel=2e-2)


@pytest.mark.parametrize("name", [name for name in AUDIO if not issubclass(METRICS[name], Manifold)])
def test_silence(name):
    """No digit can be told, and all clips are the same one."""
    expected = {"classifier_score_fsdd": pytest.approx(1), "label_entropy_fsdd": pytest.approx(2.3, abs=0.05)}.get(
        name, 0
    )
    assert value(name, torch.zeros(3, 1, 16_384)) == expected
