"""Matches of waveforms, by numbers worked out by hand and by SciPy."""

import pytest
import torch
from scipy.signal import correlate

from lightning_gans.errors import InputError
from lightning_gans.metrics import MatchTrain, match
from lightning_gans.metrics.match import best_matches


def noise(count, seed=0):
    return 0.3 * torch.randn(count, 1, 16_384, generator=torch.Generator().manual_seed(seed)).clamp(-3, 3)


def test_by_hand():
    """(1, 1) and (1, -1) share 1 of sqrt(2) with an impulse, (3, 4) and (4, 3) 24 of 25; silence has no direction."""
    impulse, pairs = torch.tensor([[0.0, 0, 0, 5]]), torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, -1], [0, 0, 0, 0]])
    assert best_matches(pairs, [impulse]).tolist() == pytest.approx([2**-0.5, 2**-0.5, 0])
    three, four = torch.tensor([[3.0, 4]]), torch.tensor([[4.0, 3]])
    assert best_matches(three, [four]).item() == pytest.approx(24 / 25)


def test_ends_do_not_meet():
    first, last = torch.tensor([[1.0, 0, 0, 2]]), torch.tensor([[2.0, 1, 0, 0]])
    assert best_matches(first, [last]).item() == pytest.approx(4 / 5)  # 1 around a circle


def test_against_scipy(monkeypatch):
    monkeypatch.setattr(match, "AT_ONCE", 3)
    clips, others = noise(4)[:, 0, :500], noise(8, seed=1)[:, 0, :500]
    unit = [[(row / row.norm()).numpy() for row in rows] for rows in (clips, others)]
    expected = [max(abs(correlate(a, b, "full")).max() for b in unit[1]) for a in unit[0]]
    assert best_matches(clips, others.split(5)).tolist() == pytest.approx(expected, rel=1e-4)


def test_a_copy_is_found_at_any_place_and_level():
    training, metric = noise(20) * (torch.arange(16_384) < 9_000), MatchTrain(sample_rate=16_000)
    for part in training.split(7):
        metric.calibrate(part)
    metric.update(None, -0.1 * training[3:9].roll(2_000, -1))
    assert metric.compute().item() == pytest.approx(1, abs=1e-3)
    metric.reset()
    metric.calibrate(training)
    metric.update(None, noise(6, seed=1))
    assert metric.compute().item() < 0.1


def test_no_training_clips():
    metric = MatchTrain(sample_rate=16_000)
    metric.update(None, noise(2))
    with pytest.raises(InputError, match="match_train got no training clips"):
        metric.compute()
