"""Models from weights, and the other way round: by name, from files, from addresses."""

from __future__ import annotations

import inspect
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning_gans
from lightning_gans.errors import InputError, closest, one_line
from lightning_gans.files.records import shown, tuples
from lightning_gans.zoo import sources
from lightning_gans.zoo.weights import SUFFIXES, NotOurs, Weights, not_finite, read, read_foreign

if TYPE_CHECKING:
    import torch

    from lightning_gans.training.adversarial_module import AdversarialModule


def fetch(name_or_path: str | Path, discriminators: bool = False) -> Weights:
    """Read a released model by name, a ``.safetensors`` or ``.ckpt`` file of the user's, or what is at an address.

    Addresses are ``hf://OWNER/REPO`` on the Hugging Face Hub, with ``/FILE`` where it holds several models and
    ``@REVISION`` where its newest is not wanted, and ``wandb://ENTITY/PROJECT/ARTIFACT:ALIAS`` for a W&B artifact,
    where runs with ``--run.log_model end`` leave theirs. On the Hub, other projects' checkpoints do as well.

    Args:
        name_or_path: One of these.
        discriminators: Fetch those that lie in a file of their own, too.

    Raises:
        InputError: for an unknown name, a file that is not there, damaged, of a wrong hash, or not one of ours.
    """
    if not name_or_path or not isinstance(name_or_path, str | Path):
        raise InputError(f"a model was given as {shown(name_or_path)}; expected a name, a path, or an address")
    given, path = str(name_or_path), Path(name_or_path)
    if "://" in given:
        return _ours_or_foreign(sources.fetch_address(given, discriminators))
    if path.suffix in SUFFIXES or (os.path.exists(path) and given not in sources.card_files()):
        return read(path)
    card = sources.card(given)
    path = sources.locate(card)
    sources.check(path, card)
    weights = _ours_or_foreign(path)
    if weights.model != card.model:
        raise InputError(f"{path} holds a {weights.model}; its card {card.name} says {card.model}; correct the card")
    return weights


def _ours_or_foreign(path: Path) -> Weights:
    try:
        return read(path)
    except NotOurs:
        return read_foreign(path)


def build(weights: Weights) -> AdversarialModule:
    """Make the module that the weights are for, with them inside; no class is imported because a file names it."""
    import torch

    from lightning_gans.training.cpu_forms import use_cpu_forms
    from lightning_gans.training.memory_format import channels_last

    model_class = _class_of(weights)
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


def _class_of(weights: Weights) -> Any:
    """One of this package, or one that the user has made of these and imported."""
    from lightning_gans import models
    from lightning_gans.training.adversarial_module import AdversarialModule

    known = _subclasses(AdversarialModule) | {name: getattr(models, name) for name in models.__all__}
    if weights.model not in known:
        raise InputError(
            f"{weights.source} holds a {weights.model}; {closest(weights.model, models.__all__)}; a class of your own"
            " has to be imported before"
        )
    return known[weights.model]


def _paper_of(model_class: type) -> str | None:
    """The class of this package that one is, or was made of."""
    from lightning_gans import models

    return next((ancestor.__name__ for ancestor in model_class.__mro__ if ancestor.__name__ in models.__all__), None)


def _subclasses(model_class: type) -> dict[str, type]:
    """By name, at any depth."""
    found: dict[str, type] = {}
    made_of_it: type
    for made_of_it in model_class.__subclasses__():
        found |= _subclasses(made_of_it) | {made_of_it.__name__: made_of_it}
    return found


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
    if wrong := not_finite(weights.state):
        warnings.warn(f"{weights.source}: {wrong[0]} is not finite, of {len(wrong)} such tensors", stacklevel=2)
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
    present = tuples(dict(module.hparams))
    pairs = [
        f"{key}={shown(value)} in the file, {present[key]!r} here"
        for key, value in weights.hparams.items()
        if key in present and value != present[key] and not isinstance(value, float)
    ]
    return f"; what differs: {'; '.join(pairs)}" if pairs else ""


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
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
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
        InputError: if the file holds another class than the module's, or the one that this was made of, or networks of
            other sizes; it lists what differs.
    """
    weights = fetch(name_or_path, discriminators=True)
    name = type(module).__name__
    if weights.model not in (name, _paper_of(type(module))):
        raise InputError(f"{weights.source} holds a {weights.model}, and the run has a {name}; choose another of them")
    return put(weights, module)
