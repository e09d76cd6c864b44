import pytest
import torch
from torch import nn

from lightning_gans.losses import gradient_penalty, r1_penalty, r2_penalty


def linear_critic(x):
    """D(x) = 3 x1 + 4 x2: the gradient is (3, 4) everywhere, of norm 5."""
    return x.flatten(1) @ torch.tensor([[3.0], [4.0]], device=x.device)


def test_linear_critic():
    torch.manual_seed(0)
    real, fake = torch.randn(7, 2), torch.randn(7, 2)
    assert gradient_penalty(linear_critic, real, fake).item() == pytest.approx(16)
    assert 10 * gradient_penalty(linear_critic, real, fake).item() == pytest.approx(160)
    assert r1_penalty(linear_critic, real).item() == pytest.approx(25)
    assert 10 / 2 * r1_penalty(linear_critic, real).item() == pytest.approx(125)
    assert r2_penalty(linear_critic, fake).item() == pytest.approx(25)


def test_norm_runs_over_all_dimensions_but_the_first():
    """Images of one pixel row: the norm of (3, 4) over channels is 5, whatever the shape."""
    real = torch.randn(3, 2, 1, 1)
    assert gradient_penalty(linear_critic, real, -real).item() == pytest.approx(16)
    assert r1_penalty(linear_critic, real).item() == pytest.approx(25)


def square_critic(x):
    """D(x) = |x|^2 / 2: the gradient at x is x."""
    return x.square().sum(1, keepdim=True) / 2


def test_each_penalty_looks_where_it_should():
    """R1 at the real examples (norms 3, 4), R2 at the fakes (norm 2), the gradient penalty between both."""
    real, fake = torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    assert r1_penalty(square_critic, real).item() == pytest.approx((9 + 16) / 2)
    assert r2_penalty(square_critic, fake).item() == pytest.approx(4)


def test_mixing_is_uniform_and_one_number_per_example():
    """Real at 0 and fake at (1, 1, 1, 1): the gradient's norm is 2e, and (2e - 1)^2 has the mean 1/3 for e in U(0, 1).

    With a number per pixel the norm would concentrate, and the mean be 0.08.
    """
    torch.manual_seed(0)
    penalty = gradient_penalty(square_critic, torch.zeros(20_000, 4), torch.ones(20_000, 4))
    assert penalty.item() == pytest.approx(1 / 3, abs=0.01)


def test_examples_do_not_mix():
    """A batch's penalty is the mean of its examples' penalties."""
    real = torch.tensor([[3.0, 0.0], [0.0, 4.0], [1.0, 1.0]])
    alone = torch.stack([r1_penalty(square_critic, row[None]) for row in real])
    assert alone.tolist() == pytest.approx([9, 16, 2])
    assert r1_penalty(square_critic, real).item() == pytest.approx(alone.mean().item())


def test_second_order_gradient_by_hand():
    """D(x) = w x^2: R1 = (2 w x)^2, whose slope in w is 8 w x^2 = 8 * 3 * 4 = 96 at w = 3, x = 2."""
    weight = torch.tensor(3.0, requires_grad=True)
    penalty = r1_penalty(lambda x: weight * x.square(), torch.tensor([[2.0]]))
    assert penalty.item() == pytest.approx(144)
    assert torch.autograd.grad(penalty, weight)[0].item() == pytest.approx(96)


@pytest.mark.parametrize("penalty", ["gradient", "r1", "r2"])
def test_reaches_the_critic_and_neither_generator_nor_data(penalty):
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    real, source = torch.randn(5, 4, requires_grad=True), torch.randn(5, 4, requires_grad=True)
    fake = 2 * source
    value = {
        "gradient": lambda: gradient_penalty(critic, real, fake),
        "r1": lambda: r1_penalty(critic, real),
        "r2": lambda: r2_penalty(critic, fake),
    }[penalty]()
    value.backward()
    assert all(layer.weight.grad.abs().sum() > 0 for layer in (critic[0], critic[2]))
    assert real.grad is None and source.grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_float32_under_autocast(dtype):
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    real, fake = torch.randn(5, 4).to(dtype), torch.randn(5, 4).to(dtype)

    def values():
        torch.manual_seed(1)
        return torch.stack([gradient_penalty(critic, real, fake), r1_penalty(critic, real), r2_penalty(critic, fake)])

    plain = values()
    with torch.autocast("cpu", torch.bfloat16):
        assert critic(real.float()).dtype == torch.bfloat16  # autocast is on
        mixed = values()
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, plain)


def test_fakes_need_no_graph():
    """The fakes may come without a graph, as from a detached generator."""
    with torch.no_grad():
        fake = torch.ones(3, 2)
    assert gradient_penalty(linear_critic, torch.zeros(3, 2), fake).item() == pytest.approx(16)
