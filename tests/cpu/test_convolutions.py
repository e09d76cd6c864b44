"""Faster forms of layers and of the networks made of them, held to the plain ones in values and gradients."""

from collections.abc import Callable
from unittest import mock

import pytest
import torch
from helpers.tiny_mels import tiny_melgan
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d

from lightning_gans.cpu import convolutions as cpu_convolutions
from lightning_gans.cpu.convolutions import (
    as_image,
    convolve_image,
    convolve_transposed_image,
    faster,
    in_a_row,
    in_phases,
)
from lightning_gans.models.melgan import Generator
from lightning_gans.networks.waveform_discriminators import (
    MultiScaleDiscriminator,
    SampleDiscriminator,
    ScaleDiscriminator,
)


def values_and_gradients(function: Callable[[Tensor], Tensor | list], module: nn.Module, x: Tensor) -> list[Tensor]:
    """Outputs, and what flows to the input and to each parameter from a sum with weights."""
    x = x.clone().requires_grad_()
    outputs = function(x)
    outputs = [outputs] if isinstance(outputs, Tensor) else [h for maps in outputs for h in maps]
    draw = torch.Generator().manual_seed(0)
    total = sum((h * torch.randn(h.shape, dtype=h.dtype, generator=draw)).sum() for h in outputs)
    return [*outputs, *torch.autograd.grad(total, [x, *module.parameters()])]


def same(form: Callable, plain: Callable, module: nn.Module, x: Tensor) -> None:
    of_form, expected = (values_and_gradients(function, module, x) for function in (form, plain))
    assert all(value.any() for value in expected)
    torch.testing.assert_close(of_form, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("samples", [37, 64])
@pytest.mark.parametrize("kernel, stride, padding, groups", [(41, 4, 20, 2), (8, 4, 2, 1), (5, 3, 0, 4), (2, 5, 1, 2)])
def test_in_phases(samples, kernel, stride, padding, groups):
    conv = nn.Conv1d(8, 12, kernel, stride, padding, groups=groups).double()
    same(lambda x: in_phases(conv, x), conv, conv, torch.randn(3, 8, samples, dtype=torch.double))


@pytest.mark.parametrize("kernel, padding", [(5, 2), (3, 0), (3, 2), (4, 3), (1, 0)])
def test_in_a_row(kernel, padding):
    conv = nn.Conv1d(6, 4, kernel, padding=padding).double()
    same(lambda x: in_a_row(conv, x), conv, conv, torch.randn(3, 6, 9, dtype=torch.double))


@pytest.mark.parametrize("kernel, dilation, padding", [(3, 9, 0), (7, 1, 0), (1, 1, 0), (3, 2, 2)])
def test_images(kernel, dilation, padding):
    conv = nn.Conv1d(6, 4, kernel, padding=padding, dilation=dilation).double()
    x = torch.randn(3, 6, 25, dtype=torch.double)
    same(lambda x: convolve_image(conv, as_image(x))[:, :, 0], conv, conv, x)


@pytest.mark.parametrize("stride, padding, output_padding", [(8, 4, 0), (5, 3, 1), (2, 1, 0)])
def test_transposed_images(stride, padding, output_padding):
    conv = nn.ConvTranspose1d(6, 4, 2 * stride, stride, padding, output_padding).double()
    x = torch.randn(3, 6, 7, dtype=torch.double)
    same(lambda x: convolve_transposed_image(conv, as_image(x))[:, :, 0], conv, conv, x)


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


# ---- the networks


@pytest.mark.parametrize("ratios, frames", [((8, 2), 4), ((5, 3), 9)])
def test_generator_of_melgan(ratios, frames):
    network = Generator(5, ratios, 2, 3).double()
    mel = torch.randn(3, 5, max(frames, network.min_frames), dtype=torch.double)
    same(network, network.model, network, mel)
    with torch.no_grad(), mock.patch("lightning_gans.models.melgan.CACHED_FRAMES", 2 * mel.shape[-1]):
        torch.testing.assert_close(network(mel), network.model(mel), rtol=0, atol=1e-12)


def layer_by_layer(network: MultiScaleDiscriminator, audio: Tensor) -> list[list[Tensor]]:
    outputs = []
    for i, scale in enumerate(network.discriminators):
        if i:
            audio = avg_pool1d(audio, 4, 2, padding=1, count_include_pad=False)
        maps = [audio]
        for layer in scale.layers:
            maps.append(layer(maps[-1]))
        outputs.append(maps[1:])
    return outputs


def test_discriminator_of_melgan():
    network = MultiScaleDiscriminator(2)
    network.discriminators = nn.ModuleList(ScaleDiscriminator(16, 2, 64) for _ in range(2))
    network.double()
    audio = torch.rand(2, 1, 211, dtype=torch.double)
    with mock.patch.object(cpu_convolutions, "MANY_CHANNELS", 64):
        same(network, lambda x: layer_by_layer(network, x), network, audio)


@pytest.mark.parametrize("examples", [2, 5])
def test_discriminator_of_parallel_wavegan(examples):
    network = SampleDiscriminator(4, 8).double()
    audio = torch.rand(examples, 1, 60, dtype=torch.double)
    same(network, lambda x: [[network.conv_layers(x)]], network, audio)


def test_compilers_get_plain_layers():
    model = tiny_melgan()
    mel = torch.randn(2, 8, 9)
    expected = model.generator(mel)
    with mock.patch.object(Generator, "of_image", side_effect=AssertionError):
        with pytest.raises(AssertionError):
            model.generator(mel)
        compiled = torch.compile(model.generator, backend="eager")(mel)
        with mock.patch.object(torch.jit, "is_tracing", lambda: True):
            traced = model.generator(mel)
    torch.testing.assert_close(compiled, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(traced, expected, rtol=0, atol=1e-5)
