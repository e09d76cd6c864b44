import math
from unittest import mock

import pytest
import torch
from helpers.tiny_runs import parameter_count

from lightning_gans.errors import InputError
from lightning_gans.models import WaveGAN
from lightning_gans.models.wavegan import RECIPES
from lightning_gans.networks.tensorflow import TensorFlowRMSprop

TINY = dict(length=256, width=2, latent_dim=4)


@pytest.mark.parametrize(
    "options, generator, discriminator",
    [
        (dict(), 19_065_345, 17_427_969),
        (dict(post_filter=True), 19_065_345 + 512, 17_427_969),
        (dict(upsampling="nearest"), 19_065_345, 17_427_969),
        (dict(length=32768), 73_149_953, 69_875_201),
        (dict(length=65536), 73_149_953, 69_875_201),
        (dict(length=65536, width=32), 19_115_777, 17_478_401),
    ],
)
def test_parameter_counts(options, generator, discriminator):
    with torch.device("meta"):
        model = WaveGAN(**options)
    assert (parameter_count(model.generator), parameter_count(model.discriminator)) == (generator, discriminator)


def test_layers_of_the_paper():
    with torch.device("meta"):
        model = WaveGAN()
    assert [parameter_count(layer) for layer in (model.generator.project, *model.generator.up)] == [
        1_654_784,
        13_107_712,
        3_277_056,
        819_328,
        204_864,
        1_601,
    ]
    assert [parameter_count(layer) for layer in (*model.discriminator.down, model.discriminator.output)] == [
        1_664,
        204_928,
        819_456,
        3_277_312,
        13_108_224,
        16_385,
    ]


@pytest.mark.parametrize("length", [256, 16384])
@pytest.mark.parametrize("options", [dict(), dict(upsampling="nearest"), dict(post_filter=True), dict(batch_norm=True)])
def test_shapes(length, options):
    model = WaveGAN(**TINY | dict(length=length), channels=2, **options)
    audio = model(model.prior(3))
    assert audio.shape == (3, 2, length)
    assert model.discriminator(audio).shape == (3, 1)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(length=16000 + 7), "length 16007 is not 16 times a product of the strides 2 to 5; use 16000 or 16384"),
        (dict(length=7 * 16), "length 112 is not .*; use 96 or 128, or give strides"),
        (dict(length=16), "length 16 is not .*; use 32 or 48"),
        (dict(length=16384, strides=(4, 4)), "strides 4,4 make 16 x 16 = 256; give the length that they make"),
        (dict(length=16, strides=(1,)), "strides of 2 to 25"),
        (dict(length=16 * 26, strides=(26,)), "strides of 2 to 25"),
        (dict(phase_shuffle=-1), "phase_shuffle is -1; expected a whole number of at least 0"),
        (dict(loss="hinge"), "unknown loss 'hinge'; expected wgan_gp or wgan or lsgan or dcgan"),
        (dict(upsampling="cubic"), "unknown upsampling 'cubic'; expected zeros or nearest"),
        (dict(phase_shuffle_per="channel"), "unknown phase_shuffle_per 'channel'; expected batch or example"),
        (dict(strides=()), "strides  make 16 x 1 = 16"),
    ],
)
def test_impossible_arguments(options, message):
    with pytest.raises(InputError, match=message):
        WaveGAN(**dict(width=2) | options)


@pytest.mark.parametrize("length, calls", [(16384, 4), (32768, 4), (65536, 4), (256, 1)])
def test_layers_with_phase_shuffle(length, calls):
    model = WaveGAN(**TINY | dict(length=length))
    with mock.patch.object(model.discriminator.shuffle, "forward", side_effect=lambda x: x) as shuffle:
        model.discriminator(torch.zeros(1, 1, length))
    assert [call.args[0].shape[1] for call in shuffle.call_args_list] == [2 * 2**i for i in range(calls)]


# ---- initialisation, losses, optimizers


def test_glorot_weights_and_zero_biases():
    model = WaveGAN(width=8)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        else:
            fan = parameter.shape[0] + parameter.shape[1]
            bound = (6 / (fan * (parameter[0, 0].numel() if parameter.dim() > 2 else 1))) ** 0.5
            assert 0.9 * bound < parameter.abs().max() <= bound, name


def test_latents_are_uniform():
    z = WaveGAN(**TINY | dict(latent_dim=1000)).prior(100)
    assert z.min() > -1 and z.max() < 1
    assert z.var().item() == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize(
    "name, kind, lr, loss_d, loss_g",
    [
        ("wgan_gp", torch.optim.Adam, 1e-4, 3 - 1, -3),
        ("wgan", TensorFlowRMSprop, 5e-5, 3 - 1, -3),
        ("lsgan", TensorFlowRMSprop, 1e-4, (0 + 9) / 2, 4),
        ("dcgan", torch.optim.Adam, 2e-4, (math.log1p(math.exp(-1)) + math.log1p(math.exp(3))) / 2, 0.04858735),
    ],
)
def test_losses_and_their_optimizers(name, kind, lr, loss_d, loss_g):
    """D says 1 to what is real and 3 to what is fake."""
    real, fake = torch.full((4, 1), 1.0), torch.full((4, 1), 3.0)
    assert RECIPES[name].loss_d(real, fake).item() == pytest.approx(loss_d)
    assert RECIPES[name].loss_g(fake).item() == pytest.approx(loss_g)
    for optimizer in WaveGAN(**TINY, loss=name).configure_optimizers():
        assert type(optimizer) is kind
        assert optimizer.param_groups[0]["lr"] == lr
        betas = {"wgan_gp": (0.5, 0.9), "dcgan": (0.5, 0.999)}.get(name)
        assert optimizer.param_groups[0].get("betas") == betas
        assert optimizer.param_groups[0].get("alpha") == (0.9 if kind is TensorFlowRMSprop else None)


def test_a_rate_of_zero_is_meant():
    assert [o.param_groups[0]["lr"] for o in WaveGAN(**TINY, lr=0.0).configure_optimizers()] == [0.0, 0.0]
