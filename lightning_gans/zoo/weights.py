"""Weights with what it takes to rebuild their model: one file, read without unpickling.

A released file is safetensors. Its header holds ``model`` (class name), ``hparams`` (JSON, defaults included, so that
a later change of a default cannot break it), ``version`` and ``networks``, the attributes whose tensors are inside.
Heavy imports stand in the functions, so that listing the zoo does not wait for torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, get_type_hints

import lightning_gans
from lightning_gans.errors import InputError
from lightning_gans.files import reading, regular
from lightning_gans.files.records import shown, tuples, typed
from lightning_gans.zoo import moved

if TYPE_CHECKING:
    from torch import Tensor


SUFFIXES = (".safetensors", ".ckpt")
DTYPES = {
    **{f"torch.float{bits}": f"F{bits}" for bits in (16, 32, 64)},
    **{f"torch.int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{"torch.bfloat16": "BF16", "torch.uint8": "U8", "torch.bool": "BOOL"},
}
"""What safetensors calls torch's types."""


class NotOurs(InputError):
    """A file that this package has not written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} was not written by lightning_gans: {reason}; a checkpoint of another project becomes a model with"
            f" lightning-gans zoo import {path}"
        )


@dataclass(frozen=True)
class Header:
    """What the header of a released file says.

    Args:
        model: Class name.
        hparams: Arguments of the class.
        networks: Attributes whose tensors are inside.
        version: Of the package that wrote it.
    """

    model: str
    hparams: dict[str, Any]
    networks: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class Weights:
    """A model's state and identity.

    Args:
        source: What messages call it.
        model: Class name.
        hparams: Arguments of the class.
        networks: Attributes whose tensors are in ``state``.
        state: Those tensors, and the tensors that hang on the module itself, in float32.
        version: Of the package that wrote it.
    """

    source: str
    model: str
    hparams: dict[str, Any]
    networks: tuple[str, ...]
    state: dict[str, Tensor]
    version: str


def read(path: Path) -> Weights:
    """Read a ``.safetensors`` or ``.ckpt`` file of this package.

    Raises:
        NotOurs: for another project's.
        InputError: for a file that is not there, or damaged.
    """
    if os.path.isdir(path):
        raise NotOurs(path, "it is a folder")
    regular(path)
    if path.suffix not in SUFFIXES:
        raise NotOurs(path, f"expected a file that ends in {' or '.join(SUFFIXES)}")
    return _released(path) if path.suffix == ".safetensors" else _checkpoint(path)


def read_foreign(checkpoint: str | Path, **options: Any) -> Weights:
    """Read another project's checkpoint; the options are those of ``zoo.import_checkpoint``."""
    from lightning_gans.importers import read_checkpoint

    imported = read_checkpoint(checkpoint, **options)
    if wrong := not_finite(imported.state):
        raise InputError(f"{checkpoint}: what becomes {wrong[0]} is not finite; choose an earlier checkpoint")
    return Weights(str(checkpoint), *imported, version=lightning_gans.__version__)


def _released(path: Path) -> Weights:
    import safetensors

    with reading(path, "a safetensors file"), safetensors.safe_open(path, "pt") as file:
        given = file.metadata() or {}
        state = {key: file.get_tensor(key) for key in file.keys()}
    if absent := [name for name in get_type_hints(Header) if name not in given]:
        raise NotOurs(path, f"its header lacks {', '.join(absent)}; it has {shown(', '.join(given) or 'nothing')}")
    with reading(path, "of this package: its header has other values"):
        parts = {name: json.loads(given[name]) for name in ("hparams", "networks")}
        header = typed(Header, {"model": given["model"], "version": given["version"], **parts})
        hparams = tuples(header.hparams)
    state = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    return _of_today(str(path), header.model, hparams, header.networks, state, header.version)


def _of_today(
    source: str, model: str, hparams: dict[str, Any], networks: tuple[str, ...], state: dict[str, Tensor], version: str
) -> Weights:
    model, hparams = moved.translate(model, hparams, source)
    return Weights(source, model, hparams, networks, moved.tensors(model, state), version)


def _checkpoint(path: Path) -> Weights:
    """A training checkpoint of this package."""
    from lightning_gans.importers.torch_files import load
    from lightning_gans.training.restoring import Identity

    content = load(path, mapped=False)  # a run replaces its checkpoints
    if absent := [key for key in get_type_hints(Identity) if key not in content]:
        raise NotOurs(path, f"it lacks {', '.join(absent)}")
    with reading(path, "a checkpoint of this package"):
        found = typed(Identity, {key: content[key] for key in get_type_hints(Identity)})
        # The command line adds entries of its own, all with an underscore in front.
        hparams = tuples({key: value for key, value in found.hyper_parameters.items() if not key.startswith("_")})
    state = unwrapped(found.state_dict)
    networks = tuple(dict.fromkeys(key.partition(".")[0] for key in state if "." in key))
    return _of_today(str(path), found.model, hparams, networks, state, lightning_gans.__version__)


def unwrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the names that they had before DDP or ``torch.compile`` were put around a module."""
    state = {key.replace("_orig_mod.", ""): value for key, value in state.items()}
    if state and all(key.startswith("module.") for key in state):
        return {key.removeprefix("module."): value for key, value in state.items()}
    return state


def write(weights: Weights, file: IO[bytes]) -> str:
    """Write a released file, tensor by tensor; the same weights give the same bytes.

    Returns:
        Its SHA-256.
    """
    import torch

    header: dict[str, Any] = {"__metadata__": _metadata(weights)}
    # in the order of safetensors, the larger types first, so that each tensor is aligned
    names = sorted(weights.state, key=lambda name: (-weights.state[name].element_size(), name))
    end = 0
    for name in names:
        value = weights.state[name]
        begin, end = end, end + value.numel() * value.element_size()
        header[name] = {"dtype": DTYPES[str(value.dtype)], "shape": list(value.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    for part in (struct.pack("<Q", len(text)), text):
        digest.update(part)
        file.write(part)
    for name in names:
        data = weights.state[name].detach().contiguous().reshape(-1).view(torch.uint8).numpy().data
        digest.update(data)
        file.write(data)
    return digest.hexdigest()


def _metadata(weights: Weights) -> dict[str, str]:
    try:
        hparams = json.dumps(weights.hparams, sort_keys=True)
    except TypeError as error:
        raise InputError(f"{weights.source}: the hyper-parameters are not plain values ({error})") from None
    networks = json.dumps(weights.networks)
    return {"model": weights.model, "hparams": hparams, "version": weights.version, "networks": networks}


def not_finite(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors in which there is a NaN or an infinity."""
    return [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]


def halved(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and kernels in float16.

    Vectors stay: they are few, and a batch norm's variance can be too small for float16.
    """
    import torch

    return {
        key: value.to(torch.float16) if value.is_floating_point() and value.dim() > 1 else value
        for key, value in state.items()
    }
