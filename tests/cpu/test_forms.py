"""Faster forms of networks: the same numbers, wherever they are put in place and taken off."""

import copy
import sys
from unittest import mock

import pytest
import torch
from helpers.gradients import values_and_gradients
from helpers.tiny_mels import (
    TinyMels,
    small_discriminators,
    tiny_bigvgan,
    tiny_hifigan,
    tiny_melgan,
    tiny_parallel_wavegan,
)
from helpers.tiny_runs import VOCODERS, build, fit, state
from torch import nn

from lightning_gans import cpu, zoo
from lightning_gans.cpu import convolutions
from lightning_gans.models import MelGAN, ParallelWaveGAN, Vocos, bigvgan, melgan, parallel_wavegan, vocos
from lightning_gans.networks.waveform_discriminators import (
    MultiScaleDiscriminator,
    SampleDiscriminator,
    ScaleDiscriminator,
)


def forms(module: nn.Module) -> set[str]:
    return {type(network).__module__ for network in module.modules()} & {form.__module__ for form in cpu.FORMS.values()}


def same_network(network: nn.Module, *inputs: torch.Tensor) -> None:
    """In float64; what the form does to get there differs."""
    network.double()
    expected = values_and_gradients(network, network, *inputs)
    assert all(value.any() for value in expected)
    cpu.put_in_place(network)
    assert forms(network)
    found = values_and_gradients(network, network, *inputs)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    cpu.take_off(network)
    assert not forms(network)


@pytest.mark.parametrize("ratios, frames", [((8, 2), 4), ((5, 3), 9)])
def test_generator_of_melgan(ratios, frames):
    network = melgan.Generator(5, ratios, 2, 3)
    same_network(network, torch.randn(3, 5, max(frames, network.min_frames), dtype=torch.double))


@pytest.mark.parametrize("preset", ["v1", "v3"])
def test_generator_of_hifigan(preset):
    network = tiny_hifigan(preset).generator
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    same_network(network, torch.randn(3, 8, 9, dtype=torch.double))


def test_hifigan_in_pieces():
    """In synthesis, examples apart, and of each stage as many numbers as fit the cache."""
    model = tiny_hifigan()
    mel = torch.rand(2, 8, 61) * 4 - 4
    expected = model.vocode(mel)
    cpu.put_in_place(model)
    for piece, parts in ((10**6, 2 * 2), (1024, 2 * (2 + 2)), (300, 2 * (7 + 7))):
        fused = mock.patch.object(cpu.hifigan, "fused", side_effect=cpu.hifigan.fused)
        with mock.patch.object(cpu.hifigan, "PIECE", piece), fused as fused:
            assert (model.vocode(mel) - expected).abs().max() < 1e-6
        assert fused.call_count == parts


def test_what_fits_the_cache():
    """Examples, and then frames, apart: nothing is kept for gradients."""
    model = tiny_melgan()
    mel = torch.randn(3, 8, 61)
    with torch.no_grad():
        expected = model.generator(mel)
    cpu.put_in_place(model)
    for cached, parts in ((25, 3 * 3), (61, 3), (130, 2), (400, 1)):
        images = mock.patch.object(
            cpu.melgan.Generator, "in_images", autospec=True, side_effect=cpu.melgan.Generator.in_images
        )
        with torch.no_grad(), mock.patch.object(cpu.melgan, "CACHED_FRAMES", cached), images as in_images:
            assert (model.generator(mel) - expected).abs().max() < 1e-6
        assert in_images.call_count == parts
    reach = model.receptive_frames
    with torch.no_grad(), mock.patch.object(cpu.melgan, "CACHED_FRAMES", 25), images as in_images:
        model.generator(mel[:1])
    lengths = [call.args[1].shape[-1] for call in in_images.call_args_list]
    assert lengths == [25 + reach, 25 + 2 * reach, 11 + reach]


