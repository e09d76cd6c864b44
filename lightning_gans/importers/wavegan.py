"""Checkpoints of the authors' WaveGAN and SpecGAN (https://github.com/chrisdonahue/wavegan), in TensorFlow's format.

Which of the two it is, and its hyper-parameters, follow from the names and shapes of the variables, but for the length
where the last stride decides, and for what concerns training alone (the loss, phase shuffle), which keeps its defaults.
SpecGAN gets the authors' inversion, so that it sounds as it did there. The discriminator comes along when it is there.
What lies outside of the scopes ``G`` and ``D`` (the step count, Adam's powers) belongs to no network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_gans.errors import InputError
from lightning_gans.files.arrays import named
from lightning_gans.importers.imported import Imported, Importer, Opened, mean_and_deviation, module_shapes, require_fit
from lightning_gans.importers.tensorflow_bundle import read_bundle, read_index
from lightning_gans.models.specgan import BINS
from lightning_gans.models.wavegan import START

SKIPPED = re.compile(r"(?!G/|D/).*|.*/(Adam|RMSProp)(_\d+)?|D/.*/moving_(mean|variance)")
"""Other scopes, what optimizers keep for each variable, and averages that the critic, which always normalizes by the
batch, never uses."""
GENERATOR = re.compile(r"G/upconv_\d+/(conv2d_transpose|conv1d|conv2d)/kernel")
LENGTHS = {5: (16384,), 6: (32768, 65536)}
"""By the number of layers."""
SAMPLE_RATE = 16000
KERNEL_AXES = {1: (0,), 2: (1, 0), 3: (2, 1, 0), 4: (3, 2, 0, 1)}
"""TensorFlow's axes in torch's order, by their number. The same for convolutions, (..., in, out) there and (out, in,
...) here, as for transposed ones, (..., out, in) there and (in, out, ...) here. No kernel is flipped."""
LEAVES = {"weight": "kernel", "bias": "bias"}
NORM_LEAVES = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
CONVERSION = (
    "python -c \"import pickle, numpy; mean, std = pickle.load(open('moments.pkl', 'rb'), encoding='latin1');"
    " numpy.savez('stats.npz', mean=mean, std=std)\""
)
"""Unpickling runs what the file says, so this is left to the user."""


def recognizes(content: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """A layer of G."""
    return any(GENERATOR.fullmatch(name) for name in content)


def read(
    files: Opened, *, stats: Path | None = None, length: int | None = None, sample_rate: int = SAMPLE_RATE
) -> Imported:
    """Read a WaveGAN or a SpecGAN.

    Args:
        files: ``PREFIX`` of ``PREFIX.index`` and ``PREFIX.data-00000-of-00001``.
        stats: SpecGAN's statistics: a .npz with ``mean`` and ``std`` of the 129 bins.
        length: T; needed for WaveGAN with six layers, which has the same variables for 32768 and 65536.
        sample_rate: In Hz; that of the authors' data when not given.

    Returns:
        What a module is made from, in float32.

    Raises:
        InputError: as ``Importer``; it lists the variables that are missing, left over or of another shape.
    """
    prefix = files.path
    variables = read_bundle(prefix, lambda name: bool(SKIPPED.fullmatch(name)))
    model, up = recognized(prefix, variables)
    hparams = _hparams(prefix, model, up, variables, length) | {"sample_rate": sample_rate}
    networks = ("generator", "discriminator") if any(name.startswith("D/") for name in variables) else ("generator",)

    shapes = {key: shape for key, shape in module_shapes(model, hparams).items() if key.partition(".")[0] in networks}
    names = {key: name for key in shapes if (name := variable_name(key, model, up))}
    expected = {name: tensorflow_shape(shapes[key], name) for key, name in names.items()}
    require_fit(str(prefix), f"the authors' {model}", [(variables, expected)])
    state = {key: _to_torch(variables[name], len(shapes[key])) for key, name in names.items()}
    # batch norm's count of batches, which torch keeps and does not use at a fixed momentum.
    state |= {key: torch.zeros(shape, dtype=torch.long) for key, shape in shapes.items() if key not in names}
    return Imported(model, hparams, networks, state | _statistics(prefix, model, stats))


def recognized(prefix: Path, variables: Mapping[str, np.ndarray]) -> tuple[str, str]:
    """Class name, and what TensorFlow calls the layers of G, which tells how they upsample.

    Raises:
        InputError: if there is no such layer.
    """
    for name, value in sorted(variables.items()):
        if match := GENERATOR.fullmatch(name):
            return "WaveGAN" if match[1] == "conv1d" or value.shape[:1] == (1,) else "SpecGAN", match[1]
    found = ", ".join(sorted(read_index(prefix)[1])[:4])
    raise InputError(
        f"{prefix} holds no generator of WaveGAN or SpecGAN: expected G/upconv_0/conv2d_transpose/kernel and so on,"
        f" found {found or 'nothing'}; choose another checkpoint"
    )


def variable_name(key: str, model: str, up: str) -> str | None:
    """TensorFlow's name for an entry of a module's state; None where it has no counterpart.

    Args:
        key: Such as ``generator.up.0.weight``.
        model: Class name.
        up: What TensorFlow calls the layers of G.
    """
    network, part, *index, leaf = key.split(".")
    i = int(index[0]) if index else 0
    scope = {
        "generator.project": "G/z_project/dense",
        "generator.up": f"G/upconv_{i}/{up}",
        "generator.norm": f"G/upconv_{i - 1}/batch_normalization" if i else "G/z_project/batch_normalization",
        "generator.post_filter": "G/pp_filt/conv1d",
        "discriminator.down": f"D/downconv_{i}/{'conv1d' if model == 'WaveGAN' else 'conv2d'}",
        "discriminator.norm": f"D/downconv_{i}/batch_normalization",
        "discriminator.output": "D/output/dense",
    }[f"{network}.{part}"]
    theirs = (NORM_LEAVES if part == "norm" else LEAVES).get(leaf)
    return None if theirs is None else f"{scope}/{theirs}"


def _hparams(
    prefix: Path, model: str, up: str, variables: Mapping[str, np.ndarray], length: int | None
) -> dict[str, Any]:
    """What the shapes tell. Where a variable is missing a default stands in, and the check lists it afterwards."""

    def shape(name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        return variables[name].shape if name in variables and variables[name].ndim == len(default) else default

    layers = 6 if model == "WaveGAN" and f"G/upconv_5/{up}/kernel" in variables else 5
    lengths = LENGTHS[layers]
    if length is None and len(lengths) > 1:
        raise InputError(
            f"{prefix} has {layers} layers, whose variables are the same for {' and '.join(map(str, lengths))} samples;"
            " give --length with the one that it was trained for"
        )
    if length not in (None, *lengths):
        raise InputError(
            f"--length is {length}, and {prefix} with its {layers} layers makes {' or '.join(map(str, lengths))}"
            " samples; correct it"
        )
    (units,) = shape("G/z_project/dense/bias", (64 * START * 2 ** (layers - 1),))
    latent_dim, units = shape("G/z_project/dense/kernel", (100, units))
    hparams = {
        "width": max(1, units // (START * 2 ** (layers - 1))),
        "latent_dim": latent_dim,
        # nearest neighbors: the authors' code refuses the other two modes that its command line offers for SpecGAN.
        "upsampling": "zeros" if up == "conv2d_transpose" else "nearest",
        "batch_norm": any("/batch_normalization/" in name for name in variables),
    }
    if model == "SpecGAN":
        return hparams | {"inversion": "official"}
    (channels,) = shape(f"G/upconv_{layers - 1}/{up}/bias", (1,))
    post_filter = any(name.startswith("G/pp_filt/") for name in variables)
    return hparams | {"length": length or lengths[0], "channels": channels, "post_filter": post_filter}


def tensorflow_shape(shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    """The shape of the variable that is stored as ``shape`` in torch."""
    turned = tuple(shape[KERNEL_AXES[len(shape)].index(axis)] for axis in range(len(shape)))
    # WaveGAN's transposed convolution is one of images that are one pixel high.
    return (1, *turned) if len(shape) == 3 and "/conv2d_transpose/" in name else turned


def _to_torch(values: np.ndarray, dims: int) -> Tensor:
    values = values[0] if values.ndim > dims else values
    return torch.from_numpy(np.array(values.transpose(KERNEL_AXES[dims]), np.float32, order="C"))


def _statistics(prefix: Path, model: str, path: Path | None) -> dict[str, Tensor]:
    """SpecGAN's ``mean`` and ``std``; nothing for WaveGAN."""
    if model == "WaveGAN":
        if path is not None:
            raise InputError(f"{prefix} is a WaveGAN, which needs no statistics; leave --stats out")
        return {}
    if path is None:
        raise InputError(
            f"{prefix} is a SpecGAN, whose statistics are a pickle of their own, which is not read here; convert it,"
            f" if you trust it, with {CONVERSION} and give --stats stats.npz"
        )

    def read() -> tuple[np.ndarray, np.ndarray]:
        mean, std = named(path, ("mean", "std"), way_out)
        return mean, std

    way_out = f"expected a .npz with the arrays mean and std, as made by {CONVERSION}"
    mean, std = mean_and_deviation(f"--stats {path}", read, BINS, way_out)
    return {"mean": mean, "std": std}


IMPORTER = Importer(
    "wavegan",
    "WaveGAN and SpecGAN of chrisdonahue/wavegan: PREFIX of TensorFlow's files",
    ("model.ckpt*.index", "*.index"),
    recognizes,
    read,
)
