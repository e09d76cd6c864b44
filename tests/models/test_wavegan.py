import math
from unittest import mock

import numpy as np
import pytest
import torch
from helpers.tiny_runs import parameter_count
from torch import nn

from lightning_gans.errors import InputError
from lightning_gans.models import WaveGAN
from lightning_gans.models.wavegan import (
    RECIPES,
    NearestConv1d,
    PhaseShuffle,
    SameConv1d,
    SameConvTranspose1d,
    shifted,
    strides_for,
)
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


@pytest.mark.parametrize(
    "length, strides",
    [
        (16384, (4, 4, 4, 4, 4)),
        (32768, (4, 4, 4, 4, 4, 2)),
        (65536, (4, 4, 4, 4, 4, 4)),
        (8192, (4, 4, 4, 4, 2)),
        (24000, (4, 3, 5, 5, 5)),
    ],
)
def test_strides(length, strides):
    assert strides_for(length) == strides
    assert 16 * math.prod(strides) == length


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
        (dict(phase_shuffle=-1), "phase_shuffle is -1; expected 0 to"),
        (dict(loss="hinge"), "unknown loss 'hinge'; expected wgan_gp, wgan, lsgan, dcgan"),
        (dict(upsampling="cubic"), "unknown upsampling 'cubic'; expected zeros or nearest"),
        (dict(conditioning="film"), "unknown conditioning 'film'; expected concat or projection"),
    ],
)
def test_impossible_arguments(options, message):
    with pytest.raises(InputError, match=message):
        WaveGAN(**dict(width=2) | options)


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
    layer = NearestConv1d(1, 1, 25, 4).double()
    x = torch.randn(1, 1, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrix = same_matrix(32, layer.weight[0, 0].detach().numpy(), 1)
    expected = matrix @ np.repeat(x[0, 0].numpy(), 4) + layer.bias.item()
    assert np.abs(layer(x)[0, 0].detach().numpy() - expected).max() < 1e-12


# ---- phase shuffle


@pytest.mark.parametrize(
    "shift, expected",
    [
        (0, [0, 1, 2, 3, 4, 5, 6, 7]),
        (2, [2, 1, 0, 1, 2, 3, 4, 5]),
        (1, [1, 0, 1, 2, 3, 4, 5, 6]),
        (-2, [2, 3, 4, 5, 6, 7, 6, 5]),
        (-1, [1, 2, 3, 4, 5, 6, 7, 6]),
    ],
)
def test_shifts(shift, expected):
    x = torch.arange(8.0).expand(2, 3, 8)
    with mock.patch("torch.randint", lambda *a, **k: torch.tensor(shift)):
        assert PhaseShuffle(2, "batch")(x)[1, 2].tolist() == expected
    assert shifted(x, torch.tensor([[0], [shift]])).tolist() == [[list(range(8))] * 3, [expected] * 3]


@pytest.mark.parametrize("per", ["batch", "example"])
def test_all_shifts_are_drawn_equally_often(per):
    torch.manual_seed(0)
    x = torch.arange(3.0, 19.0).expand(8, 2, 16)
    shuffle = PhaseShuffle(2, per)
    draws = [18 - shuffle(x)[:, :, 8] - 7 for _ in range(500)]  # the middle's value tells the shift
    counts = torch.stack(draws).flatten().unique(return_counts=True)
    assert len(counts[0]) == 5
    assert (counts[1] / (500 * 16) - 0.2).abs().max() < 0.06
    same = [draw.unique().numel() == 1 for draw in draws]
    assert all(same) if per == "batch" else not any(same[:20])
    assert all(torch.equal(draw[:, 0], draw[:, 1]) for draw in draws)  # the channels move together


def test_the_gradient_can_be_taken_twice():
    x = torch.randn(2, 1, 6, dtype=torch.float64, requires_grad=True)
    shift = torch.tensor([[2], [-1]])
    assert torch.autograd.gradgradcheck(lambda x: shifted(x, shift).pow(3), x)
    with mock.patch("torch.randint", lambda *a, **k: torch.tensor(-2)):
        assert torch.autograd.gradgradcheck(lambda x: PhaseShuffle(2, "batch")(x).pow(3), x)


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
    loss = RECIPES[name].loss
    assert loss.discriminator(real, fake).item() == pytest.approx(loss_d)
    assert loss.generator(fake, None).item() == pytest.approx(loss_g)
    for optimizer in WaveGAN(**TINY, loss=name).configure_optimizers():
        assert type(optimizer) is kind
        assert optimizer.param_groups[0]["lr"] == lr
        betas = {"wgan_gp": (0.5, 0.9), "dcgan": (0.5, 0.999)}.get(name)
        assert optimizer.param_groups[0].get("betas") == betas
        assert optimizer.param_groups[0].get("alpha") == (0.9 if kind is TensorFlowRMSprop else None)


# ---- labels


@pytest.mark.parametrize("conditioning", ["concat", "projection"])
def test_labels_count_in_both_networks(conditioning):
    model = WaveGAN(**TINY, num_classes=3, conditioning=conditioning, phase_shuffle=0)
    z, label = model.prior(2), model.conditions(torch.tensor([0, 2]))
    other = model.conditions(torch.tensor([1, 2]))
    audio = model(z, label)
    same = (model(z, other) == audio).flatten(1).all(1)
    assert same.tolist() == [False, True]
    assert (model.discriminator(audio, other) == model.discriminator(audio, label)).flatten().tolist() == [False, True]
    channels = model.discriminator.down[0].in_channels
    assert channels == (4 if conditioning == "concat" else 1)
    assert model.sample(6, label=1, seed=0).shape == (6, 1, 256)


def test_the_projection_by_hand():
    model = WaveGAN(**TINY, num_classes=3, conditioning="projection", phase_shuffle=0)
    audio, label = torch.randn(2, 1, 256), torch.eye(3)[:2]
    features = []
    model.discriminator.down[-1].register_forward_hook(lambda _, __, out: features.append(out))
    logits = model.discriminator(audio, label)
    h = nn.functional.leaky_relu(features[0], 0.2)
    weight, bias = model.discriminator.output.weight, model.discriminator.output.bias
    flat = torch.stack([h[:, :, step] for step in range(16)], 1).reshape(2, -1)  # time before channels
    embedded = model.discriminator.embedding.weight.T[:2]
    expected = flat @ weight.T + bias + (embedded * h.mean(2)).sum(1, keepdim=True)
    torch.testing.assert_close(logits, expected)
