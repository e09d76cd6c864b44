"""Weights of the classifiers that metrics look through, files in the package, held to their hash; what made them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from lightning_gans.errors import InputError
from lightning_gans.files import content, reading
from lightning_gans.files.writing import write_whole

LARGEST = 2**28
"""Bytes of a classifier's weights; those here have less than a megabyte."""
Network = TypeVar("Network", bound=nn.Module)


def load_stored(network: Network, path: Path, sha256: str | None) -> Network:
    """Fill a network from a file, and return it in evaluation mode and without gradients.

    Args:
        network: Of the class that was stored.
        path: Weights file.
        sha256: What the file's hash must be; None takes any file.

    Raises:
        InputError: where the file is missing or its hash is another one.
    """
    from safetensors.torch import load

    data = content(path, LARGEST, "install the package again")
    digest = hashlib.sha256(data).hexdigest()
    if sha256 is not None and digest != sha256:
        raise InputError(
            f"{path} has the SHA-256 {digest[:12]}..., expected {sha256[:12]}...; it is damaged or was trained anew:"
            " install the package again"
        )
    with reading(path, "weights of this classifier", "install the package again"):
        network.load_state_dict({name: tensor.float() for name, tensor in load(data).items()})
    return network.eval().requires_grad_(False)


def store(network: nn.Module, path: Path) -> str:
    """Write the weights as float16; returns the file's SHA-256."""
    from safetensors.torch import save

    data = save({name: tensor.half().contiguous() for name, tensor in network.state_dict().items()})
    write_whole(path, data)
    return hashlib.sha256(data).hexdigest()


def command(function: Callable[..., Any], arguments: list[str] | None = None) -> int:
    """Call a function with options of the command line; returns the exit status."""
    from jsonargparse import auto_cli

    try:
        auto_cli(function, args=arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
