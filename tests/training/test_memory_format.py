import torch
from helpers import tiny_zoo
from helpers.tiny_runs import build, fit, state
from torch import nn

from lightning_gans import zoo
from lightning_gans.training.memory_format import channels_last


def orders(module: nn.Module) -> set[bool]:
    """Whether the channels come last, of all 2-d kernels."""
    kernels = [p for p in module.parameters() if p.dim() == 4]
    return {kernel.stride(1) == 1 for kernel in kernels}


def test_values_and_names_stay():
    module = build("dcgan_torch")
    before = state(module)
    channels_last(module)
    assert orders(module) == {True}  # those of one channel too
    torch.testing.assert_close(state(module), before, rtol=0, atol=0)


def test_kernels_in_one_direction_stay():
    layers = nn.Sequential(nn.Conv2d(3, 4, (1, 5)), nn.Conv2d(3, 4, 5))
    channels_last(layers)
    assert [layer.weight.stride(1) == 1 for layer in layers] == [False, True]


def test_where_a_fit_begins_and_where_a_model_is_loaded(tmp_path):
    module = build("dcgan_torch")
    assert orders(module) == {False}
    fit(module, max_steps=1)
    assert orders(module) == {True}
    loaded = zoo.load(tiny_zoo.checkpoint(tmp_path / "last.ckpt", "ControlGAN"))
    assert orders(loaded) == {True}
