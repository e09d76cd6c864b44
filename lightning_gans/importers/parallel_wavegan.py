"""Checkpoints of https://github.com/kan-bayashi/ParallelWaveGAN: Parallel WaveGAN, and MelGAN as it is trained there.

``checkpoint-400000steps.pkl`` has the networks, ``config.yml`` the mel convention, the architecture and the recipe, and
``stats.h5`` (or ``stats.npy``) the mean and the deviation of each band.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from torch import Tensor

from lightning_gans.errors import InputError, one_line
from lightning_gans.importers.imported import Imported, Importer, mean_and_deviation
from lightning_gans.importers.parallel_wavegan_config import translated
from lightning_gans.importers.torch_files import fitted, load, names

NETWORKS = ("generator", "discriminator")
CONVERSION = (
    "python -c \"import h5py, numpy; f = h5py.File('stats.h5'); numpy.save('stats.npy', [f['mean'][()],"
    " f['scale'][()]])\""
)


def read(checkpoint: Path, *, config: Path | None = None, stats: Path | None = None) -> Imported:
    """Read a Parallel WaveGAN or a MelGAN.

    Args:
        checkpoint: Such as ``checkpoint-400000steps.pkl``.
        config: Its ``config.yml``; the one beside the checkpoint when not given.
        stats: Its ``stats.h5`` or ``stats.npy``; the one beside the checkpoint when not given.

    Raises:
        InputError: as ``Importer``; for another architecture, with the argument that differs.
    """
    content = load(checkpoint)
    networks = content.get("model")
    if not isinstance(networks, dict) or not isinstance(networks.get("generator"), dict):
        raise InputError(
            f"{checkpoint} is no checkpoint of ParallelWaveGAN: expected model.generator, found {names(content)};"
            " choose another checkpoint or --format"
        )
    states = {name: networks[name] for name in NETWORKS if isinstance(networks.get(name), dict)}
    path = beside(checkpoint, "config", config, ("config.yml", "config.yaml"))
    model, hparams = translated(f"--config {path}", read_config(path))
    bands = hparams["mel"]["n_mels"]
    state = fitted(str(checkpoint), f"the {model} of {path}", model, hparams, states, their_name)
    statistics = read_statistics(beside(checkpoint, "stats", stats, ("stats.h5", "stats.npy")), bands)
    return Imported(model, hparams, tuple(states), state | statistics)


def beside(checkpoint: Path, option: str, given: Path | None, usual: tuple[str, ...]) -> Path:
    """The file that was given, or one of the usual name in the checkpoint's folder."""
    for path in [given] if given else [checkpoint.with_name(name) for name in usual]:
        if path.is_file():
            return path
    if given:
        raise InputError(f"there is no file {given}; give --{option} an existing one")
    raise InputError(
        f"there is no {' or '.join(usual)} beside {checkpoint}, and a checkpoint of ParallelWaveGAN is of no use"
        f" without it; give --{option} the one of its training"
    )


def read_config(path: Path) -> dict[str, Any]:
    """The YAML, of plain values only."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(
            f"--config {path} is not YAML of plain values ({one_line(error)}); take objects out of it"
        ) from None
    if not isinstance(config, dict):
        raise InputError(f"--config {path} is no mapping; expected ParallelWaveGAN's config.yml")
    return config


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
        mean, scale = _hdf5(path) if path.suffix == ".h5" else np.load(path, allow_pickle=False)
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
        return np.asarray(file["mean"], np.float32).reshape(-1), np.asarray(file["scale"], np.float32).reshape(-1)


IMPORTER = Importer("parallel_wavegan", "kan-bayashi/ParallelWaveGAN: checkpoint-*.pkl, config.yml, stats.h5", read)
