"""HiFi-GAN's discriminators of the waveform at three rates: wider and deeper than MelGAN's.

Those of MelGAN are in ``waveform_discriminators``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import gcd

from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, leaky_relu

from lightning_gans.losses.features import Outputs
from lightning_gans.networks.norms import spectral_norm, weight_norm

SLOPE = 0.1
"""Of the leaky rectifiers."""
WIDTHS = (128, 128, 256, 512, 1024, 1024)
"""Channels of the first layer and of those with a stride."""
GROUPS = (4, 16, 16, 16, 16)
STRIDES = (2, 2, 4, 4, 1)


class ScaleDiscriminator(nn.Module):
    """Judges stretches of a waveform (Kong et al. 2020, section 2.3). Seven feature maps, then the logits.

    Args:
        norm: Of the weights of each layer.
        strides: Of the layers of 41 samples.
        width: Factor of the channels.
    """

    def __init__(
        self, norm: Callable[[nn.Module], nn.Module], strides: tuple[int, ...] = STRIDES, width: float = 1.0
    ) -> None:
        super().__init__()
        widths = [max(1, round(width * channels)) for channels in WIDTHS]
        self.convs = nn.ModuleList([norm(nn.Conv1d(1, widths[0], 15, padding=7))])
        for (c_in, c_out), groups, stride in zip(pairwise(widths), GROUPS, strides, strict=True):
            self.convs.append(norm(nn.Conv1d(c_in, c_out, 41, stride, 20, groups=gcd(groups, c_in, c_out))))
        self.convs.append(norm(nn.Conv1d(widths[-1], widths[-1], 5, padding=2)))
        self.conv_post = norm(nn.Conv1d(widths[-1], 1, 3, padding=1))

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Audio (B, 1, T) to logits (B, 1, T / 64) and the maps of the layers before them."""
        h, maps = audio, []
        for conv in self.convs:
            h = leaky_relu(conv(h), SLOPE)
            maps.append(h)
        return self.conv_post(h), maps


class MultiScaleDiscriminator(nn.Module):
    """One discriminator for the full, the half and the quarter rate: audio (B, 1, T) to ``losses.features.Outputs``.

    The first has spectral norm, which takes one step of the power iteration at each forward pass in training, the
    others weight norm. At the ends, the pooling counts the zeros beyond them.

    Args:
        strides: Of the layers of 41 samples.
        width: Factor of the channels.
    """

    def __init__(self, strides: tuple[int, ...] = STRIDES, width: float = 1.0) -> None:
        super().__init__()
        norms = (spectral_norm, weight_norm, weight_norm)
        self.discriminators = nn.ModuleList(ScaleDiscriminator(norm, strides, width) for norm in norms)

    def forward(self, audio: Tensor) -> Outputs:
        outputs = []
        for i, discriminator in enumerate(self.discriminators):
            if i:
                audio = avg_pool1d(audio, 4, 2, padding=2)
            outputs.append(discriminator(audio))
        return outputs
