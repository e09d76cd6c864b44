"""Signal processing that papers, data sets and metrics share: short-time Fourier transforms, mel bands, sound files.

Functions of tensors work on (..., T) samples in [-1, 1] and on any device. Transforms run in float32 whatever the
autocast setting: the logarithm of a half-precision magnitude is mostly rounding.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor
from torch.nn.functional import fold, pad

from lightning_gans.errors import InputError

INT16_SCALE = 32767
LEAST_ENVELOPE = 0.1
PITCH_RANGE, PITCH_FRAME = (65.0, 600.0), 0.09
"""In Hz, and in seconds."""


def stft(audio: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """Short-time Fourier transform of frames that begin at each multiple of the hop, the last ones padded with zeros.

    The window is the periodic Hann window of ``n_fft`` samples. There is no centring: frame l covers the samples from
    ``l * hop_length`` on, as in TensorFlow with ``pad_end``.

    Args:
        audio: (..., T).
        n_fft: Samples of a frame.
        hop_length: Samples from one frame to the next.

    Returns:
        (..., F, L) complex, F = n_fft / 2 + 1, L = T / hop_length rounded up.
    """
    with torch.autocast(audio.device.type, enabled=False):
        audio = audio.float()
        frames = math.ceil(audio.shape[-1] / hop_length)
        audio = pad(audio, (0, (frames - 1) * hop_length + n_fft - audio.shape[-1]))
        spectrum = torch.stft(
            audio.flatten(0, -2) if audio.dim() > 1 else audio,
            n_fft,
            hop_length,
            window=hann(n_fft, audio.device),
            center=False,
            return_complex=True,
        )
        return spectrum.unflatten(0, audio.shape[:-1]) if audio.dim() > 2 else spectrum


def istft(spectrum: Tensor, n_fft: int, hop_length: int, length: int, normalized: bool = True) -> Tensor:
    """Overlap and add what ``stft`` has taken apart.

    Args:
        spectrum: (..., F, L) complex.
        n_fft: Samples of a frame.
        hop_length: Samples from one frame to the next.
        length: T, samples to return.
        normalized: Divide by the sum of the squared windows, which inverts ``stft`` exactly but for the first fifth of
            a frame: where that sum is below ``LEAST_ENVELOPE``, the result fades in, since a spectrum that belongs to
            no signal would click. False leaves the sum in, so that the gain swings between 0.5 and 1 within each hop
            of half a frame.

    Returns:
        (..., length).
    """
    with torch.autocast(spectrum.device.type, enabled=False):
        window = hann(n_fft, spectrum.device)
        frames = torch.fft.irfft(spectrum, n_fft, dim=-2) * window[:, None]  # (..., N, L)
        audio = overlap_add(frames.flatten(0, -3) if frames.dim() > 2 else frames[None], hop_length)
        if normalized:
            envelope = overlap_add(window.square()[None, :, None].expand(1, -1, frames.shape[-1]), hop_length)
            audio = audio / envelope.clamp(min=LEAST_ENVELOPE)
        return pad(audio, (0, max(0, length - audio.shape[-1])))[..., :length].reshape(*spectrum.shape[:-2], length)


def overlap_add(frames: Tensor, hop_length: int) -> Tensor:
    """Sum frames (B, N, L), each a hop behind the one before, to (B, (L - 1) * hop_length + N)."""
    length = (frames.shape[-1] - 1) * hop_length + frames.shape[1]
    return fold(frames, (1, length), (1, frames.shape[1]), stride=(1, hop_length))[:, 0, 0]


def griffin_lim(
    magnitude: Tensor, n_fft: int, hop_length: int, length: int, iterations: int = 16, normalized: bool = True
) -> Tensor:
    """Samples whose spectrum has about the given magnitude (Griffin & Lim 1984), from a phase of zero.

    Args:
        magnitude: (..., F, L).
        n_fft: Samples of a frame.
        hop_length: Samples from one frame to the next.
        length: T, samples to return.
        iterations: Projections.
        normalized: Of the inverse transform; see ``istft``.

    Returns:
        (..., length).
    """
    magnitude = magnitude.float()
    spectrum = magnitude.to(torch.complex64)
    for _ in range(iterations):
        estimate = stft(istft(spectrum, n_fft, hop_length, length, normalized), n_fft, hop_length)
        spectrum = magnitude * estimate / estimate.abs().clamp(min=1e-8)
    return istft(spectrum, n_fft, hop_length, length, normalized)


@lru_cache(maxsize=16)
def hann(n_fft: int, device: torch.device) -> Tensor:
    """The periodic Hann window, made once per device."""
    with torch.inference_mode(False):
        return torch.hann_window(n_fft, device=device)


@lru_cache(maxsize=16)
def tensorflow_mel_matrix(n_mels: int, n_freqs: int, sample_rate: int, f_min: float, f_max: float) -> Tensor:
    """Mel bands as TensorFlow's ``linear_to_mel_weight_matrix`` has them: HTK's scale, triangles linear in mel.

    torchaudio's and librosa's HTK bands are linear in Hz. No band is normalised, and bin 0 (the mean) belongs to none.

    Args:
        n_mels: M.
        n_freqs: F, bins from 0 to half the sample rate.
        sample_rate: In Hz.
        f_min: Lower edge of the lowest band, in Hz.
        f_max: Upper edge of the highest band, in Hz.

    Returns:
        (F, M), float32, to be multiplied from the right.
    """
    bins = 1127 * torch.linspace(0, sample_rate / 2, n_freqs, dtype=torch.float64).div(700).log1p()
    low, high = (1127 * math.log1p(f / 700) for f in (f_min, f_max))
    edges = torch.linspace(low, high, n_mels + 2, dtype=torch.float64)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    matrix = torch.minimum(rising, falling).clamp(min=0)
    matrix[0] = 0
    return matrix.float()


def mel_matrix(
    n_mels: int, n_freqs: int, sample_rate: int, f_min: float, f_max: float, scale: str, norm: str | None
) -> Tensor:
    """Mel bands as librosa has them: triangles that are linear in Hz.

    Args:
        n_mels: M.
        n_freqs: F, bins from 0 to half the sample rate.
        sample_rate: In Hz.
        f_min: Lower edge of the lowest band, in Hz.
        f_max: Upper edge of the highest band, in Hz.
        scale: Where the bands lie: ``slaney`` (librosa's default) or ``htk``.
        norm: ``slaney`` gives each triangle the area of 1 Hz, None the height of 1.

    Returns:
        (F, M), float32, to be multiplied from the right.
    """
    return _torchaudio_functional().melscale_fbanks(n_freqs, f_min, f_max, n_mels, sample_rate, norm, scale)


def resample(audio: Tensor, source_rate: int, target_rate: int) -> Tensor:
    """Change the sample rate of (..., T) with torchaudio's windowed sinc filter."""
    if source_rate == target_rate:
        return audio
    return _torchaudio_functional().resample(audio, source_rate, target_rate)


def _torchaudio_functional() -> ModuleType:
    try:
        from torchaudio import functional
    except (ImportError, OSError) as error:
        raise InputError(
            f"torchaudio cannot be loaded beside torch {torch.__version__} ({str(error).splitlines()[0]}); install the"
            " builds that constraints.txt names together"
        ) from error
    return functional


def pitch(audio: Tensor, sample_rate: int) -> tuple[Tensor, Tensor]:
    """Fundamental frequency of speech by pYIN (Mauch & Dixon 2014), 100 frames a second, on the CPU.

    Args:
        audio: (T,) in [-1, 1].
        sample_rate: In Hz.

    Returns:
        Frequency in Hz between ``PITCH_RANGE``'s ends, NaN where there is no voice; whether there is one; (L,) each.
    """
    import librosa

    low, high = PITCH_RANGE
    frame = round(PITCH_FRAME * sample_rate / 2) * 2
    samples = audio.detach().float().cpu().numpy()
    frequency, voiced, _ = librosa.pyin(
        samples, fmin=low, fmax=high, sr=sample_rate, frame_length=frame, hop_length=sample_rate // 100
    )
    return torch.from_numpy(frequency), torch.from_numpy(voiced)


def write_wav(path: Path, audio: Tensor, sample_rate: int) -> None:
    """Write (C, T) samples as a 16-bit wav file; what lies outside of [-1, 1] is clipped.

    Raises:
        InputError: where the file cannot be written, or samples are not finite.
    """
    import soundfile

    audio = audio.detach().float().cpu()
    if not audio.isfinite().all():
        raise InputError(f"{path} is not written: samples are not finite; take an earlier checkpoint")
    samples = (audio.clamp(-1, 1) * INT16_SCALE).round().to(torch.int16)
    try:
        soundfile.write(str(path), samples.T.numpy(), sample_rate, subtype="PCM_16", format="WAV")
    except (OSError, soundfile.SoundFileError) as error:
        raise InputError(f"cannot write {path} ({error}); choose another folder with --output") from error
