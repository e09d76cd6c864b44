"""From spectra to samples, as a network's last layer: inverse Fourier transforms, overlapped and added."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose1d

from lightning_gans.audio.stft import LEAST_ENVELOPE, hann, overlap_add
from lightning_gans.errors import InputError, check_choice

Padding = Literal["center", "same"]


class InverseSTFT(nn.Module):
    """Spectra (B, F, L) to samples (B, L * hop_length), divided by the sum of the squared Hann windows.

    - ``center``: a frame lies around the start of its hop. The first ``(L - 1) * hop_length`` samples are those of
      ``torch.istft``, which ends there. The last hop follows from the tails of the frames before it.
    - ``same``: a frame lies around the middle of its hop. With an odd number of samples beside the hop, the cut at the
      start is the smaller one.

    Below ``LEAST_ENVELOPE`` of that sum, which frames that overlap by three quarters never reach, the sound fades out.

    Args:
        n_fft: Samples of a frame and of its window.
        hop_length: Samples from one frame to the next.
        padding: ``center`` or ``same``.

    Raises:
        InputError: for another padding, or frames that overlap by less than half.
    """

    def __init__(self, n_fft: int, hop_length: int, padding: Padding) -> None:
        super().__init__()
        check_choice("padding", padding, get_args(Padding))
        if 2 * hop_length > n_fft:
            raise InputError(
                f"hop_length {hop_length} is more than half of n_fft {n_fft}, and an inverse STFT needs frames that"
                f" overlap by half or more; use an n_fft of {4 * hop_length}"
            )
        self.n_fft, self.hop_length = n_fft, hop_length
        self.start = n_fft // 2 if padding == "center" else (n_fft - hop_length) // 2

    @property
    def reach(self) -> int:
        """Frames on either side that a hop's samples depend on."""
        after = self.n_fft - 1 - self.start  # samples of a frame behind the start of its hop
        return max(after // self.hop_length, (self.start + self.hop_length - 1) // self.hop_length)

    def forward(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """Real and imaginary parts to samples, all in float32 or float64; a first or last bin has no imaginary part."""
        window = hann(self.n_fft, real.device).to(real.dtype)
        frames = torch.fft.irfft(torch.complex(real, imaginary), self.n_fft, dim=1) * window[:, None]
        squares = window.square()[None, :, None].expand(-1, -1, real.shape[-1])
        return self.cut(overlap_add(frames, self.hop_length), overlap_add(squares, self.hop_length), real.shape[-1])

    def cut(self, sum_of_frames: Tensor, envelope: Tensor, frames: int) -> Tensor:
        """What lies in the hops, divided by the envelope."""
        inside = slice(self.start, self.start + frames * self.hop_length)
        return sum_of_frames[:, inside] / envelope[:, inside].clamp(min=LEAST_ENVELOPE)


class RealInverseSTFT(InverseSTFT):
    """The same as one transposed convolution, for runtimes without complex numbers: equal to rounding, and slower."""

    basis: Tensor
    squares: Tensor

    def __init__(self, plain: InverseSTFT) -> None:
        nn.Module.__init__(self)
        self.n_fft, self.hop_length, self.start = plain.n_fft, plain.hop_length, plain.start
        window = torch.hann_window(self.n_fft, dtype=torch.double)
        bins = torch.arange(self.n_fft // 2 + 1)
        # the product of bin and sample, modulo a turn, so that it is exact
        angle = torch.outer(bins, torch.arange(self.n_fft)) % self.n_fft * (2 * torch.pi / self.n_fft)
        both = torch.where((bins == 0) | (bins == self.n_fft // 2), 1.0, 2.0)[:, None]  # with its mirror image
        basis = torch.cat([both * angle.double().cos(), -both * angle.double().sin()]) / self.n_fft * window
        self.register_buffer("basis", basis[:, None].float(), persistent=False)
        self.register_buffer("squares", window.square()[None, None].float(), persistent=False)

    def forward(self, real: Tensor, imaginary: Tensor) -> Tensor:
        total = conv_transpose1d(torch.cat([real, imaginary], 1), self.basis, stride=self.hop_length)[:, 0]
        envelope = conv_transpose1d(torch.ones_like(real[:1, :1]), self.squares, stride=self.hop_length)[:, 0]
        return self.cut(total, envelope, real.shape[-1])