@pytest.mark.parametrize("rates, frames", [((8, 2), 1), ((5, 3), 4)])
@pytest.mark.parametrize("final, final_bias", [("tanh", True), ("clamp", False)])
def test_generator_of_bigvgan(rates, frames, final, final_bias):
    network = bigvgan.Generator(5, 16, rates, (3, 5), ((1, 3), (2,)), final, final_bias)
    for name, parameter in network.named_parameters():
        if name.endswith(("alpha", "beta")):
            nn.init.normal_(parameter, std=0.3)
    same_network(network, torch.randn(3, 5, frames, dtype=torch.double))


def test_frames_of_bigvgan_that_fit_the_cache():
    """Examples, and then frames, apart, as above."""
    model = tiny_bigvgan()
    mel = torch.randn(3, 8, 61)
    with torch.no_grad():
        expected = model.generator(mel)
        cpu.put_in_place(model)
        for frames, parts in ((25, 3 * 3), (61, 3), (130, 2), (400, 1)):
            images = mock.patch.object(
                cpu.bigvgan.Generator, "in_images", autospec=True, side_effect=cpu.bigvgan.Generator.in_images
            )
            with mock.patch.object(cpu.bigvgan, "CACHED_FRAMES", frames), images as in_images:
                assert (model.generator(mel) - expected).abs().max() < 1e-5
            assert in_images.call_count == parts


def test_other_precisions_of_bigvgan_get_plain_layers():
    model, mel = tiny_bigvgan(), torch.randn(1, 8, 9)
    cpu.put_in_place(model)
    with mock.patch.object(cpu.bigvgan.Generator, "in_images", side_effect=AssertionError):
        with torch.autocast("cpu", torch.bfloat16):
            model(mel)
        model.bfloat16()(mel.bfloat16())


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("scales", [(4, 4), (2, 3, 2)])
@pytest.mark.parametrize("frames", [1, 2, 5, 9, 10, 23])
def test_generator_of_parallel_wavegan(kernel, scales, frames):
    network = parallel_wavegan.Generator(5, scales, 2, 6, 2, kernel, 4, 6, 3)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    hop = torch.tensor(scales).prod().item()
    noise, mel = torch.randn(2, 1, frames * hop).double(), torch.randn(2, 5, frames + 4).double()
    with mock.patch("lightning_gans.cpu.gated_block.PIECE", 3 * hop):  # several
        same_network(network, noise, mel)


