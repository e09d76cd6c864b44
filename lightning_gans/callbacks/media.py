"""Clips to look at: waveforms above spectrograms, in one picture and on one scale, so that pictures compare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import adaptive_max_pool1d, adaptive_max_pool2d, pad

from lightning_gans.audio.files import write_wav
from lightning_gans.audio.stft import stft
from lightning_gans.errors import InputError

WIDTH, WAVE_HEIGHT, SPECTROGRAM_HEIGHT = 256, 64, 128
"""Pixels of one clip."""
GAP, FOOT = 8, 18
FRAME_SECONDS = 0.032
FLOOR_DB, CEILING_DB = -90.0, -10.0
"""Relative to a sine of full scale; the parts of speech lie between."""
SHOWN = 64
"""Clips in one picture; more would be too small to see on a screen."""

PAPER, INK, AXIS, TEXT = (255, 255, 255), (35, 60, 120), (205, 210, 220), (90, 95, 105)
COLORS = "magma"
"""matplotlib's name. The picture itself is pasted together here, 8 to 18 times faster than by its axes."""


def clips_picture(audio: Tensor, sample_rate: int, columns: int | None = None) -> Image.Image:
    """Draw each clip's waveform above its spectrogram, numbered row by row from 0; the first 64 clips.

    Waveforms span [-1, 1]. Spectrograms go from 0 at the bottom to half the sample rate, and from -90 to -10 dB, where
    0 dB is a sine of full scale. Channels lie over each other in the waveform, and share one spectrogram of their mean
    power.

    Args:
        audio: (N, C, T) in about [-1, 1]; what lies outside is clipped, as in a file.
        sample_rate: In Hz.
        columns: Clips in a row; about as many as rows when not given, 4 at least.

    Raises:
        InputError: for no clips, or another shape.
    """
    if audio.dim() != 3 or 0 in audio.shape:
        raise InputError(f"a picture was asked for of audio of shape {tuple(audio.shape)}; expected (N, C, T) samples")
    audio = audio[:SHOWN].detach().float().cpu().clamp(-1, 1)
    waves, spectrograms = _waves(audio), _spectrograms(audio, sample_rate)
    num, seconds = len(audio), audio.shape[-1] / sample_rate
    columns = min(num, columns or max(4, round(num**0.5)))
    rows = math.ceil(num / columns)
    width, height = WIDTH + GAP, WAVE_HEIGHT + SPECTROGRAM_HEIGHT + GAP
    picture = Image.new("RGB", (columns * width + GAP, rows * height + GAP + FOOT), PAPER)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default_imagefont()
    for index in range(num):
        x, y = GAP + index % columns * width, GAP + index // columns * height
        picture.paste(waves[index], (x, y))
        picture.paste(spectrograms[index], (x, y + WAVE_HEIGHT))
        draw.rectangle((x, y, x + 3 + draw.textlength(str(index), font), y + 11), PAPER)
        draw.text((x + 2, y), str(index), TEXT, font)
    legend = f"{seconds:.3g} s each; 0 to {sample_rate / 2000:g} kHz; {FLOOR_DB:g} to {CEILING_DB:g} dB of full scale"
    fits = [text for text in (legend, f"{seconds:.3g} s") if draw.textlength(text, font) <= picture.width - 2 * GAP]
    draw.text((GAP, rows * height + GAP), fits[0], TEXT, font)
    return picture


def _waves(audio: Tensor) -> list[Image.Image]:
    """The range of the samples behind each column of pixels."""
    highest = adaptive_max_pool1d(audio, WIDTH).amax(1).numpy()
    lowest = -adaptive_max_pool1d(-audio, WIDTH).amax(1).numpy()
    y = np.arange(WAVE_HEIGHT)[:, None]
    # Half a pixel of ink on either side, so that silence is a line.
    top, bottom = ((1 - value[:, None]) / 2 * (WAVE_HEIGHT - 1) for value in (highest, lowest))
    inked = (y >= top - 0.5) & (y <= bottom + 0.5)  # (N, WAVE_HEIGHT, WIDTH)
    pixels = np.where(inked[..., None], INK, PAPER).astype(np.uint8)
    pixels[:, [0, -1]] = np.where(inked[:, [0, -1], :, None], INK, AXIS)
    return [Image.fromarray(rows) for rows in pixels]


def _spectrograms(audio: Tensor, sample_rate: int) -> list[Image.Image]:
    """Frames of about 32 ms, each in the middle of its column."""
    from matplotlib import colormaps

    n_fft = 2 ** max(4, round(math.log2(FRAME_SECONDS * sample_rate)))
    hop_length = max(1, audio.shape[-1] // WIDTH)
    frames = math.ceil(audio.shape[-1] / hop_length)
    spectrum = stft(pad(audio, (n_fft // 2, 0)), n_fft, hop_length)[..., :frames]  # (N, C, F, L)
    power = spectrum.abs().square().mean(1) / (n_fft / 4) ** 2  # a sine's peak is half the sum of the window
    share = ((10 * power.clamp(min=1e-12).log10() - FLOOR_DB) / (CEILING_DB - FLOOR_DB)).clamp(0, 1)
    share = adaptive_max_pool2d(share, (SPECTROGRAM_HEIGHT, WIDTH)).flip(1)  # a mean would dim tones
    return [Image.fromarray(pixels) for pixels in colormaps[COLORS](share.numpy(), bytes=True)[..., :3]]


def write_clips(
    folder: Path, audio: Tensor | Sequence[Tensor], sample_rate: int, names: Sequence[str] | None = None
) -> list[Path]:
    """Write clips (N, C, T), or N of (C, T), as 16-bit ``000.wav``, ``001.wav`` ... into a folder, made if need be.

    Args:
        folder: Files of the same names are replaced.
        audio: In about [-1, 1]; clipped.
        sample_rate: In Hz.
        names: Other names, without ``.wav``.

    Returns:
        The files.

    Raises:
        InputError: where they cannot be written.
    """
    digits = max(3, len(str(len(audio) - 1)))
    paths = [folder / f"{name}.wav" for name in names or [f"{i:0{digits}d}" for i in range(len(audio))]]
    for path, clip in zip(paths, audio, strict=True):
        write_wav(path, clip, sample_rate)
    return paths


def in_sequence(audio: Tensor, sample_rate: int, pause: float = 0.25) -> Tensor:
    """Clips (N, C, T) one after the other as (C, T'), with a pause of so many seconds between two of them."""
    silence = audio.new_zeros(audio.shape[1], round(pause * sample_rate))
    parts = [part for clip in audio for part in (clip, silence)]
    return torch.cat(parts[:-1], -1)
