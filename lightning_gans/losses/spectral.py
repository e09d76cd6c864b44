"""Distances of magnitude spectra at several resolutions at once.

See Yamamoto et al. 2020, Parallel WaveGAN, https://arxiv.org/abs/1910.11480. Not stated there: taken from
https://github.com/kan-bayashi/ParallelWaveGAN: the power's floor, the padding, the norms over a whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm

from lightning_gans.audio.stft import hann
from lightning_gans.errors import InputError

RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
"""Samples of a frame, from one frame to the next, and of the window in its middle."""
FLOOR = 1e-7
"""Of the power: keeps the gradient of the root and of the logarithm finite."""


class MultiResolutionSTFTLoss(nn.Module):
    """Spectral convergence and distance of log magnitudes, each a mean over resolutions; float32 under any precision.

    - Spectral convergence: Frobenius norm of the difference over that of the target. The target's is at least the
      floor's, so that an all-silent target gives a large number (up to 1e4), not an infinite one.
    - Log magnitude: mean absolute difference of natural logarithms.

    Args:
        resolutions: (n_fft, hop_length, win_length) each.
        reduction: ``batch`` takes one Frobenius norm over all examples, in which loud ones weigh more, as the code
            does; ``example`` takes the mean of one ratio each, as the paper writes it, in which a silent target
            outweighs all others. The log magnitude is the same either way.
    """

    def __init__(
        self,
        resolutions: Sequence[tuple[int, int, int]] = RESOLUTIONS,
        reduction: Literal["batch", "example"] = "batch",
    ) -> None:
        super().__init__()
        if reduction not in ("batch", "example"):
            raise InputError(f"unknown reduction {reduction!r}; expected batch or example")
        self.resolutions, self.reduction = tuple(map(tuple, resolutions)), reduction

    def target(self, real: Tensor) -> list[Tensor]:
        """What ``forward`` needs of the target, made once where several outputs are held against it.

        Args:
            real: (..., T); channels and subbands count as examples.

        Returns:
            Magnitudes (N, F, L) at each resolution, without gradient.
        """
        with torch.no_grad():
            return [magnitude(real, *resolution) for resolution in self.resolutions]

    def forward(self, fake: Tensor, real: Tensor | list[Tensor]) -> tuple[Tensor, Tensor]:
        """Spectral convergence and log magnitude distance of ``fake``, two scalars to be added.

        Args:
            fake: (..., T).
            real: The same shape, or what ``target`` made of it.

        Raises:
            InputError: for fewer samples than can be reflected at the ends.
        """
        targets = self.target(real) if isinstance(real, Tensor) else real
        convergence, log_magnitude = [], []
        with torch.autocast(fake.device.type, enabled=False):
            for resolution, y in zip(self.resolutions, targets, strict=True):
                x = magnitude(fake, *resolution)
                dim = (1, 2) if self.reduction == "example" else None
                convergence.append((vector_norm(x - y, dim=dim) / vector_norm(y, dim=dim)).mean())
                log_magnitude.append((x.log() - y.log()).abs().mean())
        return torch.stack(convergence).mean(), torch.stack(log_magnitude).mean()


def magnitude(audio: Tensor, n_fft: int, hop_length: int, win_length: int) -> Tensor:
    """Magnitudes (N, F, L) of (..., T), frames centered and reflected at the ends; at least the root of ``FLOOR``.

    Raises:
        InputError: for fewer samples than can be reflected.
    """
    if audio.shape[-1] <= n_fft // 2:
        raise InputError(
            f"{audio.shape[-1]} samples are too few for an STFT of {n_fft}; expected at least {n_fft // 2 + 1}:"
            " take longer crops, or leave the sound out"
        )
    with torch.autocast(audio.device.type, enabled=False):
        spectrum = torch.stft(
            audio.float().reshape(-1, audio.shape[-1]),
            n_fft,
            hop_length,
            win_length,
            hann(win_length, audio.device),
            return_complex=True,
        )
        return torch.view_as_real(spectrum).square().sum(-1).clamp(min=FLOOR).sqrt()
