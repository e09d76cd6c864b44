"""Discriminators of waveforms that several vocoders are trained with.

All have one contract: audio (B, 1, T) to ``losses.features.Outputs``, the logits and the feature maps of each part.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d

from lightning_gans.losses.features import Outputs
from lightning_gans.networks.norms import weight_norm

SLOPE = 0.2
"""Of every leaky rectifier, here and in the generators."""


class ScaleDiscriminator(nn.Module):
    """MelGAN's window-based discriminator of one scale (Kumar et al. 2019, section 2.2).

    Six feature maps, then the logits, one per 256 samples.

    Args:
        width: Channels of the first layer.
        downsampling: Layers that shorten the signal to a quarter.
        max_width: Channels of the widest layer.
        std: Deviation of the normal weights; torch's initialization when not given.
    """

    def __init__(self, width: int = 16, downsampling: int = 4, max_width: int = 1024, std: float | None = None) -> None:
        super().__init__()
        widths = [min(width * 4**i, max_width) for i in range(downsampling + 1)]
        last = min(2 * widths[-1], max_width)
        convs = [nn.Conv1d(1, width, 15)]
        for c_in, c_out in pairwise(widths):
            convs.append(nn.Conv1d(c_in, c_out, 41, stride=4, padding=20, groups=c_in // 4))
        convs += [nn.Conv1d(widths[-1], last, 5, padding=2), nn.Conv1d(last, 1, 3, padding=1)]
        if std is not None:
            for conv in convs:
                nn.init.normal_(conv.weight, 0.0, std)
        first, *hidden = map(activated, convs[:-1])
        self.layers = nn.ModuleList([first.insert(0, nn.ReflectionPad1d(7)), *hidden, weight_norm(convs[-1])])

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Audio (B, 1, T) to logits (B, 1, T / 256) and the maps of the layers before them."""
        *hidden, last = self.layers
        maps, h = [], audio
        for layer in hidden:
            h = layer(h)
            maps.append(h)
        return last(h), maps


def activated(conv: nn.Conv1d) -> nn.Sequential:
    """A weight-normalized convolution and a leaky rectifier, which needs no copy: the map is what comes after it."""
    return nn.Sequential(weight_norm(conv), nn.LeakyReLU(SLOPE, inplace=True))


class MultiScaleDiscriminator(nn.Module):
    """Discriminators of one architecture at the full, the half and the quarter rate (Kumar et al. 2019, section 2.2).

    With torch's initialization, as in the authors' code: there weights are drawn from N(0, 0.02), but after weight norm
    has been attached, which computes them anew and so undoes it. Where the order is another one, ``std`` is 0.02.
    """

    def __init__(self, scales: int = 3, std: float | None = None) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(ScaleDiscriminator(std=std) for _ in range(scales))

    def forward(self, audio: Tensor) -> Outputs:
        outputs = []
        for i, discriminator in enumerate(self.discriminators):
            if i:
                audio = avg_pool1d(audio, 4, 2, padding=1, count_include_pad=False)
            outputs.append(discriminator(audio))
        return outputs


class SampleDiscriminator(nn.Module):
    """Parallel WaveGAN's discriminator: a logit for each sample, from the 77 around it (Yamamoto et al. 2020).

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

    def forward(self, audio: Tensor) -> Outputs:
        maps, h = [], audio
        for layer in self.conv_layers:
            h = layer(h)
            if isinstance(layer, nn.LeakyReLU):
                maps.append(h)
        return [(h, maps)]


def kaiming(conv: nn.Conv1d) -> nn.Conv1d:
    """Kaiming's normal initialization (fan-in, the gain of a rectifier), zero bias; before weight norm is attached."""
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def in_one_pass(discriminator: nn.Module, real: Tensor, fake: Tensor) -> tuple[Outputs, Outputs]:
    """What a discriminator returns for (B, 1, T) of each, from one pass over both: it knows no batch statistics."""
    of_real, of_fake = [], []
    for logits, maps in discriminator(torch.cat([real, fake])):
        (real_logits, fake_logits), halves = logits.chunk(2), [h.chunk(2) for h in maps]
        of_real.append((real_logits, [h[0] for h in halves]))
        of_fake.append((fake_logits, [h[1] for h in halves]))
    return of_real, of_fake
