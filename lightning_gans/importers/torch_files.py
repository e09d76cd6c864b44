"""State dicts of weight-normalized networks in files of ``torch.save``, read without unpickling objects."""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from lightning_gans.errors import InputError, one_line
from lightning_gans.files import Damaged, reading, regular, there
from lightning_gans.files.archives import require_bounded
from lightning_gans.importers.imported import Renaming, discriminators_file, module_shapes, require_fit

OWN = re.compile(r"(.+)\.parametrizations\.weight\.original([01])")
"""How torch spells a weight's norms (0) and directions (1) today."""
LEAVES = ("weight_g", "weight_v")
"""How it did when most checkpoints were written."""
SPECTRAL = {"orig": "original", "u": "0._u", "v": "0._v"}
"""From how it spelled a spectral norm's tensors then, behind ``weight_``, to how it does today."""


def load(path: Path, mapped: bool = True) -> dict[str, Any]:
    """What ``torch.save`` has written, if it is a mapping of tensors and plain values.

    Args:
        path: The file; or one of safetensors.
        mapped: Leave the values in the file until they are used; it must not change meanwhile.

    Raises:
        InputError: for a file that is missing or cut short, or holds anything else.
    """
    regular(path)
    with reading(path, "a file of weights"):
        archive = path.name.endswith((".tar.gz", ".tgz", ".zip")) or tarfile.is_tarfile(path)
        zipped = not archive and zipfile.is_zipfile(path)  # files of before torch 1.6 are not
        parts = zipfile.ZipFile(path).infolist() if zipped else []
    if archive:
        raise InputError(f"{path} is an archive; unpack it, and give the file of weights that is in it")
    require_bounded(path, parts)
    if path.suffix == ".safetensors":
        with reading(path, "a safetensors file"):
            return safetensors.torch.load_file(path)
    try:
        with reading(path, "a file of weights"):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped and zipped)
    except Damaged as error:
        reason = one_line(error.__cause__ or error).partition(". ")[0]
        raise Damaged(
            path,
            f"cut short, or it holds more than tensors and plain values, which is not unpickled ({reason})",
            "get it again, or, if you trust it, save its state dicts alone with the code that made it",
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}; expected a mapping of names to tensors")
    return content


def layers(state: Any) -> set[str]:
    """Names of the layers of a state dict, in whatever way its weight norms are spelled; none if it is none."""
    keys = map(str, state) if isinstance(state, Mapping) else ()
    return {spelled(key).rpartition(".")[0] for key in keys}


def names(content: Mapping[Any, Any]) -> str:
    """The first keys, for a message that says what was found."""
    return ", ".join(map(str, list(content)[:4])) or "nothing"


def fitted(
    source: str,
    project: str,
    model: str,
    hparams: dict[str, Any],
    states: Mapping[str, Mapping[Any, Any]],
    theirs: Callable[[str], str],
) -> dict[str, Tensor]:
    """State dicts under the names of a module, whether their weight norm was folded or not.

    Args:
        source: What messages call the file.
        project: What messages call the networks.
        model: Class name.
        hparams: Arguments of the class.
        states: Another project's state dicts by our name of the network.
        theirs: From the name of a layer of ours, such as ``generator.model.1``, to theirs, within the network.

    Returns:
        In float32.

    Raises:
        InputError: if the class cannot be built, and as ``require_fit``.
    """
    try:
        shapes = module_shapes(model, hparams)
    except (InputError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{source}: {model} cannot be built from it: {one_line(error)}") from None
    if odd := [network for network, state in states.items() if not isinstance(state, Mapping)]:
        raise InputError(f"{source}: its {odd[0]} is a {type(states[odd[0]]).__name__}; expected tensors by name")
    given = {network: {spelled(str(key)): value for key, value in state.items()} for network, state in states.items()}
    # some networks have layers without weight norm beside those that have it
    folded = {network: not any(key.endswith(".weight_v") for key in state) for network, state in given.items()}
    name_of: dict[str, str] = {}
    # norm and direction of a folded weight have one name, and of their shapes the direction's, which is last, is kept
    expected: dict[str, dict[str, tuple[int, ...]]] = {network: {} for network in states}
    for key, shape in shapes.items():
        network = key.partition(".")[0]
        if network in states:
            layer, leaf = spelled(key).rsplit(".", 1)
            name_of[key] = f"{theirs(layer)}.{'weight' if folded[network] and leaf in LEAVES else leaf}"
            expected[network][name_of[key]] = shape
    require_fit(source, project, ((given[network], expected[network]) for network in states))
    result = {}
    for key, name in name_of.items():
        value = given[key.partition(".")[0]][name].float()
        if name.endswith(".weight") and OWN.fullmatch(key):
            norm = torch.norm_except_dim(value, 2, 0)
            # a row of zeros has no direction: any will do, at a norm of zero
            value = norm if key.endswith("0") else torch.where(norm > 0, value, 1.0)
        result[key] = value
    return result


def discriminators_beside(generator: Path, renaming: Renaming, parts: Iterable[str] = ()) -> dict[str, Any]:
    """What the file of discriminators beside a generator's holds; nothing where there is no such file.

    Args:
        generator: The file.
        renaming: See ``Importer``.
        parts: State dicts that it must hold.

    Raises:
        InputError: for a file that lacks one of them, or cannot be read.
    """
    other = discriminators_file(generator.name, renaming)
    if other is None or not there(beside := generator.with_name(other)):
        return {}
    content = load(beside)
    if absent := [name for name in parts if not isinstance(content.get(name), Mapping)]:
        raise InputError(
            f"{beside} lacks {', '.join(absent)}; get it again, or take it away to read the generator alone"
        )
    return content


def spelled(key: str) -> str:
    """A name with the norm and the direction of a weight as ``weight_g`` and ``weight_v``."""
    match = OWN.fullmatch(key)
    return f"{match[1]}.{LEAVES[int(match[2])]}" if match else key


def with_spectral_norms(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with spectral norms under today's names; ``weight_v`` is one's vector, or a weight norm's matrix."""
    spectral = {key.removesuffix(".weight_orig") for key in state if key.endswith(".weight_orig")}
    result = {}
    for key, value in state.items():
        layer, _, leaf = key.rpartition(".")
        if layer in spectral and leaf.startswith("weight_"):
            key = f"{layer}.parametrizations.weight.{SPECTRAL.get(leaf.removeprefix('weight_'), leaf)}"
        result[key] = value
    return result
