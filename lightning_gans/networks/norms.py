"""Weight norm and spectral norm of PyTorch, of which it refuses to pickle the modules."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import register_parametrization


def weight_norm(module: nn.Module) -> Any:
    """PyTorch's weight norm of a layer's ``weight``, in place; pickled as it is."""
    parametrizations.weight_norm(module)
    # A function inside of PyTorch's, which is not pickled; it translates older checkpoints, as our importers do.
    module._load_state_dict_pre_hooks.clear()
    return _picklable(module)


def spectral_norm(module: nn.Module) -> Any:
    """PyTorch's spectral norm of a layer's ``weight``, in place; pickled as it is."""
    return _picklable(parametrizations.spectral_norm(module))


def _picklable(module: nn.Module) -> Any:
    """PyTorch gives each parametrized module a class of its own, with a ``__getstate__`` that raises."""
    type(module).__reduce_ex__ = _reduce  # type: ignore[assignment, method-assign]
    return module


def _reduce(module: nn.Module, protocol: Any) -> tuple[Any, ...]:
    plain = type(module).__bases__[0]
    return plain.__new__, (plain,), {**vars(module)}, None, None, _restore


def _restore(module: nn.Module, state: dict[str, Any]) -> None:
    """Parametrize anew, and put what was trained in its place."""
    modules = dict(state["_modules"])
    trained = modules.pop("parametrizations")
    vars(module).update(state, _modules=modules, _parameters=dict(state["_parameters"]))
    for name in trained:
        module.register_parameter(name, nn.Parameter(torch.empty(0)))
        register_parametrization(module, name, nn.Identity())
    module.parametrizations = trained
    _picklable(module)
