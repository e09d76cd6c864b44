"""Checkpoints of https://github.com/kan-bayashi/ParallelWaveGAN: Parallel WaveGAN, MelGAN and HiFi-GAN.

``checkpoint-400000steps.pkl`` has the networks, ``config.yml`` the mel convention, the architecture and the recipe, and
``stats.h5`` (or ``stats.npy``) the mean and the deviation of each band.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from lightning_gans.errors import InputError
from lightning_gans.files import regular, there
from lightning_gans.files.arrays import mapped
from lightning_gans.importers.imported import Config, Imported, Importer, Opened, mean_and_deviation
from lightning_gans.importers.parallel_wavegan_config import translated
from lightning_gans.importers.parallel_wavegan_hifigan import (
    GENERATOR,
    hifigan_name,
    hifigan_states,
    translated_hifigan,
)
from lightning_gans.importers.torch_files import fitted, names

NETWORKS = ("generator", "discriminator")
BANDS = 2**16
"""Far more than any mel has."""
STATISTICS = ("stats.h5", "stats.npy")
CONVERSION = (
    "python -c \"import h5py, numpy; f = h5py.File('stats.h5'); numpy.save('stats.npy', [f['mean'][()],"
    " f['scale'][()]])\""
)


def recognizes(content: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """The networks are together in one mapping."""
    networks = content.get("model")
    return isinstance(networks, Mapping) and isinstance(networks.get("generator"), Mapping)


def read(files: Opened, *, config: Config, stats: Path | None = None) -> Imported:
    """Read a Parallel WaveGAN, a MelGAN or a HiFi-GAN.

    Args:
        files: Such as ``checkpoint-400000steps.pkl``.
        config: Its ``config.yml``.
        stats: Its ``stats.h5`` or ``stats.npy``; the one beside the checkpoint when not given.

    Raises:
        InputError: as ``Importer``; for another architecture, with the argument that differs.
    """
    checkpoint, content = files
    networks = content.get("model")
    if not isinstance(networks, dict) or not isinstance(networks.get("generator"), dict):
        raise InputError(
            f"{checkpoint} is no checkpoint of ParallelWaveGAN: expected model.generator, found {names(content)};"
            " choose another checkpoint or --format"
        )
    states = {name: networks[name] for name in NETWORKS if isinstance(networks.get(name), dict)}
    path, theirs = config.path, their_name
    if config.values.get("generator_type") == GENERATOR:
        model, hparams = "HiFiGAN", translated_hifigan(f"--config {path}", config.values)
        states, theirs = hifigan_states(str(checkpoint), states), hifigan_name
    else:
        model, hparams = translated(f"--config {path}", config.values)
    bands = hparams["mel"]["n_mels"]
    state = fitted(str(checkpoint), f"the {model} of {path}", model, hparams, states, theirs)
    statistics = read_statistics(statistics_of(checkpoint, stats), bands)
    return Imported(model, hparams, tuple(states), state | statistics)


def statistics_of(checkpoint: Path, given: Path | None) -> Path:
    """The file that was given, or the one beside the checkpoint."""
    for path in [given] if given else [checkpoint.with_name(name) for name in STATISTICS]:
        if there(path):
            return path
    if given:
        raise InputError(f"there is no file {given}; give --stats an existing one")
    raise InputError(
        f"there is no {' or '.join(STATISTICS)} beside {checkpoint}, and a checkpoint of ParallelWaveGAN is of no use"
        " without it; give --stats the one of its training"
    )


def their_name(layer: str) -> str:
    """From ``generator.model.4.block.2`` to the project's name, within the network; most are the same."""
    name = layer.partition(".")[2]
    if not name.startswith("model."):
        return name
    return name.replace("model.", "melgan.").replace(".block.", ".stack.").replace(".shortcut", ".skip_layer")


def read_statistics(path: Path, bands: int) -> dict[str, Tensor]:
    """``mel_mean`` and ``mel_scale``, from the rows of a .npy or the sets ``mean`` and ``scale`` of a .h5.

    Raises:
        InputError: as ``mean_and_deviation``; for a .h5 where h5py is not installed, with the line that converts it
            elsewhere.
    """
    if path.suffix not in (".npy", ".h5"):
        raise InputError(f"--stats is {path}; expected the stats.h5 or stats.npy of the training")

    def read() -> tuple[np.ndarray, np.ndarray]:
        mean, scale = _hdf5(regular(path)) if path.suffix == ".h5" else mapped(path)
        return mean, scale

    mean, scale = mean_and_deviation(f"--stats {path}", read, bands, "give the file of this training")
    return {"mel_mean": mean, "mel_scale": scale}


def _hdf5(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        import h5py
    except ImportError:
        raise InputError(
            f"--stats {path} is HDF5, which h5py reads: pip install h5py, or where it is installed, {CONVERSION}, and"
            " give --stats stats.npy"
        ) from None
    with h5py.File(path, "r") as file:
        if max(file["mean"].size, file["scale"].size) > BANDS:
            raise ValueError(f"more than {BANDS} values")
        return np.asarray(file["mean"], np.float32).reshape(-1), np.asarray(file["scale"], np.float32).reshape(-1)


IMPORTER = Importer(
    "parallel_wavegan",
    "kan-bayashi/ParallelWaveGAN: checkpoint-*.pkl, config.yml, stats.h5",
    ("checkpoint-*steps.pkl",),
    recognizes,
    read,
    beside=STATISTICS,
)
