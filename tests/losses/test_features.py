import pytest
import torch

from lightning_gans.errors import InputError
from lightning_gans.losses import feature_matching


def maps(*values: float, logit: float = 0.0) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits, and constant feature maps of growing shapes."""
    sizes = [(2, 3 + i, 5 * (i + 1)) for i in range(len(values))]
    return torch.full((2, 1, 4), logit), [torch.full(size, value) for size, value in zip(sizes, values, strict=True)]


def test_by_hand():
    """Differences 1, 2, 0.5, 0, 0, 0 and 3, 0, 0, 0, 0, 0.5: a sum of 7 whatever the sizes; no logits."""
    real = [maps(0, 0, 0, 0, 0, 0), maps(1, 1, 1, 1, 1, 1, logit=9)]
    fake = [maps(1, -2, 0.5, 0, 0, 0, logit=5), maps(4, 1, 1, 1, 1, 0.5)]
    assert feature_matching(real, fake).item() == pytest.approx(7)
    assert feature_matching(real, fake, "mean").item() == pytest.approx(7 / 12)
    assert feature_matching(real, fake, "official").item() == pytest.approx(7 * 4 / 5 / 2)
    assert feature_matching(real, fake, with_logits=True).item() == pytest.approx(7 + 5 + 9)


def test_the_official_factor_of_melgan():
    """Three scales of six maps, each term 1: 18 times 0.8 / 3."""
    real, fake = [maps(*[0.0] * 6)] * 3, [maps(*[1.0] * 6)] * 3
    assert feature_matching(real, fake, "official").item() == pytest.approx(18 * 0.266667, rel=1e-5)


def test_only_the_fakes_learn():
    real, fake = (torch.randn(2, 3, 5, requires_grad=True) for _ in range(2))
    logits = torch.zeros(2, 1, 5)
    feature_matching([(logits, [real, real])], [(logits, [fake, fake])]).backward()
    assert real.grad is None and fake.grad.abs().sum() > 0


def test_half_precision_is_summed_in_float32():
    real, fake = (maps(*[value] * 6) for value in (1.0, 1.0078125))  # the next bfloat16
    real, fake = ([(logits, [x.bfloat16() for x in group])] for logits, group in (real, fake))
    loss = feature_matching(real, fake)
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(6 * 0.0078125)


def test_what_does_not_fit():
    with pytest.raises(InputError, match="unknown reduction 'paper' of feature matching; expected sum, mean or off"):
        feature_matching([maps(1, 2)], [maps(1, 2)], "paper")
    with pytest.raises(InputError, match="no feature maps to match"):
        feature_matching([maps()], [maps()])
    with pytest.raises(ValueError, match="shorter"):
        feature_matching([maps(1, 2)] * 2, [maps(1, 2)])
