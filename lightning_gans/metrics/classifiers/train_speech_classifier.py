"""Makes the weights of the classifier of spoken digits.

``python -m lightning_gans.metrics.classifiers.train_speech_classifier --output FILE [--root DIR]``

The weights in the package were made by this code on one CPU thread (``OMP_NUM_THREADS=1``), with recordings 10 to 49
of each digit and speaker of the Free Spoken Digit Dataset; 5 to 9 are for validation, and 0 to 4 are the official test
set. The classifier knows 99.0 % of the 300 test digits and 98.0 % of the 300 validation digits, with a mean confidence
of 96.7 % and 96.4 %; of 100 digits of Speech Commands, where speakers and microphones are others, it knows 81 %, with a
mean confidence of 81 %. It is never sure of white noise, tones and silence (mean highest probability 12 to 14 %), and
of 1.3 % of the test digits played backwards.

Another machine rounds differently, so a new file has a new hash, which then belongs into
``speech_classifier.py``; every value that was published with the old one has to be measured again.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from lightning_gans.data import SC09, AudioFolder
from lightning_gans.data.audio.decoding import INT16_STEPS
from lightning_gans.errors import InputError
from lightning_gans.metrics.classifiers.speech_classifier import (
    CLIP_LENGTH,
    SAMPLE_RATE,
    SpeechClassifier,
    load_speech_classifier,
)
from lightning_gans.metrics.classifiers.stored import command, store


def train_speech_classifier(
    clips: Tensor, labels: Tensor, epochs: int = 24, batch_size: int = 50, lr: float = 4e-3, seed: int = 0
) -> SpeechClassifier:
    """Train on varied digits, and on sounds that are none, with AdamW and a one-cycle rate.

    The seed decides everything on one machine.

    Args:
        clips: (N, 16384) int16, at 16 kHz.
        labels: (N,) in 0 to 9.
        epochs: Passes over the clips.
        batch_size: Digits per update, to which a third as many other sounds come; an incomplete last batch is left out.
        lr: Highest learning rate.
        seed: Of the initial weights, the order and the variations.
    """
    draw = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SpeechClassifier()
    optimizer = torch.optim.AdamW(network.parameters(), lr, weight_decay=0.05)
    batches = len(clips) // batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, epochs * batches)
    for _ in range(epochs):
        order = torch.randperm(len(clips), generator=draw)[: batches * batch_size]
        for index in order.split(batch_size):
            digits = clips[index].float() / INT16_STEPS
            others = not_digits(clips[index[: round(batch_size / 3)]].float() / INT16_STEPS, draw)
            x = varied(torch.cat([digits, others]), draw)
            target = torch.cat([one_hot(labels[index], 10).float(), torch.full((len(others), 10), 0.1)])
            loss = cross_entropy(network(x), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """(count, 1) numbers between low and high."""
    return low + (high - low) * torch.rand(count, 1, generator=generator)


def varied(clips: Tensor, generator: torch.Generator) -> Tensor:
    """Each clip (B, T) at another speed (and pitch), moved, filtered, louder or softer, and with noise.

    Speed 0.85 to 1.15; up to 50 ms earlier and 400 ms later; a one-zero filter that lifts low or high frequencies;
    gain -20 to +6 dB; white noise between -80 and -25 dB of full scale.
    """
    count, length = clips.shape
    shift = uniform(count, -0.05 * SAMPLE_RATE, 0.4 * SAMPLE_RATE, generator).round()
    position = (torch.arange(length) - shift) * uniform(count, 0.85, 1.15, generator)
    inside = (position >= 0) & (position < length - 1)
    left = position.floor().clamp(0, length - 2).long()
    part = position - left
    x = (clips.gather(1, left) * (1 - part) + clips.gather(1, left + 1) * part) * inside
    x = x + uniform(count, -0.7, 0.7, generator) * x.roll(1, 1)
    x = x * 10 ** (uniform(count, -20, 6, generator) / 20)
    noise = torch.randn(count, length, generator=generator)
    return x + noise * 10 ** (uniform(count, -80, -25, generator) / 20)


def not_digits(clips: Tensor, generator: torch.Generator) -> Tensor:
    """As many sounds (B, T) that are no digits: in turn a clip played backwards, tones, and colored noise.

    What is played backwards begins anywhere in the clip, so that it is not told by its place. Up to
    three tones of 80 to 4,000 Hz; noise of up to four octaves; both swell and fade within the clip.
    """
    count, length = clips.shape
    time = torch.arange(length) / SAMPLE_RATE
    swell = (-((time - uniform(count, 0.1, 0.6, generator)) / uniform(count, 0.05, 0.5, generator)).square()).exp()

    frequency = 80 * 50 ** torch.rand(3, count, 1, generator=generator)
    amplitude = torch.rand(3, count, 1, generator=generator)
    tones = (amplitude * (2 * math.pi * frequency * time).sin()).mean(0) * swell

    spectrum = torch.fft.rfft(torch.randn(count, length, generator=generator))
    octave = torch.linspace(0, SAMPLE_RATE / 2, spectrum.shape[1]).clamp(min=20).log2()
    center = uniform(count, math.log2(80), math.log2(4_000), generator)
    noise = torch.fft.irfft(spectrum * (-((octave - center) / uniform(count, 0.2, 4, generator)).square()).exp())
    noise = noise / noise.abs().amax(1, keepdim=True) * swell

    turned = (torch.arange(length) + uniform(count, 0, length, generator).long()) % length
    which = torch.arange(count)[:, None] % 3
    backwards = clips.flip(1).gather(1, turned)
    return torch.where(which == 0, backwards, torch.where(which == 1, tones, noise))


@torch.no_grad()
def judge(network: SpeechClassifier, clips: Tensor, labels: Tensor) -> tuple[float, float]:
    """Share of clips (N, 16384) int16 classified as their labels (N,), and the mean highest probability."""
    p = torch.cat([network(part.float() / INT16_STEPS).softmax(1) for part in clips.split(64)])
    return (p.argmax(1) == labels).double().mean().item(), p.amax(1).double().mean().item()


def main(*, output: Path, root: str | None = None, epochs: int = 24, seed: int = 0) -> None:
    """Train, store, and judge what was stored.

    Args:
        output: The .safetensors file to write.
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        epochs: Passes over the clips.
        seed: Of the initial weights, the order and the variations.
    """
    parts = spoken_digits(root)
    start = time.perf_counter()
    network = train_speech_classifier(*parts.pop("train"), epochs, seed=seed)
    digest = store(network, output)
    stored = load_speech_classifier(output, digest)
    for name, (clips, labels) in parts.items():
        accuracy, confidence = judge(stored, clips, labels)
        print(f"{name}: accuracy {accuracy:.2%}, mean confidence {confidence:.2%}, {len(labels):,} clips")
    print(f"{epochs} epochs, {time.perf_counter() - start:.0f} s")
    print(f"{output}: {output.stat().st_size:,} bytes, SHA-256 {digest}")


def spoken_digits(root: str | None) -> dict[str, tuple[Tensor, Tensor]]:
    """Clips (N, 16384) int16 and labels (N,) of FSDD's parts, and of SC09 where there are any."""
    data = AudioFolder(
        root,
        folder="fsdd",
        length=CLIP_LENGTH,
        sample_rate=SAMPLE_RATE,
        slicing="first",
        label_pattern=r"(\d)_[a-z]+_\d+\.",
        val_pattern=r"_[5-9]\.",
        test_pattern=r"_[0-4]\.",
    )
    data.setup("fit")
    parts = {split: data.splits[split][:] for split in ("train", "val", "test")}
    try:
        sc09 = SC09(root, version="v0.01", complete=False, length=CLIP_LENGTH)
        sc09.setup("fit")
        for split, clips in sc09.splits.items():
            parts[f"SC09 {split}"] = clips[:]
    except InputError as error:
        print(f"without the accuracy on SC09: {error}")
    return {name: (batch.audio[:, 0], batch.label) for name, batch in parts.items()}


if __name__ == "__main__":
    sys.exit(command(main))
