"""From another project's checkpoint to a module of this package, or to a file and the skeleton of a card."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_gans.errors import InputError
from lightning_gans.zoo.loading import build
from lightning_gans.zoo.release import Exported, checked_name, write_entry
from lightning_gans.zoo.weights import read_foreign

if TYPE_CHECKING:
    from lightning_gans.training.adversarial_module import AdversarialModule


def import_checkpoint(
    checkpoint: str | Path,
    config: str | Path | None = None,
    stats: str | Path | None = None,
    format: str | None = None,
    length: int | None = None,
    sample_rate: int | None = None,
) -> AdversarialModule:
    """Make a module from a checkpoint of another project.

    Args:
        checkpoint: A file, a folder of them, or what their names have in common (``PREFIX`` of ``PREFIX.index``).
        config: The settings of the training; ``config.json``, ``config.yml`` or ``config.yaml`` beside the checkpoint
            when not given.
        stats: Statistics of the training data: ``stats.h5`` or ``stats.npy`` of Parallel WaveGAN, and for SpecGAN a
            .npz with ``mean`` and ``std`` of the 129 bins.
        format: A name of ``importers.IMPORTERS``; each file there says what it reads. Found from what is in the files
            when not given.
        length: WaveGAN with six layers: 32768 or 65536 samples.
        sample_rate: In Hz, for WaveGAN and the authors' MelGAN; their own when not given.

    Returns:
        The module in evaluation mode. ``untrained_networks`` names what the checkpoint did not hold, such as the
        discriminator, and which therefore has random weights.

    Raises:
        InputError: for files that have no format that is known, and files, variables and options that do not fit.
    """
    options = dict(config=config, stats=stats, format=format, length=length, sample_rate=sample_rate)
    weights = read_foreign(checkpoint, **options)
    return build(weights).eval()


def import_entry(
    checkpoint: str | Path,
    *,
    config: str | Path | None = None,
    stats: str | Path | None = None,
    output: str | Path | None = None,
    name: str | None = None,
    format: str | None = None,
    length: int | None = None,
    sample_rate: int | None = None,
) -> Exported:
    """Make a weights file and the skeleton of its card from another project's checkpoint.

    The format is found from what is in the file and the settings beside it. Every network is written, in float32, so
    that nothing is lost; ``zoo export`` makes of this file the smaller one for a release.

    Args:
        checkpoint: The file, the folder that it is in, or what the names of TensorFlow's files begin with.
        config: Settings of the training, .json or .yml; config.json, config.yml or config.yaml beside the checkpoint
            when not given.
        stats: Statistics of the training data: stats.h5 or stats.npy (of kan-bayashi's; the one beside the checkpoint
            when not given), or a .npz with mean and std of the 129 bins, which SpecGAN needs.
        output: A .safetensors file or a folder, made if need be; a file in the current folder when not given.
        name: <paper>_<dataset>; when not given the file name of the output, or made of the model's and the
            checkpoint's.
        format: A name of the table in zoo/README.md, where what is found is not wanted.
        length: Samples of a clip, where the checkpoint leaves it open.
        sample_rate: In Hz, where no file tells it; 16000 for wavegan and 22050 for melgan_neurips when not given.

    Returns:
        The files that were written.

    Raises:
        InputError: as ``import_checkpoint``, for a bad name, and for a card that exists and describes other weights.
    """
    folder = Path(output or "")
    if folder.suffix == ".safetensors":
        if name not in (None, folder.stem):
            raise InputError(f"--output names the file {output} and --name is {name}; leave one of them out")
        folder, name = folder.parent, folder.stem
    if name:
        checked_name(name)
    options = dict(config=config, stats=stats, format=format, length=length, sample_rate=sample_rate)
    weights = read_foreign(checkpoint, **options)
    module = build(weights)
    return write_entry(weights, module, folder, name or made_name(type(module), Path(checkpoint)))


def made_name(model: type, checkpoint: Path) -> str:
    """``<paper>_<file>`` in small letters and digits: ``melgan_netg`` of ``netG.pt``."""
    paper = model.__module__.rpartition(".")[2]
    words = re.sub(r"[^a-z0-9]+", "_", (checkpoint.stem or checkpoint.resolve().name).lower()).strip("_")
    return words if words.startswith(f"{paper}_") else f"{paper}_{words or 'imported'}"
