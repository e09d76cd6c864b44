"""Discriminators of waveforms that several vocoders are trained with.

Each takes audio (B, 1, T) and returns one list of activations per scale, whose last item is the logits.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d
from torch.nn.utils.parametrizations import weight_norm

from lightning_gans.cpu.convolutions import as_image, convolve_image, faster, runs_eagerly_on_cpu
from lightning_gans.errors import InputError
from lightning_gans.losses import ADVERSARIAL_LOSSES, AdversarialLoss

SLOPE = 0.2
"""Of every leaky rectifier, here and in the generators."""

FEW_EXAMPLES = 4

DiscriminatorName = Literal["multi_scale", "parallel_wavegan"]
DISCRIMINATORS: tuple[str, ...] = get_args(DiscriminatorName)


class ScaleDiscriminator(nn.Module):
    """MelGAN's window-based discriminator of one scale (Kumar et al. 2019, appendix A).

    Seven layers: six feature maps, then the logits, one per 256 samples.

    Args:
        width: Channels of the first layer.
        downsampling: Layers that shorten the signal to a quarter.
        max_width: Channels of the widest layer.
    """

    def __init__(self, width: int = 16, downsampling: int = 4, max_width: int = 1024) -> None:
        super().__init__()
        widths = [min(width * 4**i, max_width) for i in range(downsampling + 1)]
        last = min(2 * widths[-1], max_width)
        self.layers = nn.ModuleList(
            [nn.Sequential(nn.ReflectionPad1d(7), weight_norm(nn.Conv1d(1, width, 15)), nn.LeakyReLU(SLOPE, True))]
            + [
                activated(nn.Conv1d(c_in, c_out, 41, stride=4, padding=20, groups=c_in // 4))
                for c_in, c_out in pairwise(widths)
            ]
            + [activated(nn.Conv1d(widths[-1], last, 5, padding=2)), weight_norm(nn.Conv1d(last, 1, 3, padding=1))]
        )

    def forward(self, audio: Tensor) -> list[Tensor]:
        """Audio (B, 1, T) to the outputs of all layers."""
        maps, h, on_cpu = [], audio, runs_eagerly_on_cpu(audio)
        for layer in self.layers:
            for part in layer if isinstance(layer, nn.Sequential) else [layer]:
                h = faster(part, h) if on_cpu else part(h)
            maps.append(h)
        return maps


def activated(conv: nn.Conv1d) -> nn.Sequential:
    """A weight-normalised convolution and a leaky rectifier, which needs no copy: the map is what comes after it."""
    return nn.Sequential(weight_norm(conv), nn.LeakyReLU(SLOPE, inplace=True))


class MultiScaleDiscriminator(nn.Module):
    """Discriminators of one architecture at the full, the half and the quarter rate (Kumar et al. 2019, section 2.2).

    With torch's initialisation, as in the authors' code: there weights are drawn from N(0, 0.02), but after weight norm
    has been attached, which computes them anew and so undoes it.
    """

    def __init__(self, scales: int = 3) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(ScaleDiscriminator() for _ in range(scales))

    def forward(self, audio: Tensor) -> list[list[Tensor]]:
        outputs = []
        for i, discriminator in enumerate(self.discriminators):
            if i:
                audio = avg_pool1d(audio, 4, 2, padding=1, count_include_pad=False)
            outputs.append(discriminator(audio))
        return outputs


class SampleDiscriminator(nn.Module):
    """Parallel WaveGAN's discriminator: a logit for each sample, from the 77 around it (Yamamoto et al. 2020, 2.2).

    Ten dilated convolutions without any change of rate. The dilations are those of the implementation that the field
    uses (https://github.com/kan-bayashi/ParallelWaveGAN): 1, 1, 2, 3, ..., 8, 1.
    """

    def __init__(self, layers: int = 10, width: int = 64) -> None:
        super().__init__()
        dilations = [1, *range(1, layers - 1), 1]
        widths = [1, *[width] * (layers - 1), 1]
        self.conv_layers = nn.Sequential()
        for i, dilation in enumerate(dilations):
            conv = nn.Conv1d(widths[i], widths[i + 1], 3, padding=dilation, dilation=dilation)
            self.conv_layers.append(weight_norm(kaiming(conv)))
            if i < layers - 1:
                self.conv_layers.append(nn.LeakyReLU(SLOPE, inplace=True))

    def forward(self, audio: Tensor) -> list[list[Tensor]]:
        # With few examples in float32, the gradients of the weights cost more than the rest gains.
        gains = len(audio) > FEW_EXAMPLES or torch.is_autocast_enabled(audio.device.type)
        in_images = gains and runs_eagerly_on_cpu(audio)
        return [[self.of_image(audio) if in_images else self.conv_layers(audio)]]

    def of_image(self, audio: Tensor) -> Tensor:
        """``conv_layers(audio)``, the channels of a sample side by side in memory."""
        h = as_image(audio)
        for layer in self.conv_layers:
            h = convolve_image(layer, h) if isinstance(layer, nn.Conv1d) else layer(h)
        return h[:, :, 0]


def kaiming(conv: nn.Conv1d) -> nn.Conv1d:
    """Kaiming's normal initialisation (fan-in, the gain of a rectifier), zero bias; before weight norm is attached."""
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def build_discriminator(name: str) -> nn.Module:
    """Make one of ``DISCRIMINATORS``."""
    return {"multi_scale": MultiScaleDiscriminator, "parallel_wavegan": SampleDiscriminator}[name]()


def has_features(name: str) -> bool:
    """Whether a discriminator returns feature maps beside its logits."""
    return name == "multi_scale"


def in_one_pass(discriminator: nn.Module, real: Tensor, fake: Tensor) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    """What a discriminator returns for (B, 1, T) of each, from one pass over both: it knows no batch statistics."""
    outputs = discriminator(torch.cat([real, fake]))
    halves = [[h.chunk(2) for h in maps] for maps in outputs]
    return [[h[0] for h in maps] for maps in halves], [[h[1] for h in maps] for maps in halves]


def squares_d(real: Tensor, fake: Tensor) -> Tensor:
    """(1 - D(x))^2 + D(G(z))^2, without the halves that Mao et al. 2017 have."""
    return (1 - real).square().mean() + fake.square().mean()


def squares_g(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """(1 - D(G(z)))^2, without the half that Mao et al. 2017 have."""
    return (1 - fake).square().mean()


def waveform_loss(name: str) -> AdversarialLoss:
    """Look up the adversarial loss of one scale.

    Raises:
        InputError: for an unknown name.
    """
    known = {"hinge": ADVERSARIAL_LOSSES["hinge"], "least_squares": AdversarialLoss(squares_d, squares_g)}
    one_of("loss", name, tuple(known))
    return known[name]


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """Check a hyper-parameter that is a choice.

    Raises:
        InputError: for a value that is none of those known.
    """
    if value not in known:
        raise InputError(f"unknown {name} {value!r}; expected {' or '.join(known)}")
