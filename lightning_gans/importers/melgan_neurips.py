"""Checkpoints of the authors' MelGAN (https://github.com/descriptinc/melgan-neurips): one state dict per file.

Sizes follow from the shapes. Of the training, the files tell nothing: ``args.yml`` is a dumped Python object, which is
not read. The module keeps its defaults, which are the authors'.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count
from typing import Any

from torch import Tensor, ones, zeros

from lightning_gans.errors import InputError
from lightning_gans.importers.imported import Imported, Importer, Opened
from lightning_gans.importers.torch_files import discriminators_beside, fitted, layers, names

DISCRIMINATORS = (("netG", "netD"),)
SAMPLE_RATE = 22050
FIRST = ("model.1.weight_v", "model.1.weight", "model.1.parametrizations.weight.original1")
"""The first convolution's direction, as old and folded files and those of today spell it."""


def recognizes(content: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """A bare state dict, with the shortcut of the first residual block."""
    return {"model.1", "model.4.shortcut"} <= layers(content)


def read(files: Opened, *, sample_rate: int = SAMPLE_RATE) -> Imported:
    """Read a generator, with its discriminator where that is beside it.

    Args:
        files: A generator, such as ``netG.pt``. The discriminator is the file beside it whose name has ``netD`` in
            place of ``netG``.
        sample_rate: In Hz; that of the authors' code when not given.

    Raises:
        InputError: as ``Importer``.
    """
    path, states = files.path, {"generator": files.content}
    if content := discriminators_beside(path, DISCRIMINATORS):
        states["discriminator"] = content
    bands, width, blocks = sizes(str(path), states["generator"])
    mel = {"name": "melgan", "n_mels": bands, "sample_rate": sample_rate}
    hparams = {"width": width, "blocks": blocks, "mel": mel}
    state = fitted(str(path), "the authors' MelGAN", "MelGAN", hparams, states, their_name)
    return Imported("MelGAN", hparams, tuple(states), state | {"mel_mean": zeros(bands), "mel_scale": ones(bands)})


def their_name(layer: str) -> str:
    """From ``generator.model.4.block.2`` or ``discriminator.discriminators.0.layers.1.0`` to the authors' name."""
    name = layer.partition(".")[2]
    return re.sub(r"discriminators\.(\d+)\.layers\.(\d+)", r"model.disc_\1.model.layer_\2", name)


def sizes(source: str, state: Mapping[str, Any]) -> tuple[int, int, int]:
    """Bands, width and residual blocks, from the shapes; the authors' ratios are always 8, 8, 2, 2.

    Args:
        source: What messages call the file.
        state: The generator's.

    Raises:
        InputError: if it is no generator.
    """
    first = next((state[name] for name in FIRST if name in state), None)
    if not isinstance(first, Tensor) or first.dim() != 3:
        raise InputError(
            f"{source} holds no generator of the authors' MelGAN: expected a bare state dict with model.1.weight_v and"
            f" so on, found {names(state)}; choose another checkpoint or --format"
        )
    channels, bands, _ = first.shape
    blocks = next(j for j in count() if f"model.{4 + j}.shortcut.bias" not in state)
    return bands, max(1, channels // 16), blocks


IMPORTER = Importer(
    "melgan_neurips",
    "the authors' MelGAN, descriptinc/melgan-neurips: netG.pt",
    ("netG.pt", "best_netG.pt"),
    recognizes,
    read,
    discriminators=DISCRIMINATORS,
)
