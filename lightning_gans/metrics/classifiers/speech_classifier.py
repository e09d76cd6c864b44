"""A small classifier of spoken digits, the ear of ``classifier_score_fsdd`` and its companions.

The architecture follows the classifier of WaveGAN's authors (https://github.com/chrisdonahue/wavegan, eval/inception):
log-mel bands of 16,384 samples at 16 kHz, four blocks of convolution and pooling. Ours is narrower, with 64 bands that
end at 3.8 kHz: the Free Spoken Digit Dataset was recorded at 8 kHz, and what lies above must not tell real from
generated. Its weights lie in the package, made by
``python -m lightning_gans.metrics.classifiers.train_speech_classifier``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad

from lightning_gans.audio.mel_bands import tensorflow_mel_matrix
from lightning_gans.audio.resampling import resample
from lightning_gans.audio.stft import stft
from lightning_gans.errors import InputError
from lightning_gans.metrics.classifiers.stored import load_stored

WEIGHTS = Path(__file__).with_name("speech_fsdd.safetensors")
SHA256 = "981403b7a0fef453a2c1d3e652039a4c8eaf8bf197967bb59168dd5f0f7609f0"
"""Of the file ``WEIGHTS``; values made with other weights cannot be compared."""

SAMPLE_RATE = 16_000
CLIP_LENGTH = 16_384
N_FFT, HOP_LENGTH = 1024, 128
N_MELS, F_MIN, F_MAX = 64, 40.0, 3_800.0
FLOOR = 1e-2
"""Added to a band before the logarithm: about what white noise at -80 dB of full scale has in one."""


class SpeechClassifier(nn.Module):
    """Clips at 16 kHz to logits of the digits 0 to 9."""

    mel: Tensor

    def __init__(self) -> None:
        super().__init__()
        mel = tensorflow_mel_matrix(N_MELS, N_FFT // 2 + 1, SAMPLE_RATE, F_MIN, F_MAX)
        self.register_buffer("mel", mel.clone(), persistent=False)
        self.norm = nn.BatchNorm1d(N_MELS)
        widths = (1, 16, 32, 64, 96)
        self.conv = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths))
        self.conv_norm = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])
        self.output = nn.Linear(96 * (CLIP_LENGTH // HOP_LENGTH // 16) * (N_MELS // 16), 10)

    def features(self, clips: Tensor) -> Tensor:
        """The maps that logits are made of, (B, 96, 4, 8), for ``speech_clips`` (B, 16384) in [-1, 1]."""
        with torch.autocast(clips.device.type, enabled=False):
            bands = stft(clips, N_FFT, HOP_LENGTH).abs().mT @ self.mel  # (B, L, M) = (B, 128, 64)
            x = self.norm((bands + FLOOR).log().mT)[:, None]  # (B, 1, M, L)
            for conv, norm in zip(self.conv, self.conv_norm, strict=True):
                x = max_pool2d(norm(conv(x).relu()), 2)
            return x

    def forward(self, clips: Tensor) -> Tensor:
        """Logits (B, 10), float32, of ``speech_clips`` (B, 16384) in [-1, 1]."""
        with torch.autocast(clips.device.type, enabled=False):
            return self.output(self.features(clips).flatten(1))


def speech_clips(audio: Tensor, sample_rate: int) -> Tensor:
    """Sounds (B, C, T) in [-1, 1] to clips (B, 16384) at 16 kHz: channels averaged, the end cut or padded with zeros.

    Raises:
        InputError: for another shape.
    """
    if audio.dim() != 3 or audio.shape[-1] == 0:
        raise InputError(
            f"a metric of speech got audio {tuple(audio.shape)}; it takes (B, C, T) samples of a DataModule of"
            " sounds: leave it out for other data"
        )
    clips = resample(audio.detach().float().mean(1), sample_rate, SAMPLE_RATE)[:, :CLIP_LENGTH]
    return pad(clips, (0, CLIP_LENGTH - clips.shape[1]))


def load_speech_classifier(path: Path = WEIGHTS, sha256: str | None = SHA256) -> SpeechClassifier:
    """The trained classifier in evaluation mode, without gradients; see ``load_stored``."""
    return load_stored(SpeechClassifier(), path, sha256)


def latest(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Let a function of clips repeat its latest result while it is given equal ones.

    Several metrics of one batch then cost one computation, and what they keep of it is in memory once.
    """
    known: list[Tensor] = []

    @wraps(function)
    def repeating(clips: Tensor) -> Tensor:
        if not (known and known[0].device == clips.device and torch.equal(known[0], clips)):
            known[:] = clips.clone(), function(clips)
        return known[1]

    return repeating


@lru_cache(maxsize=4)
def classifier_on(device: torch.device) -> SpeechClassifier:
    """The trained classifier, loaded once per device."""
    with torch.inference_mode(False):
        return load_speech_classifier().to(device)


@latest
@torch.no_grad()
def digit_features(clips: Tensor) -> Tensor:
    """Maps (B, 96, 4, 8), frequency before time, of ``speech_clips`` (B, 16384)."""
    network = classifier_on(clips.device)
    return torch.cat([network.features(part) for part in clips.split(64)])


@torch.no_grad()
def digit_probabilities(clips: Tensor) -> Tensor:
    """Probabilities (B, 10) of ``speech_clips`` (B, 16384)."""
    features = digit_features(clips)
    with torch.autocast(clips.device.type, enabled=False):
        return classifier_on(clips.device).output(features.flatten(1)).softmax(1)
