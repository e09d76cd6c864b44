"""Weight norm and spectral norm of PyTorch, of which it refuses to pickle the modules."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrizations


def weight_norm(module: nn.Module) -> Any:
    """PyTorch's weight norm of a layer's ``weight``, in place; pickled as it is."""
    return _picklable(parametrizations.weight_norm(module), weight_norm)


def spectral_norm(module: nn.Module) -> Any:
    """PyTorch's spectral norm of a layer's ``weight``, in place; pickled as it is."""
    return _picklable(parametrizations.spectral_norm(module), spectral_norm)


def _picklable(module: nn.Module, norm: Callable[[nn.Module], Any]) -> nn.Module:
    """PyTorch gives each parametrized module a class of its own, with a ``__getstate__`` that raises."""
    own_class: Any = type(module)
    own_class.__reduce_ex__ = lambda self, protocol: _reduce(self, norm)
    return module


def _reduce(module: nn.Module, norm: Callable[[nn.Module], Any]) -> tuple[Any, ...]:
    plain = type(module).__bases__[0]
    # The norm's own hook, which reads weights of older versions, is a function inside of another: the norm adds it.
    state = vars(module) | {"_load_state_dict_pre_hooks": OrderedDict()}
    return plain.__new__, (plain,), state, None, None, partial(_restore, norm)


def _restore(norm: Callable[[nn.Module], Any], module: nn.Module, state: dict[str, Any]) -> None:
    """Put the norm around the layer anew, and what was trained in its place."""
    modules = dict(state["_modules"])
    trained = modules.pop("parametrizations")
    *_, original = trained.weight.parameters()  # of the weight's shape
    weight = nn.Parameter(torch.zeros_like(original))
    vars(module).update(state, _modules=modules, _parameters={**state["_parameters"], "weight": weight})
    norm(module)
    module.parametrizations = trained
