import math

import numpy as np
import pytest
import torch

from lightning_gans.errors import InputError
from lightning_gans.metrics import SlicedWasserstein
from lightning_gans.metrics.sliced_wasserstein import random_directions, wasserstein_2


def column(*values):
    return torch.tensor(values)[:, None]


@pytest.mark.parametrize(
    ("x", "y", "squared"),
    [
        ((0.0, 1.0), (0.0, 1.0), 0),
        ((0.0, 1.0), (1.0, 0.0), 0),
        ((0.0, 1.0), (3.0, 2.0), 4),  # both move by 2
        ((0.0, 0.0), (3.0, 4.0), (9 + 16) / 2),
        ((0.0, 1.0), (2.0,), (4 + 1) / 2),  # all mass to one place
        ((0.0, 3.0), (0.0, 3.0, 3.0), (1 / 2 - 1 / 3) * 9),  # a sixth of the mass moves by 3
        ((0.0, 1.0, 2.0), (0.0, 2.0), (1 / 2 - 1 / 3) * 1 * 2),  # the middle third goes half left, half right
    ],
)
def test_on_a_line(x, y, squared):
    assert wasserstein_2(column(*x), column(*y)).item() == pytest.approx(squared)
    assert wasserstein_2(column(*y), column(*x)).item() == pytest.approx(squared)


def test_repeating_a_set_changes_nothing():
    torch.manual_seed(0)
    x, y = torch.randn(6, 3), torch.randn(4, 3)
    expected = wasserstein_2(x, y)
    assert expected.min() > 0.01
    torch.testing.assert_close(wasserstein_2(x.repeat(2, 1), y.repeat(3, 1)), expected)


def test_directions():
    directions = random_directions(50, 2000)
    np.testing.assert_allclose(directions.norm(dim=0), 1, rtol=1e-5)
    assert torch.equal(directions, random_directions(50, 2000))
    second = directions @ directions.T / 2000  # I / 50 for uniform directions
    torch.testing.assert_close(second, torch.eye(50) / 50, atol=4e-3, rtol=0)


def test_one_pixel_is_the_plain_distance():
    """All directions are +1 or -1: sqrt of ((0 - 0.2)^2 + (1 - 0.5)^2) / 2."""
    metric = SlicedWasserstein()
    metric.update(column(0.0, 1.0)[..., None, None], column(0.2, 0.5)[..., None, None])
    assert metric.compute().item() == pytest.approx(math.sqrt((0.2**2 + 0.5**2) / 2), rel=1e-6)


def test_brighter_by_a_constant():
    """Every pixel brighter by c: c times the root mean square of the directions' sums, which is 1 in expectation."""
    generator = torch.Generator().manual_seed(0)
    real = torch.rand(40, 3, 8, 8, generator=generator)
    metric = SlicedWasserstein(projections=4096)
    metric.update(real, real[torch.randperm(40, generator=generator)] + 0.3)
    sums = random_directions(192, 4096).sum(0)
    value = metric.compute().item()
    assert value == pytest.approx(0.3 * sums.square().mean().sqrt().item(), rel=1e-5)
    assert value == pytest.approx(0.3, rel=0.03)


def test_batches_add_up_and_counts_may_differ():
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.rand(30, 1, 4, 4, generator=generator), torch.rand(20, 1, 4, 4, generator=generator)
    whole, parts = SlicedWasserstein(), SlicedWasserstein()
    whole.update(real, fake)
    for a, b in zip(real.split(9), fake.split(5), strict=True):
        parts.update(a, b)
    assert whole.compute().item() == pytest.approx(parts.compute().item(), rel=1e-6)
    assert whole.compute().item() > 0.05


def test_real_mnist(mnist):
    """Real training against real test images 0.025; the mean training image against them 0.518."""
    train, test = mnist["train"][0], mnist["test"][0]
    for fake, expected in ((train[:10_000], 0.0253), (train.mean(0, keepdim=True), 0.518)):
        metric = SlicedWasserstein()
        metric.update(test, fake)
        assert metric.compute().item() == pytest.approx(expected, abs=1e-3)


def test_images_of_two_sizes():
    with pytest.raises(InputError, match=r"got images \(2, 1, 5, 5\) after others of 16 values"):
        SlicedWasserstein().update(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 5, 5))
