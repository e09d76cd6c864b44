"""The alias-free activation in two phases, held to the plain one in values and gradients."""

import pytest
import torch
from helpers.gradients import values_and_gradients

from lightning_gans.cpu import alias_free
from lightning_gans.cpu.alias_free import AliasFreeSnake
from lightning_gans.networks.alias_free import AliasFree, Snake


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 40, 41])
@pytest.mark.parametrize("piece", [2**19, 30, 7])
def test_values_and_gradients(length, piece, monkeypatch):
    """At lengths below what the filters see, and in pieces down to what they see on one side."""
    monkeypatch.setattr(alias_free, "PIECE", piece)
    torch.manual_seed(0)
    plain = AliasFree(Snake(5)).double()
    torch.nn.init.normal_(plain.act.alpha)
    torch.nn.init.normal_(plain.act.beta)
    x = torch.randn(2, 5, length, dtype=torch.double)
    expected = values_and_gradients(plain, plain, x)
    found = values_and_gradients(lambda x: AliasFreeSnake.apply(x.mT, *plain.act.scales(), plain.taps).mT, plain, x)
    assert len(found) == 4 and all(value.any() for value in expected)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_only_the_input_is_kept():
    """For the gradients; layers keep a dozen times as much."""
    layer, x, kept = AliasFree(Snake(8)), torch.randn(1, 100, 8, requires_grad=True), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        AliasFreeSnake.apply(x, *layer.act.scales(), layer.taps)
    assert sum(count for count in kept if count >= x.numel()) == x.numel()


def test_in_float32():
    layer, x = AliasFree(Snake(16)), torch.randn(2, 16, 200)
    with torch.no_grad():
        difference = AliasFreeSnake.apply(x.mT, *layer.act.scales(), layer.taps).mT - layer(x)
    assert 0 < difference.abs().max() < 2e-6
