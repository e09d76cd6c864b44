"""Distances of clips to their nearest neighbors: is there variety, and has the training set been memorized?

|D|self and |D|train of WaveGAN (Donahue et al. 2019, https://arxiv.org/abs/1802.04208), as the authors'
script measures them: Euclidean distances of log-mel features of 128 frames and 128 bands. The paper gives them in units
of what the real test set gets, which is logged beside them; the metrics here are the plain distances.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from lightning_gans.audio.mel_bands import tensorflow_mel_matrix
from lightning_gans.audio.stft import stft
from lightning_gans.errors import InputError
from lightning_gans.metrics.classifiers.speech_classifier import SAMPLE_RATE, latest, speech_clips
from lightning_gans.metrics.parzen import dealt, exact_product
from lightning_gans.metrics.sample_metric import SampleMetric

MAX_CLIPS = 1_000
N_FFT, HOP_LENGTH, N_MELS, F_MIN, F_MAX = 2048, 128, 128, 40.0, 7_800.0
FLOOR = 1e-6
CANDIDATES = 3


@latest
def nearest_features(clips: Tensor) -> Tensor:
    """Log-mel features (B, 16384), float16, of clips (B, 16384) in [-1, 1].

    The clips are first rounded to the 16-bit integers of a sound file and stay in that scale, as in the authors'
    script. The floor of 1e-6 is then far below the rounding, and only exact zeros reach it: where training clips are
    followed by zeros, noise of -60 dB in their place outweighs all else (spoken digits of FSDD: |D|train 87 becomes
    325).
    """
    samples = (clips.float() * 32768).round().clamp(-32768, 32767)
    mel = tensorflow_mel_matrix(N_MELS, N_FFT // 2 + 1, SAMPLE_RATE, F_MIN, F_MAX).to(clips.device)
    parts = [
        (exact_product(stft(part, N_FFT, HOP_LENGTH).abs().mT, mel) + FLOOR).log().flatten(1).half()
        for part in samples.split(64)
    ]
    return torch.cat(parts)


def nearest_distances(queries: Tensor, parts: Iterable[Tensor], count: int) -> Tensor:
    """Distances (N, count) of each query to its nearest rows, in rising order.

    A matrix product finds the candidates of each part, and only theirs are differences taken: equal rows are exactly 0
    apart, which the product alone would miss.

    Args:
        queries: (N, D).
        parts: The rows, as several (M, D), M at least ``count`` in all.
        count: How many to find, at most ``CANDIDATES``.
    """
    queries = queries.float()
    best = queries.new_full((len(queries), count), float("inf"))
    for part in parts:
        rows = part.float()
        closeness = 2 * exact_product(queries, rows.T) - rows.square().sum(1)
        for candidate in closeness.topk(min(CANDIDATES, len(rows))).indices.T:
            distance = (queries - rows[candidate]).norm(dim=1, keepdim=True)
            best = torch.cat([best, distance], 1).sort(dim=1).values[:, :count]
    return best


def nearest_images(images: Tensor, parts: Iterable[Tensor]) -> Tensor:
    """For each image the nearest of others, by Euclidean distance of their pixels.

    Args:
        images: (N, C, H, W).
        parts: The others, as several (M, C, H, W).

    Returns:
        (N, C, H, W).
    """
    images = images.cpu().float()
    found, best = torch.zeros_like(images), images.new_full((len(images),), float("inf"))
    for part in parts:
        part = part.cpu().float()
        distance, index = torch.cdist(images.flatten(1), part.flatten(1)).min(1)
        closer = distance < best
        found[closer], best[closer] = part[index[closer]], distance[closer]
    return found


def spread(total: int, count: int) -> list[int]:
    """The numbers of ``count`` of ``total`` examples at even distances; all of them if there are fewer.

    Data sets lie in the order of their classes or speakers, of which the first examples would show a few.
    """
    count = min(count, total)
    return [(2 * i + 1) * total // (2 * count) for i in range(count)]


class Nearest(SampleMetric):
    """Keeps features of all clips, 32 KiB each, and judges 1,000 of them, evenly spread: sets lie in order of classes.

    Args:
        sample_rate: Of the clips, in Hz.
    """

    higher_is_better = None  # the closer to the value of real data, the better
    kind = "audio"
    baseline = "real"
    one_per_example = True
    clips: list[Tensor]
    sizes: Tensor

    def __init__(self, sample_rate: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sample_rate = sample_rate
        self.add_state("clips", [], dist_reduce_fx="cat")
        self.add_state("sizes", torch.zeros(1, dtype=torch.long), dist_reduce_fx=None)

    def update(self, real: Tensor | None, fake: Tensor, label: Tensor | None = None) -> None:
        """Add fakes (B, C, T) in [-1, 1]; the real clips and the labels do not matter."""
        self.clips.append(self.kept(fake))
        self.sizes += len(fake)

    def kept(self, audio: Tensor) -> Tensor:
        """What stays in memory (B, D) of clips (B, C, T) in [-1, 1]."""
        return nearest_features(speech_clips(audio, self.sample_rate))

    def chosen(self) -> Tensor:
        """Features (N, D) of the clips to judge."""
        clips = dealt(self.clips, self.sizes.flatten().tolist())
        return clips[spread(len(clips), MAX_CLIPS)]


class NearestSelf(Nearest):
    """|D|self: mean distance of a clip to the nearest other one of the same set.

    Low where the generator repeats itself. It grows as the set shrinks: compare sets of one size.
    """

    def compute(self) -> Tensor:
        """The mean distance.

        Raises:
            InputError: with fewer than two clips.
        """
        clips = self.chosen()
        if len(clips) < 2:
            raise InputError(f"nn_self got {len(clips)} clip(s); it takes at least 2, and hundreds to mean much")
        return nearest_distances(clips, clips.split(500), 2)[:, 1].mean()  # [:, 0] is the clip itself


class NearestTrain(Nearest):
    """|D|train: mean distance of a clip to the nearest one of the training set. Low where it was memorized.

    A set that is far from all speech also makes it high. The training clips' features stay in memory, 32 KiB a clip.
    """

    name = "nn_train"
    calibration = "train"
    training_clips: list[Tensor]

    def __init__(self, sample_rate: int, **kwargs: Any) -> None:
        super().__init__(sample_rate, **kwargs)
        self.add_state("training_clips", [], dist_reduce_fx="cat")

    def calibrate(self, real: Tensor) -> None:
        """Add this process's share of the training clips, (B, C, T) in [-1, 1]."""
        self.training_clips.append(self.kept(real))

    def compute(self) -> Tensor:
        """The mean distance."""
        parts = self.training_parts()
        return nearest_distances(self.chosen(), parts, 1).mean()

    def training_parts(self) -> Iterable[Tensor]:
        """What is kept of the training clips, as several (M, D).

        Raises:
            InputError: without clips of either kind.
        """
        if not len(self.training_clips) or not len(self.clips):
            missing = "training clips" if len(self.clips) else "clips to judge"
            raise InputError(
                f"{self.name} got no {missing}; it takes those of a DataModule of sounds with a training and a test"
                " split: leave it out here"
            )
        return self.training_clips if isinstance(self.training_clips, list) else self.training_clips.split(500)
