"""Any folder of sound files, for vocoders; with mels beside them or without."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from lightning_gans.data.audio.base import SKIP
from lightning_gans.data.audio.sounds import SUFFIXES, Sounds
from lightning_gans.data.base import missing
from lightning_gans.data.files import walk
from lightning_gans.data.mels.base import MelDataModule
from lightning_gans.data.mels.files import Mels, read_mels
from lightning_gans.data.splits import held_out, require_held_out
from lightning_gans.errors import InputError


class MelFolder(MelDataModule):
    """The sound files in ``root/folder`` and its sub-folders, of any format that soundfile reads, decoded once.

    Several channels are averaged, other sample rates are resampled to that of the mel. Files that are no sound, cut
    short, empty or silent are errors, or left out with a note.

    With ``mel_suffix``, the mels come from files beside the sounds, such as those that a text-to-speech system predicts
    for them: ``a.npy`` beside ``a.wav``, floats of shape (L, M) or (M, L), in the convention of ``mel`` and not
    normalised by statistics. They are read as they are, so that nothing that changes the sound goes with them.

    Held-out files: those that ``val_pattern`` and ``test_pattern`` find. Without ``val_pattern``, the files with the
    smallest SHA-256 hashes of their paths are the validation set; without ``test_pattern``, it is the test set too.

    Args:
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        folder: The sounds' folder, relative to ``root``.
        mel: The convention of the mels: a name, or a mapping with a name and the fields that differ from it.
        crop: T, samples of a training crop; a multiple of the hop.
        context: Frames that the mel has beyond either end of the audio.
        normalize: ``peak_file`` scales each file so that its loudest sample is ``peak``.
        peak: In (0, 1].
        gain: Bounds of a uniform gain of training crops, such as [0.3, 1.0]; none when not given.
        trim_silence: Cut off both ends of each file as far as they are 60 dB below its loudest frame.
        mel_suffix: Ending of the mel files' names, in place of the sounds', such as ``.npy``.
        val_pattern: Regular expression that finds the validation files by their paths relative to the folder.
        test_pattern: The same for the test files.
        validation: Share of the files held out without a ``val_pattern``; 0 validates on the training files.
        short: Training files shorter than a crop: ``pad`` puts zeros behind them, ``skip`` leaves them out. With mel
            files, they are always left out.
        on_bad_file: What to do with files that cannot be used: ``error``, or ``skip`` with a note.
        crops_per_file: In each epoch.
        batch_size: Training crops per step and process.
        num_workers: Loader processes; 0 is fastest, since decoding is done once.
    """

    way_out = SKIP

    def __init__(
        self,
        root: str | None = None,
        folder: str = ".",
        mel: str | dict[str, Any] = "parallel_wavegan",
        crop: int = 25600,
        context: int = 0,
        normalize: Literal["none", "peak_file"] = "none",
        peak: float = 0.95,
        gain: tuple[float, float] | None = None,
        trim_silence: bool = False,
        mel_suffix: str | None = None,
        val_pattern: str | None = None,
        test_pattern: str | None = None,
        validation: float = 0.1,
        short: Literal["pad", "skip"] = "pad",
        on_bad_file: Literal["error", "skip"] = "error",
        crops_per_file: int = 1,
        batch_size: int = 6,
        num_workers: int = 0,
    ) -> None:
        super().__init__(
            root,
            mel,
            crop,
            context,
            normalize,
            peak,
            gain,
            trim_silence,
            short,
            crops_per_file,
            batch_size,
            num_workers,
        )
        require_held_out(val_pattern, test_pattern, validation)
        if on_bad_file not in ("error", "skip"):
            raise InputError(f"on_bad_file is {on_bad_file}; expected error or skip")
        if mel_suffix is not None:
            if not mel_suffix.endswith(".npy"):
                raise InputError(f"mel_suffix is {mel_suffix!r}; expected an ending such as .npy or _mel.npy")
            changes = {"normalize peak_file": self.peak, "gain": gain, "trim_silence": trim_silence}
            if clash := [name for name, value in changes.items() if value]:
                raise InputError(
                    f"{' and '.join(clash)} would change the sound and not its mel file; leave it out, or leave out"
                    " mel_suffix to make the mels from the sound"
                )
        self.save_hyperparameters(logger=False)
        self.on_bad_file = on_bad_file

    def _parts(self, names: list[str]) -> dict[str, np.ndarray]:
        h = self.hparams
        return held_out(names, h.val_pattern, h.test_pattern, h.validation)

    def _files(self) -> tuple[Path, Sounds, Mels | None]:
        folder = self.root / self.hparams.folder
        stamps = walk(folder, SUFFIXES) if folder.is_dir() else {}
        if not stamps:
            kinds = ", ".join(f"*{suffix}" for suffix in SUFFIXES)
            what = "sound file" if folder.is_dir() else f"folder {self.hparams.folder}"
            raise InputError(missing(what, f"{kinds} in {folder} and its sub-folders", self.root))
        self._parts(list(stamps))  # a wrong pattern is told before minutes of decoding
        sounds, suffix = self._decoded(folder, stamps), self.hparams.mel_suffix
        return (folder, sounds, None) if suffix is None else (folder, *self._with_mels(sounds, folder, suffix))

    def _with_mels(self, sounds: Sounds, folder: Path, suffix: str) -> tuple[Sounds, Mels]:
        """The sounds that have a mel of their length, and those mels."""
        path = {name: str(PurePosixPath(name).with_suffix("")) + suffix for name in sounds.names}
        there = walk(folder, (".npy",))
        mels = read_mels(folder, {p: there[p] for p in path.values() if p in there}, self.mel.n_mels)
        length = dict(zip(mels.names, mels.length.tolist(), strict=True))
        broken = {}
        for name, samples in zip(sounds.names, sounds.length.tolist(), strict=True):
            mel, expected = path[name], self.mel.frames(samples)
            if mel not in there:
                broken[name] = f"there is no {mel} beside it"
            elif mel in mels.broken:
                broken[name] = f"{mel}: {mels.broken[mel]}"
            elif abs(length[mel] - expected) > 1:
                broken[name] = (
                    f"{mel} has {length[mel]} frames, {samples} samples at {self.sample_rate} Hz make {expected} of"
                    f" {self.mel.hop_length}"
                )
        sounds = sounds.without(broken)
        return sounds, mels.of([path[name] for name in sounds.names])
