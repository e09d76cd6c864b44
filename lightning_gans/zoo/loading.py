"""Weights with what it takes to rebuild their model: one file, read without unpickling.

A released file is safetensors. Its header holds ``model`` (class name), ``hparams`` (JSON, defaults included, so that
a later change of a default cannot break it), ``version`` and ``networks``, the attributes whose tensors are inside.
Heavy imports stand in the functions, so that listing the zoo does not wait for torch.
"""

from __future__ import annotations

import inspect
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning_gans
from lightning_gans.errors import InputError, closest, one_line
from lightning_gans.zoo import moved, sources

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lightning_gans.training.adversarial_module import AdversarialModule


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


def fetch(name_or_path: str | Path) -> Weights:
    """Read a released model by name, or a ``.safetensors`` or ``.ckpt`` file of the user's.

    A file may also lie on the Hugging Face Hub (``hf://OWNER/REPO/FILE@REVISION``) or in a W&B artifact
    (``wandb://ENTITY/PROJECT/ARTIFACT:ALIAS``), where runs with ``--run.log_model end`` leave theirs.

    Raises:
        InputError: for an unknown name, a file that is not there, damaged, of a wrong hash, or not one of ours.
    """
    path = sources.fetch_address(str(name_or_path)) if "://" in str(name_or_path) else Path(name_or_path)
    if path.suffix not in (".safetensors", ".ckpt"):
        card = sources.card(str(name_or_path))
        path = sources.locate(card)
        data = path.read_bytes()
        sources.check(data, card, path)
        weights = _parse(data, str(path))
        if weights.model != card.model:
            raise InputError(
                f"{path} holds a {weights.model}; its card {card.name} says {card.model}; correct the card"
            )
        return weights
    if not path.is_file():
        raise InputError(f"there is no file {path}; give an existing one, or a name from: {', '.join(sources.names())}")
    return _parse(path.read_bytes(), str(path)) if path.suffix == ".safetensors" else _checkpoint(path)


def _parse(data: bytes, source: str) -> Weights:
    import safetensors
    import safetensors.torch

    try:
        state = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise InputError(
            f"{source} ({len(data)} bytes) is cut short or no safetensors file ({error}); get it again"
        ) from None
    header = _header(data).get("__metadata__", {})
    try:
        model, hparams = header["model"], _tuples(json.loads(header["hparams"]))
        networks, version = tuple(json.loads(header["networks"])), header["version"]
    except (KeyError, ValueError, TypeError):
        raise InputError(
            f"{source} was not written by lightning_gans: expected model, hparams, networks and version in its header,"
            f" found {', '.join(header) or 'nothing'}; make it with lightning-gans zoo export"
        ) from None
    state = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    return _of_today(source, model, hparams, networks, state, version)


def _of_today(
    source: str, model: str, hparams: dict[str, Any], networks: tuple[str, ...], state: dict[str, Tensor], version: str
) -> Weights:
    model, hparams = moved.translate(model, hparams, source)
    return Weights(source, model, hparams, networks, moved.tensors(model, state), version)


def _header(data: bytes) -> dict[str, Any]:
    """The JSON between the 8 bytes that give its length and the tensors."""
    return json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])


def _checkpoint(path: Path) -> Weights:
    """A training checkpoint of this package."""
    import pickle

    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{path} is cut short, or holds more than tensors and plain values, which is not unpickled ({reason})"
        ) from None
    absent = [
        key
        for key in ("model", "hyper_parameters", "state_dict")
        if not isinstance(content, dict) or key not in content
    ]
    if absent:
        raise InputError(f"{path} lacks {', '.join(absent)}; expected a checkpoint that lightning-gans fit has written")
    state = content["state_dict"]
    # The command line adds entries of its own, all with an underscore in front.
    hparams = _tuples({key: value for key, value in content["hyper_parameters"].items() if not key.startswith("_")})
    networks = tuple(dict.fromkeys(key.partition(".")[0] for key in state if "." in key))
    return _of_today(str(path), content["model"], hparams, networks, state, lightning_gans.__version__)


def build(weights: Weights) -> AdversarialModule:
    """Make the module that the weights are for, with them inside; the class comes from ``models.__all__`` only."""
    import torch

    from lightning_gans import models
    from lightning_gans.training.cpu_forms import use_cpu_forms
    from lightning_gans.training.memory_format import channels_last

    if weights.model not in models.__all__:
        raise InputError(f"{weights.source} holds a {weights.model}; {closest(weights.model, models.__all__)}")
    model_class = getattr(models, weights.model)
    accepted = inspect.signature(model_class).parameters
    unknown = [key for key in weights.hparams if key not in accepted]
    if unknown:
        raise InputError(
            f"{weights.source}, written by version {weights.version}, has the hyper-parameters {', '.join(unknown)},"
            f" which {weights.model} of version {lightning_gans.__version__} does not know; install that version"
        )
    # A model that is loaded in the middle of a seeded run must not change the run's noise.
    with torch.random.fork_rng(devices=[]):
        try:
            module = model_class(**weights.hparams)
        except InputError:
            raise
        except (TypeError, ValueError, RuntimeError) as error:
            reason = one_line(error)
            raise InputError(
                f"{weights.source}: {weights.model} cannot be built from its hyper-parameters ({reason})"
            ) from None
    put(weights, module)
    channels_last(module)
    use_cpu_forms(module)
    return module


