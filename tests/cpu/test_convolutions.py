"""Faster forms of layers, held to the plain ones in values and gradients."""

from collections.abc import Callable
from unittest import mock

import pytest
import torch
from helpers.gradients import values_and_gradients
from torch import Tensor, nn

from lightning_gans.cpu import convolutions as cpu_convolutions
from lightning_gans.cpu.convolutions import as_image, faster, in_a_row, in_phases, on_image


def same(form: Callable[[Tensor], Tensor], plain: nn.Module, x: Tensor) -> None:
    of_form, expected = (values_and_gradients(function, plain, x) for function in (form, plain))
    assert all(value.any() for value in expected)
    torch.testing.assert_close(of_form, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("samples", [37, 64])
@pytest.mark.parametrize("kernel, stride, padding, groups", [(41, 4, 20, 2), (8, 4, 2, 1), (5, 3, 0, 4), (2, 5, 1, 2)])
def test_in_phases(samples, kernel, stride, padding, groups):
    conv = nn.Conv1d(8, 12, kernel, stride, padding, groups=groups).double()
    same(lambda x: in_phases(conv, x), conv, torch.randn(3, 8, samples, dtype=torch.double))


@pytest.mark.parametrize("kernel, padding", [(5, 2), (3, 0), (3, 2), (4, 3), (1, 0)])
def test_in_a_row(kernel, padding):
    conv = nn.Conv1d(6, 4, kernel, padding=padding).double()
    same(lambda x: in_a_row(conv, x), conv, torch.randn(3, 6, 9, dtype=torch.double))


@pytest.mark.parametrize("kernel, dilation, padding", [(3, 9, 0), (7, 1, 0), (1, 1, 0), (3, 2, 2)])
def test_images(kernel, dilation, padding):
    conv = nn.Conv1d(6, 4, kernel, padding=padding, dilation=dilation).double()
    x = torch.randn(3, 6, 25, dtype=torch.double)
    same(lambda x: on_image(conv, as_image(x))[:, :, 0], conv, x)


@pytest.mark.parametrize("stride, padding, output_padding", [(8, 4, 0), (5, 3, 1), (2, 1, 0)])
def test_transposed_images(stride, padding, output_padding):
    conv = nn.ConvTranspose1d(6, 4, 2 * stride, stride, padding, output_padding).double()
    x = torch.randn(3, 6, 7, dtype=torch.double)
    same(lambda x: on_image(conv, as_image(x))[:, :, 0], conv, x)


def taken(layer: nn.Module, shape: tuple[int, ...]) -> str:
    with mock.patch.multiple(cpu_convolutions, in_phases=lambda *_: "phases", in_a_row=lambda *_: "row"):
        result = faster(layer.to("meta"), torch.empty(shape, device="meta"))
    return result if isinstance(result, str) else "plain"


def test_which_form_is_taken():
    """MelGAN's discriminator; each condition alone."""
    grouped = nn.Conv1d(16, 64, 41, 4, 20, groups=4)
    assert taken(grouped, (2, 16, 64)) == "phases"
    assert taken(nn.Conv1d(1024, 1024, 41, 4, 20, groups=256), (2, 1024, 64)) == "plain"
    assert taken(nn.Conv1d(16, 64, 41, 1, 20, groups=4), (2, 16, 64)) == "plain"
    assert taken(nn.Conv1d(16, 64, 5, 4, 20, dilation=2, groups=4), (2, 16, 64)) == "plain"
    assert taken(nn.Conv1d(16, 64, 41, 4, 20, groups=4, padding_mode="reflect"), (2, 16, 64)) == "plain"
    wide = nn.Conv1d(1024, 1024, 5, padding=2)
    assert [taken(wide, (n, 1024, t)) for n, t in ((2, 32), (1, 32), (2, 129))] == ["row", "plain", "plain"]
    assert taken(nn.Conv1d(1024, 1, 3, padding=1), (2, 1024, 32)) == "plain"
    assert taken(nn.LeakyReLU(), (2, 1024, 32)) == "plain"
