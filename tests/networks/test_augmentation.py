import math

import pytest
import torch
from torch import tensor
from torch.nn.functional import affine_grid, grid_sample

from lightning_gans.networks import augmentation
from lightning_gans.networks.augmentation import (
    augment,
    by_chance,
    cut_out,
    random_colors,
    random_map,
    recolored,
    warped,
)

CPU = torch.device("cpu")
IMAGE = torch.arange(16.0).view(1, 1, 4, 4)
NEUTRAL = dict(brightness=tensor(0.0), contrast=tensor(1.0), sign=tensor(1.0), hue=tensor(0.0), saturation=tensor(1.0))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ([[1, 0, 0], [0, 1, 0]], IMAGE),
        ([[-1, 0, 0], [0, 1, 0]], IMAGE.flip(3)),
        ([[0, -1, 0], [1, 0, 0]], IMAGE.rot90(1, (2, 3))),
        ([[1, 0, 0.5], [0, 1, 0]], IMAGE[..., [1, 2, 3, 2]]),  # a pixel to the left, mirrored at the border
        ([[1, 0, 0], [0, 1, -1]], IMAGE[..., [2, 1, 0, 1], :]),
        ([[1, 0, 0.25], [0, 1, 0]], (IMAGE + IMAGE[..., [1, 2, 3, 2]]) / 2),
    ],
)
def test_warps(source, expected):
    given = warped(IMAGE.expand(2, 3, 4, 4), tensor([[[1.0, 0, 0], [0, 1, 0]], source]))
    torch.testing.assert_close(given[0], IMAGE[0].expand(3, 4, 4))
    torch.testing.assert_close(given[1], expected[0].expand(3, 4, 4))


def test_warps_are_those_of_torch():
    """Which has another border, and so is compared for maps that stay inside."""
    torch.manual_seed(0)
    image, source = torch.rand(8, 3, 9, 9), (torch.rand(8, 2, 3) - 0.5) * 0.6
    expected = grid_sample(image, affine_grid(source, [8, 3, 9, 9], align_corners=False), align_corners=False)
    torch.testing.assert_close(warped(image, source), expected)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (0.9, 0.3, 0.0)),
        (dict(brightness=0.1), (1.0, 0.4, 0.1)),
        (dict(contrast=2.0), (1.8, 0.6, 0.0)),
        (dict(contrast=2.0, brightness=0.1), (2.0, 0.8, 0.2)),
        (dict(sign=-1.0), (0.1, -0.5, -0.8)),  # the gray part is 0.4
        (dict(hue=2 * math.pi / 3), (0.0, 0.9, 0.3)),
        (dict(saturation=0.0), (0.4, 0.4, 0.4)),
        (dict(saturation=2.0), (1.4, 0.2, -0.4)),
    ],
)
def test_colors(change, expected):
    image = tensor([0.9, 0.3, 0.0]).view(1, 3, 1, 1)
    given = recolored(image, **NEUTRAL | {name: tensor(value) for name, value in change.items()})
    torch.testing.assert_close(given.flatten(), tensor(expected), atol=1e-6, rtol=0)


def test_gray_images_have_no_colors():
    image = torch.rand(2, 1, 4, 4)
    given = recolored(image, **NEUTRAL | dict(hue=tensor(1.0), saturation=tensor(3.0)))
    torch.testing.assert_close(given, image)


def test_cut_squares():
    torch.manual_seed(0)
    holes = cut_out(torch.ones(4000, 1, 8, 8), 0.5)[:, 0] == 0
    area = holes.sum((1, 2))
    assert (area > 0).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert set(area.tolist()) >= {0, 16} and area.max() <= 25
    assert torch.equal(holes, holes.any(2)[:, :, None] & holes.any(1)[:, None])  # rectangles


def test_values_come_by_chance():
    torch.manual_seed(0)
    given = by_chance(0.3, torch.ones(20_000, 2), 0)
    assert given.mean().item() == pytest.approx(0.3, abs=0.01)
    assert torch.equal(given[:, 0], given[:, 1])  # one decision for each example


def test_deviations():
    """Of the authors' code: scales and stretches of 2 ** (0.2 n), shifts of an eighth of the side length."""
    torch.manual_seed(0)
    always = random_map(40_000, 16, 1 - 1e-9, CPU)
    area = torch.linalg.det(always[..., :2]).abs().log2()
    assert (area.mean().item(), area.std().item()) == pytest.approx((0, 0.4), abs=0.01)  # of both sides
    ratio = torch.linalg.svdvals(always[..., :2]).log2()
    assert (ratio[:, 0] - ratio[:, 1]).square().mean().sqrt().item() == pytest.approx(0.4, abs=0.01)
    assert (torch.linalg.det(always[..., :2]) < 0).float().mean().item() == pytest.approx(0.5, abs=0.01)
    rounded = 1.5  # mean square of uniform numbers from -2 to 2, rounded
    expected = rounded / 16**2 + math.exp((0.2 * math.log(2)) ** 2 * 4) / 64
    assert (always[..., 2] / 2).square().mean().item() == pytest.approx(expected, rel=0.05)
    brightness, contrast, sign, hue, saturation = random_colors(40_000, 1, CPU)
    assert brightness.std().item() == pytest.approx(0.2, abs=0.01)
    assert contrast.log2().std().item() == pytest.approx(0.5, abs=0.01)
    assert sign.mean().item() == pytest.approx(0, abs=0.02)
    assert hue.std().item() == pytest.approx(math.pi / math.sqrt(3), abs=0.02)
    assert saturation.log2().std().item() == pytest.approx(1, abs=0.02)


def test_what_stays():
    image = torch.rand(64, 3, 8, 8)
    assert augment(image, 0) is image
    torch.manual_seed(0)
    same = [(a - b).abs().max().item() < 1e-5 for a, b in zip(augment(image, 0.05), image, strict=True)]
    assert 0.4 < sum(same) / 64 < 0.85  # none of 8 geometric, 5 color transforms and the square; some do nothing


def test_each_image_has_its_own_transforms():
    torch.manual_seed(0)
    a, b = augment(torch.rand(1, 3, 8, 8).expand(2, 3, 8, 8), 0.9)
    assert not torch.allclose(a, b)


def test_second_derivative():
    """The penalty's gradient goes through the transforms, to the weights of the critic behind them."""
    image = torch.rand(2, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    source = random_map(2, 5, 0.9, CPU).double()
    colors = [value.double() for value in random_colors(2, 0.9, CPU)]

    def transformed(x):
        return recolored(warped(x, source), *colors) ** 2

    assert torch.autograd.gradcheck(transformed, image)
    assert torch.autograd.gradgradcheck(transformed, image)


def test_shares_of_the_transforms(monkeypatch):
    """Colours at half the probability of the others."""
    asked = {}
    for name in ("random_map", "random_colors", "cut_out"):
        real = getattr(augmentation, name)

        def spy(*args, real=real, name=name):
            asked[name] = next(a for a in args if isinstance(a, float))
            return real(*args)

        monkeypatch.setattr(augmentation, name, spy)
    augment(torch.rand(2, 3, 4, 4), 0.4)
    assert asked == {"random_map": 0.4, "random_colors": 0.2, "cut_out": 0.4}
