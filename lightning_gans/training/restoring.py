"""A checkpoint as it comes in: its parts have their types, and what Lightning raises at them is one error.

A file that ``torch.load`` reads may hold anything: parts that are None, lists, of another run. Its parts are compared
with what this package and Lightning write, the counts of the loops with those of this run's, the optimizers' values
with their parameters; whatever Lightning raises in between becomes one line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor
from torch.optim import Optimizer

from lightning_gans.files import reading
from lightning_gans.files.records import like, typed

WAY_OUT = "go on from another checkpoint, or start anew from its weights with --init_from"


@dataclass(frozen=True)
class Identity:
    """What a model is rebuilt from.

    Args:
        model: Class name.
        hyper_parameters: Arguments of the class.
        state_dict: Its tensors.
    """

    model: str
    hyper_parameters: dict[str, Any]
    state_dict: dict[str, Tensor]


PARTS: dict[str, Any] = {
    "pytorch-lightning_version": str,
    "epoch": int,
    "global_step": int,
    "state_dict": dict[str, Tensor],
    "loops": dict[str, dict[str, Any]],
    "callbacks": dict[str, dict[str, Any]],
    "optimizer_states": list[dict[str, Any]],
    "lr_schedulers": list[dict[str, Any]],
    "hyper_parameters": dict[str, Any],
    "datamodule_hyper_parameters": dict[str, Any],
    "model": str,
    "noise_seed": int,
    "samples_seen": int,
    "current_networks": dict[str, Tensor],
    "accumulated_gradients": dict[str, dict[str, Any]],
    "statistics_of_ranks": dict[str, Tensor],
    "averaged_statistics_of_ranks": dict[str, Tensor],
}
"""Of a checkpoint, where it has them."""
SCORE = Tensor | float
OF_CALLBACKS: dict[str, Any] = {
    "best_k_models": dict[str, SCORE],
    "best_model_path": str,
    "best_model_score": SCORE | None,
    "current_score": SCORE | None,
    "dirpath": str | None,
    "kth_best_model_path": str,
    "kth_value": SCORE,
    "last_model_path": str,
}
"""What a ModelCheckpoint keeps: it would stop at another type when it saves the next file."""


@contextmanager
def restoring(trainer: Trainer) -> Iterator[None]:
    """Turn what is raised while a trainer takes up a checkpoint into one error.

    Raises:
        Damaged: with the checkpoint's path and the reason.
    """
    try:
        with reading(str(trainer.ckpt_path), "a checkpoint that this run can go on from", WAY_OUT):
            try:
                yield
            except torch.OutOfMemoryError as error:  # of the device, which is said elsewhere
                raise _Passed from error
    except _Passed as passed:
        raise passed.__cause__ or passed from None


class _Passed(Exception):
    """Carries an error through ``reading``."""


def require_parts(checkpoint: Mapping[str, Any]) -> None:
    """Compare the types of a checkpoint's parts with ``PARTS``, and those of what its callbacks keep.

    Raises:
        ValueError: for the first of another type, and for a count below 0.
    """
    for name, kind in PARTS.items():
        if name in checkpoint:
            typed(kind, checkpoint[name], name)
    for callback, state in checkpoint.get("callbacks", {}).items():
        for name in OF_CALLBACKS.keys() & state.keys():
            typed(OF_CALLBACKS[name], state[name], f"callbacks.{callback.partition('{')[0]}.{name}")
    for name in ("epoch", "global_step", "noise_seed", "samples_seen"):
        if not 0 <= checkpoint.get(name, 0) < 2**63:
            raise ValueError(f"{name} is {checkpoint[name]}; expected a count")


def require_loops(checkpoint: Mapping[str, Any], trainer: Trainer) -> None:
    """Compare the counts of a fit with those that a fit of this trainer would save.

    Raises:
        ValueError: for one that is no count.
    """
    like(checkpoint["loops"]["fit_loop"], trainer.fit_loop.state_dict(), "loops.fit_loop")


def require_steps(optimizers: list[Optimizer]) -> None:
    """Compare what restored optimizers know of each parameter with its shape, and their options with usual ones.

    Raises:
        ValueError: for what would stop the first step.
    """
    for number, optimizer in enumerate(optimizers):
        where = f"optimizer_states[{number}]"
        for group in optimizer.param_groups:
            usual = {key: float(value) if type(value) is int else value for key, value in optimizer.defaults.items()}
            if lacking := [
                key for key, value in usual.items() if key not in group and isinstance(value, float | tuple)
            ]:
                raise ValueError(f"{where} lacks {lacking[0]}")
            like(group, usual, where)
        states = [(p, optimizer.state.get(p, {})) for group in optimizer.param_groups for p in group["params"]]
        known = [set(state) for _, state in states if state]
        for parameter, state in states:
            if state and set(state) != known[0]:
                raise ValueError(f"{where} has {sorted(state)} of one parameter, and {sorted(known[0])} of another")
            for key, value in state.items():
                fits = isinstance(value, Tensor) and (value.numel() == 1 or value.shape == parameter.shape)
                if not fits and not (key == "step" and isinstance(value, int | float)):  # as torch once had it
                    raise ValueError(f"{where}: {key} of a parameter of shape {tuple(parameter.shape)} does not fit")
