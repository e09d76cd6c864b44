"""HiFi-GAN's discriminators of equidistant samples, which Vocos and BigVGAN are trained with too."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from lightning_gans.losses.features import Outputs
from lightning_gans.networks.norms import weight_norm

SLOPE = 0.1
"""Of the leaky rectifiers."""
WIDTHS = (1, 32, 128, 512, 1024, 1024)
"""Channels, from the samples to the last layer but one."""


class PeriodDiscriminator(nn.Module):
    """Judges each ``period``-th sample beside its like: kernels run along time, and never over the phase.

    Kong et al. 2020, section 2.3. Five feature maps (B, C, T / period / 3^i, period), then the logits.

    Args:
        period: In samples.
        width: Factor of the channels.
        last_kernel: Of the layer of the logits; 2 makes one more of them along time.
    """

    def __init__(self, period: int, width: float = 1.0, last_kernel: int = 3) -> None:
        super().__init__()
        self.period = period
        widths = [1, *[max(1, round(width * channels)) for channels in WIDTHS[1:]]]
        strides = [3] * (len(widths) - 2) + [1]
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(c_in, c_out, (5, 1), (stride, 1), (2, 0)))
            for (c_in, c_out), stride in zip(pairwise(widths), strides, strict=True)
        )
        self.conv_post = weight_norm(nn.Conv2d(widths[-1], 1, (last_kernel, 1), padding=(1, 0)))

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Audio (B, 1, T) to logits (B, 1, T / period / 81, period) and the maps of the layers before them."""
        audio = pad(audio, (0, -audio.shape[-1] % self.period), mode="reflect").to(self.conv_post.bias.dtype)
        h, maps = audio.unflatten(-1, (-1, self.period)), []
        for conv in self.convs:
            h = leaky_relu(conv(h), SLOPE)
            maps.append(h)
        return self.conv_post(h), maps


class MultiPeriodDiscriminator(nn.Module):
    """One discriminator for each period: audio (B, 1, T) to ``losses.features.Outputs``.

    Args:
        periods: In samples; the paper's are primes, so that their samples overlap as little as can be.
        width: Factor of the channels.
        last_kernel: Of the layers of the logits.
    """

    def __init__(self, periods: Sequence[int] = (2, 3, 5, 7, 11), width: float = 1.0, last_kernel: int = 3) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(PeriodDiscriminator(period, width, last_kernel) for period in periods)

    def forward(self, audio: Tensor) -> Outputs:
        return [discriminator(audio) for discriminator in self.discriminators]
