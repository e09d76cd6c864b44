import numpy as np
import pytest
import torch

from lightning_gans.networks.tensorflow import (
    ResizeConv1d,
    SameConv1d,
    SameConv2d,
    SameConvTranspose1d,
    SameConvTranspose2d,
    TensorFlowRMSprop,
)

# ---- SAME padding against a matrix


def same_matrix(length: int, kernel: np.ndarray, stride: int) -> np.ndarray:
    """A SAME convolution of one channel as a matrix, from TensorFlow's definition of the padding."""
    steps = -(-length // stride)
    total = max((steps - 1) * stride + len(kernel) - length, 0)
    matrix = np.zeros((steps, length))
    for step in range(steps):
        for tap, weight in enumerate(kernel):
            position = step * stride + tap - total // 2
            if 0 <= position < length:
                matrix[step, position] += weight
    return matrix


@pytest.mark.parametrize("kernel, stride, length", [(25, 4, 64), (25, 2, 32), (25, 3, 60), (25, 1, 40), (512, 1, 700)])
def test_convolutions_are_tensorflows(kernel, stride, length):
    weight = np.random.default_rng(0).normal(size=kernel)
    matrix = same_matrix(length, weight, stride)
    x = torch.randn(length, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    down = SameConv1d(1, 1, kernel, stride, bias=False).double()
    down.weight.data = torch.from_numpy(weight)[None, None]
    assert np.abs(down(x[None, None])[0, 0].detach().numpy() - matrix @ x.numpy()).max() < 1e-12
    if stride == 1:
        return
    up = SameConvTranspose1d(1, 1, kernel, stride).double()
    up.weight.data, up.bias.data = torch.from_numpy(weight)[None, None], torch.zeros(1, dtype=torch.float64)
    steps = x[: length // stride]
    made = up(steps[None, None])[0, 0].detach().numpy()
    assert made.shape == (length,)
    assert np.abs(made - matrix.T @ steps.numpy()).max() < 1e-12  # by definition the gradient of the convolution


def test_nearest_upsampling_repeats_and_then_convolves():
    layer = ResizeConv1d(1, 1, 25, 4).double()
    x = torch.randn(1, 1, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrix = same_matrix(32, layer.weight[0, 0].detach().numpy(), 1)
    expected = matrix @ np.repeat(x[0, 0].numpy(), 4) + layer.bias.item()
    assert np.abs(layer(x)[0, 0].detach().numpy() - expected).max() < 1e-12


def image_matrix(side: int) -> np.ndarray:
    """Which pixel each of five taps of a SAME convolution with stride 2 reads: (side / 2, side, 5)."""
    matrix = np.zeros((side // 2, side, 5))
    for step in range(side // 2):
        for tap in range(5):
            if 0 <= 2 * step + tap - 1 < side:  # three pixels of padding, one of them in front
                matrix[step, 2 * step + tap - 1, tap] = 1
    return matrix


def test_convolutions_of_images_are_tensorflows():
    rng = np.random.default_rng(0)
    kernel, x, small = rng.normal(size=(5, 5)), rng.normal(size=(8, 12)), rng.normal(size=(4, 6))
    rows, columns = image_matrix(8), image_matrix(12)
    down = SameConv2d(1, 1, 5, 2, bias=False).double()
    down.weight.data = torch.from_numpy(kernel)[None, None]
    expected = np.einsum("ihk,jwl,kl,hw->ij", rows, columns, kernel, x)
    assert np.abs(down(torch.from_numpy(x)[None, None])[0, 0].detach().numpy() - expected).max() < 1e-12
    up = SameConvTranspose2d(1, 1, 5, 2).double()
    up.weight.data, up.bias.data = torch.from_numpy(kernel)[None, None], torch.zeros(1, dtype=torch.float64)
    expected = np.einsum("ihk,jwl,kl,ij->hw", rows, columns, kernel, small)
    assert np.abs(up(torch.from_numpy(small)[None, None])[0, 0].detach().numpy() - expected).max() < 1e-12


# ---- RMSProp


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
