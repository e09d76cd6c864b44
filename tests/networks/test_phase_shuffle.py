from unittest import mock

import pytest
import torch

from lightning_gans.networks.phase_shuffle import PhaseShuffle, shifted


@pytest.mark.parametrize(
    "shift, expected",
    [
        (0, [0, 1, 2, 3, 4, 5, 6, 7]),
        (2, [2, 1, 0, 1, 2, 3, 4, 5]),
        (1, [1, 0, 1, 2, 3, 4, 5, 6]),
        (-2, [2, 3, 4, 5, 6, 7, 6, 5]),
        (-1, [1, 2, 3, 4, 5, 6, 7, 6]),
    ],
)
def test_shifts(shift, expected):
    x = torch.arange(8.0).expand(2, 3, 8)
    with mock.patch("torch.randint", lambda *a, **k: torch.tensor(shift)):
        assert PhaseShuffle(2, "batch")(x)[1, 2].tolist() == expected
    assert shifted(x, torch.tensor([[0], [shift]])).tolist() == [[list(range(8))] * 3, [expected] * 3]


@pytest.mark.parametrize("per", ["batch", "example"])
def test_all_shifts_are_drawn_equally_often(per):
    torch.manual_seed(0)
    x = torch.arange(3.0, 19.0).expand(8, 2, 16)
    shuffle = PhaseShuffle(2, per)
    draws = [18 - shuffle(x)[:, :, 8] - 7 for _ in range(500)]  # the middle's value tells the shift
    counts = torch.stack(draws).flatten().unique(return_counts=True)
    assert len(counts[0]) == 5
    assert (counts[1] / (500 * 16) - 0.2).abs().max() < 0.06
    same = [draw.unique().numel() == 1 for draw in draws]
    assert all(same) if per == "batch" else not any(same[:20])
    assert all(torch.equal(draw[:, 0], draw[:, 1]) for draw in draws)  # the channels move together


def test_the_gradient_can_be_taken_twice():
    x = torch.randn(2, 1, 6, dtype=torch.float64, requires_grad=True)
    shift = torch.tensor([[2], [-1]])
    assert torch.autograd.gradgradcheck(lambda x: shifted(x, shift).pow(3), x)
    with mock.patch("torch.randint", lambda *a, **k: torch.tensor(-2)):
        assert torch.autograd.gradgradcheck(lambda x: PhaseShuffle(2, "batch")(x).pow(3), x)
