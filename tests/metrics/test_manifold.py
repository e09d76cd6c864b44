import pytest
import torch
from torch import Tensor

from lightning_gans.errors import InputError
from lightning_gans.metrics import METRICS, manifold
from lightning_gans.metrics.manifold import Coverage, Density, Precision, Recall, inside, radii

FOUR = (Precision, Recall, Density, Coverage)


def values(real: Tensor, fake: Tensor) -> list[float]:
    return [metric().value(real.double(), fake.double()).item() for metric in FOUR]


@pytest.fixture
def nearest_two(monkeypatch):
    """Balls that reach to the second neighbor."""
    monkeypatch.setattr(manifold, "NEIGHBORS", 2)
    monkeypatch.setattr(manifold, "radii", lambda x: radii(x, 2))


def test_by_hand(nearest_two):
    """On a line: real balls [-2, 2], [0, 2], [0, 4] and [-1, 11] around 0, 1, 2, 5, by the second neighbors.

    Of the samples 1.5 lies in all four, 3 in the last two, 12 and 20 in none; real 0 to 2 in no ball of theirs but the
    one of 12, which reaches to 1.5.
    """
    real, fake = torch.tensor([[0.0], [1.0], [2.0], [5.0]]), torch.tensor([[1.5], [3.0], [12.0], [20.0]])
    assert radii(real.double(), 2).tolist() == [4, 1, 4, 16]
    assert radii(fake.double(), 2).tolist() == [10.5**2, 9**2, 9**2, 17**2]
    precision, recall, density, coverage = values(real, fake)
    assert precision == 2 / 4
    assert recall == 1  # 1.5's own ball reaches from -9 to 12
    in_balls, of_balls = inside(real.double(), radii(real.double(), 2), fake.double())
    assert in_balls.tolist() == [4, 2, 0, 0] and of_balls.tolist() == [1, 1, 2, 2]
    assert density == (4 + 2) / 2 / 4
    assert coverage == 1


def test_of_equal_sets_and_of_sets_far_apart():
    torch.manual_seed(0)
    real = torch.randn(50, 4)
    same = values(real, real)
    assert same[:2] == [1, 1] and same[2] == pytest.approx(6 / 5) and same[3] == 1  # each is in its neighbors' and own
    assert values(real, real + 100) == [0, 0, 0, 0]


def test_what_a_far_sample_does_to_recall_and_not_to_coverage():
    """Naeem et al. 2020, section 3: samples of one mode and a few far ones have balls that hold the other mode."""
    torch.manual_seed(0)
    modes = torch.cat([torch.randn(100, 2), torch.randn(100, 2) + 20])
    fake = torch.cat([torch.randn(194, 2), torch.full((6, 2), 60.0) + torch.randn(6, 2)])
    fake[-1] = 10.0  # between the modes: its fifth neighbor is far
    _, recall, _, coverage = values(modes, fake)
    assert recall > 0.9 and coverage < 0.6


def test_in_parts(monkeypatch):
    torch.manual_seed(0)
    real, fake = torch.randn(30, 3), 1.5 * torch.randn(30, 3)
    whole = values(real, fake)
    monkeypatch.setattr(manifold, "ROWS", 7)
    assert values(real, fake) == whole
    assert all(0 < value for value in whole)


def test_of_spoken_digits(fsdd):
    """Half of the test clips against the other half, and the same in noise."""
    real, other = fsdd[0][::2], fsdd[0][1::2]
    torch.manual_seed(0)
    noisy = other + 0.1 * torch.randn_like(other)
    for name in ("precision_fsdd", "recall_fsdd", "density_fsdd", "coverage_fsdd"):
        alike, unlike = (METRICS[name](sample_rate=8_000) for _ in range(2))
        alike.update(real, other)
        unlike.update(real, noisy)
        assert alike.compute() > 0.8
        assert unlike.compute() < 0.1


def test_too_few():
    metric = METRICS["coverage_lenet"]()
    metric.update(torch.zeros(5, 1, 28, 28), torch.zeros(5, 1, 28, 28))
    with pytest.raises(InputError, match="CoverageLeNet got 5 examples; it takes more than 5"):
        metric.compute()
