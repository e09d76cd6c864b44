"""Discriminators of constant-Q spectra (Gu et al. 2024, https://arxiv.org/abs/2311.14957), as BigVGAN v2 has them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from lightning_gans.audio.cqt import constant_q, octaves_of
from lightning_gans.audio.resampling import resample
from lightning_gans.losses.features import Outputs
from lightning_gans.networks.norms import weight_norm

SLOPE = 0.1
"""Of the leaky rectifiers."""
OCTAVES = 9


class SubBandCQTDiscriminator(nn.Module):
    """Judges one constant-Q spectrum, whose octaves have a first layer each, along pitch at falling rates.

    Five feature maps (B, C, L, bins), then the logits.

    Args:
        sample_rate: Of the signal that is transformed, in Hz.
        hop_length: Samples of it from one frame to the next.
        bins_per_octave: Bins that make an octave.
        width: Channels.
    """

    def __init__(self, sample_rate: int, hop_length: int, bins_per_octave: int, width: int = 128) -> None:
        super().__init__()
        self.sample_rate, self.hop_length, self.bins_per_octave = sample_rate, hop_length, bins_per_octave
        self.conv_pres = nn.ModuleList(nn.Conv2d(2, 2, (3, 9), padding=(1, 4)) for _ in range(OCTAVES))
        dilated = [
            weight_norm(nn.Conv2d(width, width, (3, 9), (1, 2), (dilation, 4), (dilation, 1))) for dilation in (1, 2, 4)
        ]
        last = weight_norm(nn.Conv2d(width, width, 3, padding=1))
        self.convs = nn.ModuleList([nn.Conv2d(2, width, (3, 9), padding=(1, 4)), *dilated, last])
        self.conv_post = weight_norm(nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, octaves: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """What ``octaves_of`` gives, to logits (B, 1, L, bins / 8) and the maps of the layers before them."""
        with torch.autocast(octaves[0].device.type, enabled=False):
            spectrum = constant_q(octaves, self.sample_rate, self.hop_length, self.bins_per_octave)
        parts = spectrum.mT.to(self.conv_post.bias.dtype).split(self.bins_per_octave, -1)
        h = torch.cat([conv(part) for conv, part in zip(self.conv_pres, parts, strict=True)], -1)
        maps = []
        for conv in self.convs:
            h = leaky_relu(conv(h), SLOPE)
            maps.append(h)
        return self.conv_post(h), maps


class MultiScaleSubBandCQTDiscriminator(nn.Module):
    """One discriminator for each resolution of pitch: audio (B, 1, T) to ``losses.features.Outputs``.

    The signal is transformed at twice its rate, so that the highest octave, up to 16.5 kHz, lies below half of it.

    Args:
        sample_rate: Of the audio, in Hz.
        hop_lengths: Samples at twice that rate, from one frame to the next; multiples of 256.
        bins_per_octave: Of each discriminator.
        width: Channels.
    """

    def __init__(
        self,
        sample_rate: int,
        hop_lengths: tuple[int, ...] = (512, 256, 256),
        bins_per_octave: tuple[int, ...] = (24, 36, 48),
        width: int = 128,
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.discriminators = nn.ModuleList(
            SubBandCQTDiscriminator(2 * sample_rate, hop, bins, width)
            for hop, bins in zip(hop_lengths, bins_per_octave, strict=True)
        )

    def forward(self, audio: Tensor) -> Outputs:
        with torch.autocast(audio.device.type, enabled=False):
            octaves = octaves_of(resample(audio.float(), self.sample_rate, 2 * self.sample_rate), OCTAVES)
        return [discriminator(octaves) for discriminator in self.discriminators]
