import pytest
import torch

from lightning_gans.errors import InputError
from lightning_gans.training.sampling import arithmetic, interpolate


def test_interpolation_is_the_straight_line_with_both_ends():
    line = interpolate(torch.tensor([0.0, 2.0]), torch.tensor([4.0, -2.0]), 5)
    assert line.tolist() == [[0, 2], [1, 1], [2, 0], [3, -1], [4, -2]]


def test_arithmetic_is_of_the_means():
    positive = torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    negative = torch.tensor([[1.0, 1.0], [1.0, 3.0]])
    base = torch.tensor([[10.0, 10.0], [20.0, 30.0]])
    assert arithmetic(positive, negative, base).tolist() == [16.0, 20.0]


def test_a_line_needs_two_ends_alike():
    with pytest.raises(InputError, match="1 interpolation steps"):
        interpolate(torch.zeros(2), torch.ones(2), 1)
    with pytest.raises(InputError, match=r"\(2,\) and \(3,\)"):
        interpolate(torch.zeros(2), torch.zeros(3), 4)
