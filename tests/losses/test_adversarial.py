import math

import pytest
import torch

from lightning_gans.errors import InputError
from lightning_gans.losses import ADVERSARIAL_LOSSES, adversarial_loss
from lightning_gans.losses.adversarial import hinge_g, relativistic_pairing_d, relativistic_pairing_g

REAL, FAKE = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -0.5])

# By hand from the formulas, e.g. least squares D: (1 + 4) / 2 / 2 + (0.25 + 0.25) / 2 / 2 = 1.375.
VALUES = {
    "minimax": (1.444172, -0.724077),
    "non_saturating": (1.444172, 0.724077),
    "least_squares": (1.375, 0.625),
    "hinge": (2.0, 0.0),
    "wasserstein": (-0.5, 0.0),
}


def test_every_loss_has_a_value():
    assert set(ADVERSARIAL_LOSSES) == set(VALUES)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("shape", [(2,), (12, 1), (3, 1, 2, 2)])
def test_values(name, shape):
    """Means over all elements: patch discriminators give maps of logits, whose shape leaves the value alone."""
    loss = adversarial_loss(name)
    real, fake = (x.repeat(math.prod(shape) // 2).reshape(shape) for x in (REAL, FAKE))
    expected_d, expected_g = VALUES[name]
    assert loss.discriminator(real, fake).item() == pytest.approx(expected_d, abs=1e-6)
    assert loss.generator(fake).item() == pytest.approx(expected_g, abs=1e-6)


def test_cross_entropy_at_the_optimum_is_log_4():
    zero = torch.zeros(5)
    assert adversarial_loss("minimax").discriminator(zero, zero).item() == pytest.approx(math.log(4))


@pytest.mark.parametrize("name", VALUES)
def test_gradients_pull_the_networks_apart(name):
    """D raises real logits and lowers fake ones, G raises fake ones; inside hinge's margin and below the LS target."""
    loss = adversarial_loss(name)
    real, fake = torch.tensor([0.5, -0.4], requires_grad=True), torch.tensor([0.3, 0.6], requires_grad=True)
    real_slope, fake_slope = torch.autograd.grad(loss.discriminator(real, fake), (real, fake))
    assert (real_slope < 0).all() and (fake_slope > 0).all()
    (slope,) = torch.autograd.grad(loss.generator(fake), fake)
    assert (slope < 0).all()


def test_saturating_and_non_saturating_slopes():
    """Where D is sure (logit -10), minimax hardly moves G: slopes -sigmoid(d) and -sigmoid(-d)."""
    for name, expected in (("minimax", -1 / (1 + math.exp(10))), ("non_saturating", -1 / (1 + math.exp(-10)))):
        logit = torch.tensor([-10.0], requires_grad=True)
        (slope,) = torch.autograd.grad(adversarial_loss(name).generator(logit), logit)
        assert slope.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", VALUES)
def test_large_logits_stay_finite(name):
    loss = adversarial_loss(name)
    huge = torch.tensor([1e4, -1e4])
    assert loss.discriminator(huge, -huge).isfinite() and loss.generator(huge).isfinite()


def test_the_hinge_of_g():
    """Vocos' hinge for G ends at 1: of 0.5 and -0.5, the mean of 0.5 and 1.5."""
    assert hinge_g(torch.tensor([0.5, -0.5])).item() == 1.0
    assert hinge_g(torch.tensor([0.5, 3.0])).item() == 0.25


def test_hinge_is_flat_beyond_its_margin():
    real, fake = torch.tensor([1.5], requires_grad=True), torch.tensor([-1.5], requires_grad=True)
    loss = adversarial_loss("hinge").discriminator(real, fake)
    assert loss.item() == 0
    assert [slope.item() for slope in torch.autograd.grad(loss, (real, fake))] == [0, 0]


def test_relativistic_losses_compare_pairs_by_position():
    """Swapped pairs (2, -0.5), (-1, 0.5): (log(1 + e^-2.5) + log(1 + e^1.5)) / 2 = 0.890151."""
    assert relativistic_pairing_d(REAL, FAKE).item() == pytest.approx(0.587745, abs=1e-6)
    assert relativistic_pairing_g(REAL, FAKE).item() == pytest.approx(1.087745, abs=1e-6)
    swapped = relativistic_pairing_d(REAL, FAKE.flip(0)).item()
    assert swapped == pytest.approx((math.log1p(math.exp(-2.5)) + math.log1p(math.exp(1.5))) / 2, abs=1e-6)
    assert swapped == pytest.approx(0.890151, abs=1e-6)
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    real_slope, fake_slope = torch.autograd.grad(relativistic_pairing_d(real, fake), (real, fake))
    assert (real_slope < 0).all() and (fake_slope > 0).all()
    (slope,) = torch.autograd.grad(relativistic_pairing_g(REAL, fake), fake)
    assert (slope < 0).all()


@pytest.mark.parametrize("known", [("hinge", "minimax"), tuple(ADVERSARIAL_LOSSES)])
def test_unknown_name(known):
    with pytest.raises(InputError, match=f"unknown loss 'hinges'; expected .*{known[-1]}"):
        adversarial_loss("hinges", known)
    with pytest.raises(InputError, match="unknown loss 'wasserstein'; expected hinge or minimax"):
        adversarial_loss("wasserstein", ("hinge", "minimax"))
