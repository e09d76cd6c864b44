"""Checkpoints of PyTorch's DCGAN example (https://github.com/pytorch/examples/tree/main/dcgan) and of its descendants.

The networks of ``DCGAN(preset="torch")``: each is one run of layers, ``main``. Sizes follow from the shapes. The
example writes a bare state dict per network and epoch (``netG_epoch_24.pth``); descendants put both into one file.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import torch
from torch import Tensor

from lightning_gans.errors import InputError
from lightning_gans.importers.imported import Imported, Importer, Opened, module_shapes, require_fit
from lightning_gans.importers.torch_files import discriminators_beside, layers, names

DISCRIMINATORS = (("netG", "netD"),)
KEYS = {
    "generator": ("netG_state_dict", "netG", "generator_state_dict", "generator"),
    "discriminator": ("netD_state_dict", "netD", "discriminator_state_dict", "discriminator"),
}
"""Under which names files with both networks have them."""


def recognizes(content: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """The layers that both networks have: a convolution, its batch norm, and no names for either."""
    found = networks(content)
    return any({"main.0", "main.3"} <= layers(state) for state in found.values())


def networks(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """State dicts by our name of the network: of a file with both, or of a bare one."""
    if "main.0.weight" in (bare := plain(content)):  # D's first layer has no batch norm
        return {"generator" if "main.1.weight" in bare else "discriminator": bare}
    found = {name: next((content[key] for key in keys if key in content), None) for name, keys in KEYS.items()}
    return {name: plain(state) for name, state in found.items() if isinstance(state, Mapping)}


def plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """Without what ``DataParallel`` puts before each name."""
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def read(files: Opened) -> Imported:
    """Read a generator, with its discriminator where that is in the file or beside it.

    Args:
        files: Such as ``netG_epoch_24.pth``. The discriminator of such a file is the one beside it whose name has
            ``netD`` in place of ``netG``.

    Raises:
        InputError: as ``Importer``; for a discriminator without its generator.
    """
    path, content = files
    states = networks(content)
    if "generator" not in states:
        found = (
            "a discriminator without its generator" if states else f"no DCGAN of PyTorch's example: {names(content)}"
        )
        raise InputError(f"{path} holds {found}; give the file of netG, beside which netD is found")
    if "discriminator" not in states and (content := discriminators_beside(path, DISCRIMINATORS)):
        states |= {"discriminator": networks(content).get("discriminator", {})}
    hparams = sizes(str(path), states["generator"])
    shapes = module_shapes("DCGAN", hparams)
    theirs = {key: their_name(key) for key in shapes if key.partition(".")[0] in states}
    # of before torch 0.4.1, without batch norm's count of batches, which a fixed momentum does not use
    counts = {key for key in theirs if key.endswith(".num_batches_tracked")}
    for network, state in states.items():
        states[network] = {key: value for key, value in state.items() if not key.endswith(".num_batches_tracked")}
    expected: dict[str, dict[str, tuple[int, ...]]] = {network: {} for network in states}
    for key in theirs.keys() - counts:
        expected[key.partition(".")[0]][theirs[key]] = shapes[key]
    require_fit(str(path), "DCGAN of PyTorch's example", [(states[name], expected[name]) for name in states])
    state = {key: states[key.partition(".")[0]][theirs[key]].float() for key in theirs.keys() - counts}
    return Imported("DCGAN", hparams, tuple(states), state | {key: torch.tensor(0) for key in counts})


def their_name(key: str) -> str:
    """From ``generator.1.weight`` to ``main.0.weight``: our generator begins with the latents' shape."""
    network, index, leaf = key.split(".")
    return f"main.{int(index) - (network == 'generator')}.{leaf}"


def sizes(source: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """``DCGAN``'s arguments, from the shapes of the generator's convolutions, every third layer.

    Args:
        source: What messages call the file.
        state: The generator's.

    Raises:
        InputError: if they are not those of the example.
    """
    kernels: list[Tensor] = []
    for index in count(step=3):
        if not isinstance(kernel := state.get(f"main.{index}.weight"), Tensor) or kernel.dim() != 4:
            break
        kernels.append(kernel)
    wrong = [kernel for kernel in kernels if kernel.shape[2:] != (4, 4)]
    if len(kernels) < 3 or wrong:
        seen = ", ".join(str(tuple(kernel.shape)) for kernel in kernels)
        raise InputError(
            f"{source} is no generator of PyTorch's DCGAN example: expected three or more 4x4 convolutions, the first"
            f" to 4x4 pixels and each to twice as many, found {seen or 'none'}; choose another checkpoint"
        )
    return {
        "preset": "torch",
        "image_size": 4 * 2 ** (len(kernels) - 1),
        "channels": kernels[-1].shape[1],
        "latent_dim": kernels[0].shape[0],
        "width": kernels[-1].shape[0],
    }


IMPORTER = Importer(
    "dcgan",
    "DCGAN of PyTorch's examples: netG_epoch_*.pth",
    ("netG_epoch_*.pth", "netG*.pth"),
    recognizes,
    read,
    discriminators=DISCRIMINATORS,
)
