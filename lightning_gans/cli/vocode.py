"""The command ``vocode``: sound from features, or from sound by way of its features, in files and folders."""

from __future__ import annotations

import os
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lightning_gans import zoo
from lightning_gans.errors import InputError
from lightning_gans.files import Damaged, there
from lightning_gans.files.writing import Unwritable

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from lightning_gans.data.audio.decoding import Header
    from lightning_gans.training.vocoder import Vocoder

MELS = ".npy"


class Job(NamedTuple):
    """One file to make.

    Attributes:
        source: A sound file, or ``.npy`` features.
        output: A ``.wav`` file.
        header: Of a sound file.
    """

    source: Path
    output: Path
    header: Header | None


class Speed(NamedTuple):
    """Seconds of sound, and what the network took for them."""

    sound: float
    work: float

    def __str__(self) -> str:
        factor = self.work / self.sound
        return f"{self.sound:.2f} s of sound in {self.work:.2f} s, a real-time factor of {factor:.3g}"


def vocode(
    name: str,
    input: Path,
    output: Path,
    chunk_seconds: float | None = None,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Turn mel spectrograms, or the mels of sound files, into sound, and say how fast it was.

    A sound file is averaged to mono and resampled to the model's rate; what is made of its mel (copy synthesis) ends
    with its last whole frame.

    Examples:
        lightning-gans vocode hifigan_ljspeech in.wav out.wav
        lightning-gans vocode NAME mel.npy out.wav
        lightning-gans vocode last.ckpt recordings/ vocoded/ --chunk-seconds 10

    Args:
        name: A vocoder of the zoo, a .safetensors or .ckpt file, or the address of one.
        input: A sound file; mels as .npy, (frames, bands) in the model's convention, not normalized; or a folder of
            both.
        output: .wav, which is replaced; for a folder one without sounds.
        chunk_seconds: Work on so much at a time, for little memory; the sound is the same. When not given 10 on a CPU,
            else all at once.
        seed: Of the noise, for models that take any.
        device: Such as cpu or cuda:1; auto is cuda where there is one, else cpu.

    Raises:
        InputError: for what cannot be used; of a folder, all headers are looked at before anything is written, and
            what turns out to be damaged then is left out and named at the end.
    """
    from tqdm import tqdm

    from lightning_gans.cli.plans import require_seeds
    from lightning_gans.data.files import first_names
    from lightning_gans.training.vocoder import Vocoder

    require_seeds([seed], "--seed")
    if chunk_seconds is not None and not 0 < chunk_seconds < float("inf"):
        raise InputError(f"--chunk-seconds is {chunk_seconds:g}; expected a number above 0, such as 10")
    jobs = _jobs(input, output)
    model = zoo.load(name, device)
    if not isinstance(model, Vocoder):
        raise InputError(
            f"{name} is a {type(model).__name__}, which makes nothing from mels; use lightning-gans sample, or give a"
            " vocoder"
        )
    _require_frames(jobs, model)
    config = model.mel_config
    if rates := sorted({job.header.rate for job in jobs if job.header} - {config.sample_rate}):
        print(f"resampled from {', '.join(map(str, rates))} Hz to the model's {config.sample_rate} Hz")
    chunk = None if chunk_seconds is None else max(1, round(chunk_seconds * config.sample_rate / config.hop_length))
    speeds, failed = [], []
    for job in tqdm(jobs, "vocode", leave=False, disable=len(jobs) == 1):
        try:
            speeds.append(_make(job, model, chunk, seed))
        except Unwritable:
            raise
        except InputError as error:
            if not input.is_dir():
                raise
            failed.append(str(error))
    if speeds:
        total = Speed(sum(speed.sound for speed in speeds), sum(speed.work for speed in speeds))
        what = f"{len(speeds)} files in {output}" if input.is_dir() else output
        print(f"{what}: {total} ({model.device})")
    if failed:
        raise InputError(
            f"{len(failed)} of {len(jobs)} files were not made: {first_names(failed)}; mend them, and give each alone"
        )


def _make(job: Job, model: Vocoder, chunk: int | None, seed: int) -> Speed:
    """Write one file."""
    import torch

    from lightning_gans.audio.files import wav_writer

    try:
        mel = _features(job.source) if job.header is None else model.mel(_sound(job.source, job.header, model))
        before, samples = time.perf_counter(), 0
        pieces = model.vocode_pieces(mel, seed, chunk)
        first = next(pieces)  # before a file is begun
        with wav_writer(job.output, model.sample_rate) as write:
            for piece in chain([first], pieces):
                write(piece[0])
                samples += piece.shape[-1]
            work = time.perf_counter() - before
    except (Damaged, Unwritable):  # which name it
        raise
    except InputError as error:
        raise InputError(f"{job.source}: {error}") from error
    except torch.OutOfMemoryError as error:
        raise InputError(f"{job.source} is too long for the device's memory; give --chunk-seconds 10") from error
    return Speed(samples / model.sample_rate, work)


# ---- which files


def _jobs(source: Path, output: Path) -> list[Job]:
    """What is to be made.

    Raises:
        InputError: for files that are not there or of no use, and outputs that would mix or replace the input.
    """
    from lightning_gans.data.audio.sounds import SUFFIXES, UNREAD
    from lightning_gans.data.files import walk

    if not os.path.lexists(source):
        raise InputError(f"there is no {source}; give a sound file, features ({MELS}), or a folder of them")
    if not os.path.isdir(source):
        if output.suffix != ".wav":
            raise InputError(f"the output is {output}; expected a file name that ends in .wav, as {source} is one file")
        if output.resolve() == source.resolve():
            raise InputError(f"the output {output} would replace the input; choose another name")
        return _checked({output: source})
    if output.suffix == ".wav" or there(output):
        raise InputError(f"the output is {output}; expected a folder, as {source} is one")
    if any(output.rglob("*.wav")):
        raise InputError(
            f"{output} holds sounds already, and those of two calls must not mix; move them away, or choose another"
            " folder"
        )
    names = sorted(walk(source, (*SUFFIXES, MELS), UNREAD))
    if not names:
        raise InputError(f"{source} holds no sound files and no features ({MELS}); give another folder")
    sources: dict[Path, Path] = {}
    for name in names:
        path = (output / name).with_suffix(".wav")
        if path in sources:
            raise InputError(
                f"{sources[path]} and {source / name} would both become {path}; rename one of them, or move it"
            )
        sources[path] = source / name
    return _checked(sources)


def _checked(sources: dict[Path, Path]) -> list[Job]:
    """The jobs, from outputs to sources, with the headers of all sound files read."""
    from lightning_gans.data.audio.decoding import measure
    from lightning_gans.data.files import first_names

    jobs, broken = [], []
    for output, source in sources.items():
        try:
            jobs.append(Job(source, output, None if source.suffix == MELS else measure(source)))
        except Damaged as error:
            broken.append(f"{source} ({error.reason})")
    if broken:
        raise InputError(
            f"{len(broken)} file(s) cannot be used: {first_names(broken)}; give sound files, or features as {MELS}"
        )
    return jobs


def _require_frames(jobs: list[Job], model: Vocoder) -> None:
    """Refuse mels of another shape than the model's, and what is too short for it, before the first is made."""
    from lightning_gans.data.audio.decoding import resampled
    from lightning_gans.data.files import first_names

    config, name, wrong = model.mel_config, type(model).__name__, []
    least = max(model.min_frames * config.hop_length, config.margin + 1)
    for job in jobs:
        try:
            if job.header is None:
                model.check_shape(_features(job.source).shape, is_array=True)
            elif (samples := resampled(job.header, config.sample_rate)) < least:
                raise InputError(
                    f"at {config.sample_rate} Hz it has {samples} samples, and {name} takes at least {least}; put"
                    " silence behind it"
                )
        except Damaged as error:  # which names it
            wrong.append(str(error))
        except InputError as error:
            wrong.append(f"{job.source}: {error}")
    if wrong:
        raise InputError(first_names(wrong) if len(jobs) > 1 else wrong[0])


# ---- what is in them


def _sound(path: Path, header: Header, model: Vocoder) -> Tensor:
    """A file's samples (1, T), as training has them."""
    import torch

    from lightning_gans.data.audio.decoding import INT16_STEPS, decode

    audio, loudness = decode(path, header, model.sample_rate, 1, None, False)
    if remark := loudness.remark():
        print(f"{path}: {remark}")
    return torch.from_numpy(audio).float() / INT16_STEPS


def _features(path: Path) -> np.ndarray:
    """A file's (L, M), without axes of 1 in front."""
    from lightning_gans.files.arrays import mapped

    mel = mapped(path, "save it with numpy.save")
    if mel.dtype.kind != "f":
        raise InputError(f"it holds {mel.dtype}; expected an array of floats, (L, M)")
    while mel.ndim > 2 and mel.shape[0] == 1:
        mel = mel[0]
    return mel
