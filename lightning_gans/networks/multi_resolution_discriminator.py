"""UnivNet's discriminators of magnitude spectra (Jang et al. 2021), as BigVGAN is trained with them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from lightning_gans.losses.features import Outputs
from lightning_gans.losses.spectral import RESOLUTIONS
from lightning_gans.networks.norms import weight_norm

SLOPE = 0.1
"""Of the leaky rectifiers."""


class ResolutionDiscriminator(nn.Module):
    """Judges the magnitudes of one STFT, along time at falling rates.

    The window is rectangular, as in BigVGAN's code. Five feature maps (B, C, F, L), then the logits.

    Args:
        resolution: n_fft, hop_length and win_length.
        width: Channels.
    """

    def __init__(self, resolution: tuple[int, int, int], width: int = 32) -> None:
        super().__init__()
        self.resolution = resolution
        kernels, strides = [(3, 9)] * 4 + [(3, 3)], [1, 2, 2, 2, 1]
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(width if i else 1, width, kernel, (1, stride), (1, kernel[1] // 2)))
            for i, (kernel, stride) in enumerate(zip(kernels, strides, strict=True))
        )
        self.conv_post = weight_norm(nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Audio (B, 1, T) to logits (B, 1, F, L / 8) and the maps of the layers before them."""
        h, maps = self.magnitude(audio).to(self.conv_post.bias.dtype), []
        for conv in self.convs:
            h = leaky_relu(conv(h), SLOPE)
            maps.append(h)
        return self.conv_post(h), maps

    def magnitude(self, audio: Tensor) -> Tensor:
        """Magnitudes (B, 1, F, L) of (B, 1, T), in float32 under any precision."""
        n_fft, hop_length, win_length = self.resolution
        margin = (n_fft - hop_length) // 2
        with torch.autocast(audio.device.type, enabled=False):
            audio = pad(audio.float(), (margin, margin), mode="reflect")[:, 0]
            window = audio.new_ones(win_length)
            spectrum = torch.stft(audio, n_fft, hop_length, win_length, window, center=False, return_complex=True)
            return spectrum.abs()[:, None]  # whose gradient at 0 is 0


class MultiResolutionDiscriminator(nn.Module):
    """One discriminator for each resolution: audio (B, 1, T) to ``losses.features.Outputs``.

    Args:
        resolutions: (n_fft, hop_length, win_length) each.
        width: Channels.
    """

    def __init__(self, resolutions: tuple[tuple[int, int, int], ...] = RESOLUTIONS, width: int = 32) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(ResolutionDiscriminator(resolution, width) for resolution in resolutions)

    def forward(self, audio: Tensor) -> Outputs:
        return [discriminator(audio) for discriminator in self.discriminators]
