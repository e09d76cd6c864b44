"""Crops of decoded files, and whole files, whose log-mel frames equal those of the whole utterance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from lightning_gans.audio import MelConfig, log_mel_of_crop
from lightning_gans.data.audio.decoding import INT16_STEPS
from lightning_gans.data.audio.sharded import ShardedSounds
from lightning_gans.data.audio.sounds import Sounds
from lightning_gans.data.batches import MelBatch, MelSource
from lightning_gans.data.mels.files import Mels


class Span(NamedTuple):
    """A part of a file, in frames; the gain with which it is heard."""

    file: int
    first: int
    frames: int
    gain: float = 1.0


class MelExamples(Dataset):
    """Base of the data sets below, which say what the spans are.

    Args:
        sounds: Decoded files, mono.
        rows: (N,) which of them.
        config: The mels' convention.
        context: Frames beside a span at either end.
        mels: Of the files, where they are not to be made from the audio.
        least_frames: Up to which shorter files are followed by zeros.
    """

    def __init__(
        self,
        sounds: Sounds | ShardedSounds,
        rows: np.ndarray,
        config: MelConfig,
        context: int = 0,
        mels: Mels | None = None,
        least_frames: int = 0,
    ) -> None:
        self.sounds, self.rows, self.config, self.context, self.mels = sounds, rows, config, context, mels
        # with zeros behind it, a file is what its mel is made of; the mel that came with it tells where it ends
        self.length = np.maximum(sounds.length, least_frames * config.hop_length)
        self.frames = self.length // config.hop_length
        if mels is not None:
            self.frames = np.minimum(self.frames, mels.length)

    def __getitem__(self, index: int) -> MelSource | MelBatch:
        return type(batch := self.__getitems__([index]))(*(part[0] for part in batch))

    def __getitems__(self, indices: Sequence[int]) -> MelSource | MelBatch:
        return self.read([self.span(int(index)) for index in indices])

    def content(self) -> Iterator[bytes]:
        """What tells these files from others, see ``fingerprint``."""
        yield from self.sounds.content(self.rows)
        if self.mels is not None:
            yield self.mels.some().tobytes()

    def span(self, index: int) -> Span:
        raise NotImplementedError

    def read(self, spans: Sequence[Span]) -> MelSource | MelBatch:
        """Spans of equally many frames as one batch."""
        hop, context = self.config.hop_length, self.context
        around = 0 if self.mels else context * hop + self.config.margin
        samples = [self._samples(s.file, s.first * hop - around, (s.first + s.frames) * hop + around) for s in spans]
        audio = torch.from_numpy(np.stack(samples)[:, None])
        frame = np.stack(
            [np.arange(s.first - context, s.first + s.frames + context).clip(0, self.frames[s.file] - 1) for s in spans]
        )
        if self.mels:
            mel = [self.mels.read(s.file, rows).T for s, rows in zip(spans, frame, strict=True)]
            return MelBatch(torch.from_numpy(np.stack(mel)), audio)
        frame -= np.array([[s.first - context] for s in spans])
        return MelSource(audio, torch.tensor([s.gain for s in spans]), torch.from_numpy(frame))

    def _samples(self, file: int, begin: int, end: int) -> np.ndarray:
        """Samples ``begin`` to ``end`` of a file, which is reflected at its ends as often as it takes."""
        length = self.sounds.length[file]
        if begin >= 0 and end <= length:
            return self.sounds.part(file, begin, end)[0]
        period = max(2 * (self.length[file] - 1), 1)
        place = np.arange(begin, end) % period
        place = np.minimum(place, period - place)
        read = place.clip(max=length - 1)
        (sound,) = self.sounds.part(file, first := read.min(), read.max() + 1)
        return np.where(place < length, sound[read - first], np.int16(0))


class MelCrops(MelExamples):
    """Random crops of so many frames each; hands out whole batches.

    Place and gain of a crop are functions of the seed, the epoch and the example. Indices of ``len`` and more stand for
    later epochs: ``epoch * len + index`` (see ``ResumableSampler``).

    Args:
        examples: Of ``MelExamples``.
        crop_frames: L.
        per_file: Crops of each file in an epoch.
        gain: Bounds of the uniform gain.
        seed: Of what is drawn.
        options: Of ``MelExamples``.
    """

    draws = True

    def __init__(
        self,
        *examples: Any,
        crop_frames: int,
        per_file: int = 1,
        gain: tuple[float, float] | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(*examples, **(options | {"least_frames": crop_frames}))
        self.crop_frames, self.per_file, self.gain, self.seed = crop_frames, per_file, gain, seed

    def __len__(self) -> int:
        return len(self.rows) * self.per_file

    def span(self, index: int) -> Span:
        epoch, example = divmod(index, len(self))
        file = self.rows[example % len(self.rows)]
        # a generator of its own for each: no state to save, and the same crops on any rank and in any process
        draw = np.random.default_rng((self.seed, epoch, example))
        first = int(draw.integers(self.frames[file] - self.crop_frames, endpoint=True))
        return Span(file, first, self.crop_frames, draw.uniform(*self.gain) if self.gain else 1.0)


class Utterances(MelExamples):
    """Whole files, cut to whole frames; a batch has one, since their lengths differ.

    Args:
        examples: Of ``MelExamples``.
        parts: Make the number of examples a multiple of this, see ``halved``.
        options: Of ``MelExamples``.
    """

    def __init__(self, *examples: Any, parts: int = 1, **options: Any) -> None:
        super().__init__(*examples, **options)
        self.spans = halved([Span(file, 0, int(self.frames[file])) for file in self.rows], parts)

    def __len__(self) -> int:
        return len(self.spans)

    def span(self, index: int) -> Span:
        return self.spans[index]


def halved(spans: Sequence[Span], parts: int) -> list[Span]:
    """Cut the longest spans in two, so that their number is a multiple of ``parts``; the halves come last.

    Processes that train together have to go through equally many batches, and one utterance is a batch: so each has its
    share, and no frame is left out or counted twice.
    """
    lacking = min(-len(spans) % parts, len(spans))
    longest = sorted(range(len(spans)), key=lambda i: -spans[i].frames)[:lacking]
    halves = []
    for i in sorted(longest):
        half = spans[i].frames // 2
        halves += [
            spans[i]._replace(frames=half),
            spans[i]._replace(first=spans[i].first + half, frames=spans[i].frames - half),
        ]
    return [span for i, span in enumerate(spans) if i not in longest] + halves


def to_batch(batch: MelSource, config: MelConfig, context: int) -> MelBatch:
    """Scale the samples and make the mel, on the device that they are on.

    Args:
        batch: From one of the data sets above.
        config: Their convention.
        context: Theirs.

    Returns:
        The frames that ``log_mel`` of the whole file has.
    """
    audio = batch.audio.float() * (batch.gain / INT16_STEPS)[:, None, None]
    mel = log_mel_of_crop(audio[:, 0], config)  # (B, M, L + 2 * context)
    around = config.margin + context * config.hop_length
    if context:
        mel = mel.gather(2, batch.frame[:, None].expand(-1, mel.shape[1], -1))
    return MelBatch(mel, audio[..., around : audio.shape[-1] - around].contiguous())