def test_generator_of_parallel_wavegan_in_float32():
    """At the real size: 12 frames."""
    generator = ParallelWaveGAN("ljspeech").generator
    mel, noise = torch.randn(1, 80, 16), torch.randn(1, 1, 12 * 256)
    with torch.no_grad():
        expected = generator(noise, mel)
        cpu.put_in_place(generator)
        audio = generator(noise, mel)
    assert expected.std() > 0.1
    assert 0 < (audio - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_generator_of_vocos(frames):
    network = vocos.Generator(5, 8, 12, 2, 64, 16, "same")
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    same_network(network, torch.randn(3, 5, frames, dtype=torch.double))


def test_generator_of_vocos_in_float32():
    """Where no gradients are asked for, by weights that are laid out once: until they change, in whichever way."""
    model, mel = Vocos(dim=64, intermediate_dim=192, num_layers=2, period_width=0.01), torch.randn(2, 100, 20)
    plain, weight = copy.deepcopy(model), model.generator.backbone.convnext[0].pwconv1.weight
    cpu.put_in_place(model)
    assert hasattr(cpu.vocos.OPERATIONS, "_linear_pointwise")
    product = mock.Mock(wraps=cpu.vocos.product)

    def changed_in_inference_mode() -> None:
        with torch.inference_mode():
            weight.mul_(2)

    def changed_by_an_optimizer() -> None:
        model.generator(mel).square().sum().backward()
        torch.optim.AdamW(model.generator.parameters(), 0.1, fused=True).step()

    with mock.patch.object(cpu.vocos, "product", product):
        for change in (
            lambda: None,
            lambda: None,
            lambda: nn.init.normal_(weight),
            lambda: weight.data.mul_(2),
            lambda: setattr(weight, "data", weight.data / 2),
            changed_in_inference_mode,
            changed_by_an_optimizer,
        ):
            change()
            plain.load_state_dict(model.state_dict())
            for mode in (torch.no_grad, torch.inference_mode):
                with mode():
                    expected = plain.generator(mel)
                    assert 0 < (model.generator(mel) - expected).abs().max() < 1e-5 * expected.abs().max()
    assert product.call_count == 7 * 2 * 4
    with torch.inference_mode():
        model, expected = copy.deepcopy(model), model.generator(mel)
        assert torch.equal(model.generator(mel), expected)


def test_discriminator_of_melgan():
    network = MultiScaleDiscriminator(2)
    network.discriminators = nn.ModuleList(ScaleDiscriminator(16, 2, 64) for _ in range(2))
    with mock.patch.object(convolutions, "MANY_CHANNELS", 64):
        same_network(network, torch.rand(2, 1, 211, dtype=torch.double))


@pytest.mark.parametrize("examples", [2, 5])
def test_discriminator_of_parallel_wavegan(examples):
    same_network(SampleDiscriminator(4, 8), torch.rand(examples, 1, 60, dtype=torch.double))


# ---- in place, and out of the way


def test_compilers_traces_and_other_devices_get_plain_layers():
    model = tiny_melgan()
    mel = torch.randn(2, 8, 9)
    expected = model.generator(mel)
    cpu.put_in_place(model)
    with mock.patch.object(cpu.melgan.Generator, "in_images", side_effect=AssertionError):
        with pytest.raises(AssertionError):
            model.generator(mel)
        compiled = torch.compile(model.generator, backend="eager")(mel)
        with mock.patch.object(torch.jit, "is_tracing", lambda: True):
            traced = model.generator(mel)
        program = torch.export.export(model.generator, (mel,))
        assert model.to("meta").generator(mel.to("meta")).shape == expected.shape
    for audio in (compiled, traced, program.module()(mel)):
        torch.testing.assert_close(audio, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", VOCODERS)
def test_a_model_stays_what_it_is(name):
    model = build(name)
    keys = list(model.state_dict())
    plain = copy.deepcopy(model)
    cpu.put_in_place(model)
    assert list(model.state_dict()) == keys
    assert isinstance(model.generator, type(plain.generator)) and type(model.generator) is not type(plain.generator)
    copied = copy.deepcopy(model)
    assert forms(copied) == forms(model)
    torch.testing.assert_close(state(copied), state(plain), rtol=0, atol=0)
    cpu.take_off(model)
    assert not forms(model)


@pytest.mark.parametrize("name", VOCODERS)
@pytest.mark.parametrize("without", ["the table", "the folder"])
def test_training_without_faster_forms_gives_the_same(name, without, monkeypatch):
    states = []
    for plain in (False, True):
        if plain and without == "the table":
            monkeypatch.setattr(cpu, "FORMS", {})
        elif plain:
            monkeypatch.setitem(sys.modules, "lightning_gans.cpu", None)
        model = build(name)
        fit(model, TinyMels(model), max_steps=2, precision="64-true")
        assert bool(forms(model)) != plain
        states.append(state(model))
    torch.testing.assert_close(states[0], states[1], rtol=1e-6, atol=1e-6)  # spectra are in float32 all the same


def test_a_model_that_is_loaded_has_them(tmp_path, monkeypatch):
    model = tiny_parallel_wavegan()
    fit(model, TinyMels(model), max_steps=1).save_checkpoint(tmp_path / "run.ckpt")
    mel = torch.rand(2, 8, 20) - 3
    with small_discriminators():
        loaded = zoo.load(tmp_path / "run.ckpt")
        monkeypatch.setitem(sys.modules, "lightning_gans.cpu", None)
        plain = zoo.load(tmp_path / "run.ckpt")
    assert forms(loaded) == {"lightning_gans.cpu.parallel_wavegan", "lightning_gans.cpu.discriminators"}
    assert not forms(plain)
    torch.testing.assert_close(loaded.vocode(mel, seed=0), plain.vocode(mel, seed=0), rtol=0, atol=1e-5)


def test_models_that_are_made_by_hand_are_plain():
    assert not forms(MelGAN(width=1, blocks=1))
