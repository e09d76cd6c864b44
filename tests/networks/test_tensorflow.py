import pytest
import torch

from lightning_gans.networks.tensorflow import TensorFlowRMSprop


def test_updates_by_hand():
    """g = 2 twice, alpha 0.9: the mean square goes 1, 1.3, 1.57."""
    p = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = TensorFlowRMSprop([p], lr=0.1)
    expected = 1.0
    for square in (0.9 * 1 + 0.1 * 4, 0.9 * 1.3 + 0.1 * 4):
        p.grad = torch.tensor([2.0])
        optimizer.step()
        expected -= 0.1 * 2 / square**0.5
        assert p.item() == pytest.approx(expected, rel=1e-6)


def test_eps_stands_inside_the_root():
    p = torch.nn.Parameter(torch.tensor([0.0]))
    optimizer = TensorFlowRMSprop([p], lr=1.0, alpha=0.0, eps=9.0)
    p.grad = torch.tensor([4.0])
    optimizer.step()
    assert p.item() == pytest.approx(-4 / 5)  # 4 / sqrt(16 + 9)


def test_state_is_saved_and_parameters_without_gradient_stay():
    p, idle = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    optimizer = TensorFlowRMSprop([p, idle], lr=0.1)
    p.grad = torch.arange(3.0)
    optimizer.step()
    again = TensorFlowRMSprop([p, idle], lr=0.5)
    again.load_state_dict(optimizer.state_dict())
    assert again.param_groups[0]["lr"] == 0.1
    assert torch.equal(again.state[p]["square_avg"], torch.tensor([0.9, 1.0, 1.3]))
    assert torch.equal(idle, torch.ones(3))
