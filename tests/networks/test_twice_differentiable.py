"""The convolution in groups and its derivatives are PyTorch's, without its loop over the groups."""

from collections import Counter

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import conv2d
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_gans.networks.twice_differentiable import GroupedConv2d, GroupedConvolution

CASES = {  # C, D, side, kernel, stride, padding, groups
    "groups": (6, 9, 5, 3, 1, 1, 3),
    "one group": (3, 2, 4, 1, 1, 0, 1),
    "half the side": (4, 4, 6, 4, 2, 1, 4),
    "one pixel": (4, 4, 4, 4, 1, 0, 4),
}


def example(c, d, side, kernel, stride, padding, groups):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, c, side, side, dtype=torch.float64, generator=draw, requires_grad=True)
    weight = torch.randn(d, c // groups, kernel, kernel, dtype=torch.float64, generator=draw, requires_grad=True)
    return x, weight, stride, padding, groups


def penalty(convolution, x, weight, *options):
    (gradient,) = torch.autograd.grad(convolution(x, weight, *options).sin().sum(), x, create_graph=True)
    return torch.autograd.grad(gradient.square().sum(), (x, weight))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_values_and_derivatives(case):
    inputs = example(*case)
    assert gradcheck(GroupedConvolution.apply, inputs) and gradgradcheck(GroupedConvolution.apply, inputs)
    x, weight, stride, padding, groups = inputs

    def plain(x, weight, *_):
        return conv2d(x, weight, None, stride, padding, 1, groups)

    assert torch.equal(GroupedConvolution.apply(*inputs), plain(x, weight))
    for ours, theirs in zip(penalty(GroupedConvolution.apply, *inputs), penalty(plain, *inputs), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("frozen", [0, 1])
def test_an_input_without_a_gradient(frozen):
    inputs = example(*CASES["groups"])
    inputs[frozen].requires_grad_(False)
    GroupedConvolution.apply(*inputs).sum().backward()
    assert inputs[frozen].grad is None and inputs[1 - frozen].grad is not None


def test_autocast():
    layer, plain = GroupedConv2d(4, 4, 3, 2, 1), torch.nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(2, 4, 5, 5)
    gradients = []
    for each in (layer, plain):
        with torch.autocast("cpu", torch.bfloat16):
            made = each(x)
        assert made.dtype == torch.bfloat16
        made.float().square().sum().backward()
        gradients.append(each.weight.grad)
    assert gradients[0].dtype == torch.float32
    torch.testing.assert_close(*gradients, rtol=2e-2, atol=2e-2)


def test_a_penalty_takes_as_many_calls_for_many_groups_as_for_one():
    class Calls(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.counter = Counter()

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.counter[str(function)] += 1
            return function(*args, **(kwargs or {}))

    def calls(layer):
        x = torch.randn(2, 32, 4, 4, requires_grad=True)
        with Calls() as found:
            penalty(lambda x, weight: layer(x), x, layer.weight)
        return found.counter["aten.convolution.default"]

    plain = torch.nn.Conv2d(32, 32, 3, padding=1, groups=16, bias=False)
    assert calls(GroupedConv2d(32, 32, 3, 16, 1)) == calls(GroupedConv2d(32, 32, 3, 1, 1)) < 5
    assert calls(plain) > 16, "PyTorch has mended it: Conv2d will do"
