"""The discriminators of complex spectra in bands, from the Descript Audio Codec, with which Vocos is trained.

Kumar et al. 2023, https://arxiv.org/abs/2306.06546, section 3.4, in the sizes of https://github.com/gemelo-ai/vocos.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from lightning_gans.audio.stft import hann
from lightning_gans.losses.features import Outputs
from lightning_gans.networks.norms import weight_norm

SLOPE = 0.1
"""Of the leaky rectifiers."""
EDGES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
"""Of the bands, as parts of the frequency bins."""


class BandSTFTDiscriminator(nn.Module):
    """Judges real and imaginary part of one STFT, each band by convolutions of its own.

    Args:
        n_fft: Samples of a frame and of its window; frames are a quarter of them apart.
        width: Channels.
    """

    def __init__(self, n_fft: int, width: int = 32) -> None:
        super().__init__()
        self.n_fft = n_fft
        bins = n_fft // 2 + 1
        self.bands = [(int(low * bins), int(high * bins)) for low, high in pairwise(EDGES)]
        self.band_convs = nn.ModuleList(
            nn.ModuleList(
                [
                    weight_norm(nn.Conv2d(2, width, (3, 9), padding=(1, 4))),
                    *(weight_norm(nn.Conv2d(width, width, (3, 9), (1, 2), (1, 4))) for _ in range(3)),
                    weight_norm(nn.Conv2d(width, width, 3, padding=1)),
                ]
            )
            for _ in self.bands
        )
        self.conv_post = weight_norm(nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Audio (B, 1, T) to logits (B, 1, L, about F / 8) and, band by band, the maps of all layers but the first."""
        spectrum, maps, last = self.spectrum(audio).to(self.conv_post.bias.dtype), [], []
        for (low, high), convs in zip(self.bands, self.band_convs, strict=True):
            first, *others = cast(nn.ModuleList, convs)
            h = leaky_relu(first(spectrum[..., low:high]), SLOPE)
            for conv in others:
                h = leaky_relu(conv(h), SLOPE)
                maps.append(h)
            last.append(h)
        return self.conv_post(torch.cat(last, -1)), maps

    def spectrum(self, audio: Tensor) -> Tensor:
        """STFT (B, 2, L, F) of (B, 1, T) whose mean is 0 and whose peak is 0.8, in float32 or float64."""
        with torch.autocast(audio.device.type, enabled=False):
            x = audio[:, 0].to(torch.promote_types(audio.dtype, torch.float32))
            x = x - x.mean(-1, keepdim=True)
            x = 0.8 * x / (x.abs().amax(-1, keepdim=True) + 1e-9)
            window = hann(self.n_fft, x.device).to(x.dtype)
            spectrum = torch.stft(x, self.n_fft, self.n_fft // 4, window=window, return_complex=True)
            return torch.view_as_real(spectrum).permute(0, 3, 2, 1).to(audio.dtype)


class MultiBandSTFTDiscriminator(nn.Module):
    """One discriminator for each resolution: audio (B, 1, T) to ``losses.features.Outputs``.

    Args:
        windows: Samples of the frames.
        width: Channels.
    """

    def __init__(self, windows: Sequence[int] = (2048, 1024, 512), width: int = 32) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(BandSTFTDiscriminator(n_fft, width) for n_fft in windows)

    def forward(self, audio: Tensor) -> Outputs:
        return [discriminator(audio) for discriminator in self.discriminators]