def put(weights: Weights, module: AdversarialModule) -> list[str]:
    """Copy weights into a module, strictly for each network inside.

    Returns:
        The module's networks that are not inside; also set as ``module.untrained_networks``.

    Raises:
        InputError: if tensors are missing, left over or of another shape.
    """
    own = module.state_dict()
    inside = {key for key in own if _network(key) in (None, *weights.networks)}
    strange = [key for key in weights.state if key not in inside]
    problems = (
        [f"lacks {key}" for key in inside if key not in weights.state]
        + [f"has {key}, which the model does not have" for key in strange]
        + [
            f"has {key} of shape {tuple(value.shape)} where the model has {tuple(own[key].shape)}"
            for key, value in weights.state.items()
            if key in inside and value.shape != own[key].shape
        ]
    )
    if problems:
        raise InputError(
            f"{weights.source} does not fit this {type(module).__name__}: it {problems[0]}"
            + (f", and {len(problems) - 1} tensors more" if len(problems) > 1 else "")
            + _differing(weights, module)
        )
    module.load_state_dict(weights.state, strict=False)
    every = dict.fromkeys(filter(None, map(_network, own)))
    untrained = [network for network in every if network not in weights.networks]
    module.untrained_networks = tuple(untrained)
    return untrained


def _network(key: str) -> str | None:
    """The attribute a tensor belongs to; None for one that hangs on the module itself."""
    return key.partition(".")[0] if "." in key else None


def _differing(weights: Weights, module: AdversarialModule) -> str:
    """Hyper-parameters that may have caused it: a float never sets a shape."""
    present = _tuples(dict(module.hparams))
    pairs = [
        f"{key}={value!r} in the file, {present[key]!r} here"
        for key, value in weights.hparams.items()
        if key in present and value != present[key] and not isinstance(value, float)
    ]
    return f"; what differs: {'; '.join(pairs)}" if pairs else ""


def encoded(weights: Weights) -> bytes:
    """A released file's content; the same weights give the same bytes, and so the same hash."""
    import safetensors.torch

    try:
        hparams = json.dumps(weights.hparams, sort_keys=True)
    except TypeError as error:
        raise InputError(f"{weights.source}: the hyper-parameters are not plain values ({error})") from None
    metadata = {
        "model": weights.model,
        "hparams": hparams,
        "version": weights.version,
        "networks": json.dumps(weights.networks),
    }
    data = safetensors.torch.save({key: value.contiguous() for key, value in weights.state.items()})
    # safetensors writes the metadata in random order; its header is rewritten with the keys in ours.
    length = struct.unpack("<Q", data[:8])[0]
    header = json.dumps({"__metadata__": metadata} | _header(data)).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def halved(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and kernels in float16.

    Vectors stay: they are few, and a batch norm's variance can be too small for float16.
    """
    import torch

    return {
        key: value.to(torch.float16) if value.is_floating_point() and value.dim() > 1 else value
        for key, value in state.items()
    }


def load(name_or_path: str | Path, device: str | torch.device | None = None) -> AdversarialModule:
    """Load a model, ready for ``sample``.

    Args:
        name_or_path: A released model (``names()``), or a ``.safetensors`` or ``.ckpt`` file, or the address of one;
            see ``fetch``.
        device: Where to put it, such as ``cuda:1``; ``auto`` is cuda where there is one. The CPU when not given.

    Returns:
        The module in evaluation mode. ``untrained_networks`` names what the file did not hold, such as the
        discriminator, and which therefore has random weights.

    Raises:
        InputError: as ``fetch``, if the class, its hyper-parameters or its tensors do not fit, and for a device that is
            not there.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"--device {device} cannot be used here ({reason}); leave it out, or give cpu") from None
    module = build(fetch(name_or_path)).eval()
    return module if device is None else module.to(device)


def init_from(module: AdversarialModule, name_or_path: str | Path) -> list[str]:
    """Start a module from the weights of another run: ``fit --init_from`` and ``test --init_from``.

    Args:
        module: Built from a config; its weights are replaced in place.
        name_or_path: As for ``load``. A ``.ckpt`` brings every network.

    Returns:
        Networks that were not in the file and keep their fresh weights.

    Raises:
        InputError: if the file holds another class, or networks of other sizes; it lists what differs.
    """
    weights = fetch(name_or_path)
    name = type(module).__name__
    if weights.model != name:
        raise InputError(f"{weights.source} holds a {weights.model}, and the run has a {name}; choose another of them")
    return put(weights, module)


def _tuples(value: Any) -> Any:
    """JSON and YAML know only lists; hyper-parameters are scalars, strings and tuples."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
