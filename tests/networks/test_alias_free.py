"""BigVGAN's activation, against numbers of the authors' code."""

import pytest
import torch
from torch import nn
from torch.nn.functional import pad

from lightning_gans.networks.alias_free import REACH, AliasFree, Snake, low_pass

HALF = (0.00202896, 0.00938947, -0.02554346, -0.05765738, 0.12857258, 0.44320980)


def test_the_filter():
    """Twelve taps, symmetric, of sum 1."""
    taps = low_pass()
    torch.testing.assert_close(taps, torch.tensor([*HALF, *HALF[::-1]]), rtol=0, atol=1e-7)
    assert taps.dtype == torch.float32 and taps.sum().item() == pytest.approx(1, abs=1e-6)


def test_values_of_the_activation():
    """With alpha = beta = 1, as at the start; with others by hand."""
    act, x = Snake(1), torch.tensor([[[0.5, 1.0, -2.0]]])
    assert act(x)[0, 0].tolist() == pytest.approx([0.729849, 1.708073, -1.173178], abs=1e-6)
    act = Snake(2).double()
    with torch.no_grad():
        act.alpha.copy_(torch.tensor([2.0, 3.0]).log())
        act.beta.copy_(torch.tensor([0.5, 4.0]).log())
    x = torch.randn(3, 2, 5).double()
    expected = torch.stack([x[:, 0] + (2 * x[:, 0]).sin() ** 2 / 0.5, x[:, 1] + (3 * x[:, 1]).sin() ** 2 / 4], 1)
    torch.testing.assert_close(act(x), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_many_turns_in_half_precision(dtype):
    """sin^2 of 3 x for x around 40: what half precision would round is a tenth of a turn."""
    act, x = Snake(1), 40 + torch.rand(1, 1, 100, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        act.alpha.fill_(1.1)
    x = x.to(dtype)
    expected = act(x.float())
    for given in (act(x), act.to(dtype)(x)):  # weights in float32, as in mixed precision, and in the input's
        assert given.dtype == dtype
        error = 0.2 if act.alpha.dtype == torch.float32 else 0.4  # the rounding of alpha itself is 0.004 of 120
        assert (given.float() - expected).abs().max() < error


def test_upsampling_of_an_impulse():
    """Numbers of the authors' code: twice the taps, and the activation meets 2 T samples."""
    seen = []

    class Seen(nn.Module):
        def forward(self, y):
            seen.append(y)
            return y

    layer = AliasFree(Seen())
    x = torch.zeros(1, 1, 20)
    x[..., 10] = 1
    out = layer(x)
    assert seen[0].shape == (1, 1, 40) and out.shape == (1, 1, 20)
    middle = seen[0][0, 0, 19:23].tolist()
    assert middle == pytest.approx([0.257145, 0.886420, 0.886420, 0.257145], abs=1e-6)
    assert out[0, 0, 10].item() == pytest.approx(0.868140, abs=1e-6)
    touched = out[0, 0].nonzero().flatten()
    assert (touched.min().item(), touched.max().item()) == (10 - REACH, 10 + REACH)


@pytest.mark.parametrize("length", [1, 2, 30])
def test_constants_pass(length):
    """Ones become 1 + sin^2(1), up to both ends."""
    out = AliasFree(Snake(3))(torch.ones(2, 3, length))
    torch.testing.assert_close(out, torch.full_like(out, 1.708073), rtol=0, atol=2e-6)


def test_what_would_come_back_is_filtered():
    """A tone at 0.35 of the rate, squared, has its double at 0.7, which would come back at 0.3: a quarter does."""

    class Square(nn.Module):
        def forward(self, y):
            return y.square()

    x = torch.cos(2 * torch.pi * 0.35 * torch.arange(400.0))[None, None]

    def level(y):
        return torch.fft.rfft(y[0, 0, 100:300])[60].abs().item()

    assert level(x.square()) > 40 and level(AliasFree(Square())(x)) < 12.5


def test_by_hand():
    """Zeros between samples, the filter; the activation; the filter again, of which every other output."""
    taps, x = low_pass().double(), torch.randn(1, 1, 9).double()
    wide = x.new_zeros(2 * (9 + 10))
    wide[::2] = pad(x, (5, 5), mode="replicate")[0, 0]
    up = [2 * sum(taps[k] * wide[n + 15 - k] for k in range(12) if 0 <= n + 15 - k < len(wide)) for n in range(18)]
    y = [value + torch.sin(value) ** 2 for value in up]
    y = [y[0]] * 5 + y + [y[-1]] * 6
    expected = torch.stack([sum(taps[k] * y[2 * n + k] for k in range(12)) for n in range(9)])
    layer = AliasFree(Snake(1)).double()
    torch.testing.assert_close(layer(x)[0, 0], expected, rtol=1e-7, atol=1e-7)


def test_the_filter_is_neither_trained_nor_saved():
    layer = AliasFree(Snake(3))
    assert set(layer.state_dict()) == {"act.alpha", "act.beta"} == {name for name, _ in layer.named_parameters()}
    assert layer.to(torch.float64).taps.dtype == torch.float64
    assert layer.to("meta").taps.device.type == "meta"
