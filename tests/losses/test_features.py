import pytest
import torch

from lightning_gans.errors import InputError
from lightning_gans.losses import feature_matching


def maps(*values: float, score: float = 0.0) -> list[torch.Tensor]:
    """Constant feature maps of growing shapes, and a score map."""
    sizes = [(2, 3 + i, 5 * (i + 1)) for i in range(len(values))]
    return [*(torch.full(size, value) for size, value in zip(sizes, values, strict=True)), torch.full((2, 1, 4), score)]


def test_by_hand():
    """Differences 1, 2, 0.5, 0, 0, 0 and 3, 0, 0, 0, 0, 0.5: a sum of 7, whatever the sizes; the score is left out."""
    real = [maps(0, 0, 0, 0, 0, 0), maps(1, 1, 1, 1, 1, 1, score=9)]
    fake = [maps(1, -2, 0.5, 0, 0, 0, score=5), maps(4, 1, 1, 1, 1, 0.5)]
    assert feature_matching(real, fake, "paper").item() == pytest.approx(7)
    assert feature_matching(real, fake).item() == pytest.approx(7 * 4 / 5 / 2)


def test_the_official_factor_of_melgan():
    """Three scales of seven activations, each term 1: 18 times 0.8 / 3."""
    real, fake = [maps(*[0.0] * 6)] * 3, [maps(*[1.0] * 6)] * 3
    assert feature_matching(real, fake, "official").item() == pytest.approx(18 * 0.266667, rel=1e-5)
    assert feature_matching(real, fake, "paper").item() == pytest.approx(18)


def test_only_the_fakes_learn():
    real, fake = (torch.randn(2, 3, 5, requires_grad=True) for _ in range(2))
    score = torch.zeros(2, 1, 5)
    feature_matching([[real, real, score]], [[fake, fake, score]]).backward()
    assert real.grad is None and fake.grad.abs().sum() > 0


def test_half_precision_is_summed_in_float32():
    real, fake = (maps(*[value] * 6) for value in (1.0, 1.0078125))  # the next bfloat16
    half = ([[x.bfloat16() for x in group]] for group in (real, fake))
    loss = feature_matching(*half, "paper")
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(6 * 0.0078125)


def test_what_does_not_fit():
    with pytest.raises(InputError, match="unknown scale 'sum' of feature matching; expected official or paper"):
        feature_matching([maps(1, 2)], [maps(1, 2)], "sum")
    with pytest.raises(ValueError, match="shorter"):
        feature_matching([maps(1, 2)] * 2, [maps(1, 2)])
