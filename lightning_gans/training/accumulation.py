"""Accumulating and clipping gradients, for each network of every paper."""

from __future__ import annotations

from typing import TypeVar

from lightning import Callback, LightningModule, Trainer

from lightning_gans.errors import InputError

Number = TypeVar("Number", int, float)


class AccumulateGradients(Callback):
    """Updates a network with the mean gradient of several batches, as if of one large batch.

    Each network counts its own, so that with ``n_critic`` the ratio of updates stays. A network that is updated after
    another in a step meets the other's update in the last of its batches only: this, and batch norm, whose statistics
    are each batch's own, is all that tells it from a batch so large. ControlGAN's controllers move once in an update,
    by the losses of its last batch. The end of an epoch changes nothing; what is left at the end of training is lost.

    Args:
        batches: For all networks, or for some: ``{"g": 2, "d": 4}``.

    Raises:
        InputError: below 1, or for a network that a paper does not have.
    """

    def __init__(self, batches: int | dict[str, int]) -> None:
        self.batches = batches

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        for key, batches in of_networks(module, "accumulate", self.batches).items():
            if batches < 1:
                raise InputError(f"accumulate is {batches}; expected at least 1 batch")
            module.updates[key].batches = batches


class ClipGradients(Callback):
    """Scales the gradients of a network down to a total norm, where it is above; in place of what its paper does.

    Args:
        norm: For all networks, or for some: ``{"g": 10.0, "d": 1.0}``.

    Raises:
        InputError: for 0 and below, or for a network that a paper does not have.
    """

    def __init__(self, norm: float | dict[str, float]) -> None:
        self.norm = norm

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        for key, norm in of_networks(module, "clip_norm", self.norm).items():
            if not norm > 0:
                raise InputError(f"clip_norm is {norm}; expected a norm above 0, such as 10")
            module.updates[key].clip_norm = norm


def of_networks(module: LightningModule, option: str, value: Number | dict[str, Number]) -> dict[str, Number]:
    """The value of each key that it is for."""
    if not isinstance(value, dict):
        return dict.fromkeys(module.networks, value)
    if wrong := [key for key in value if key not in module.networks]:
        known = ", ".join(f"{key} ({module.networks[key]})" for key in module.networks)
        raise InputError(f"{option} names {', '.join(wrong)}; {type(module).__name__} has {known}")
    return value
