"""Gradients of a network from batch to batch: accumulated, clipped, used, saved."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from lightning import Callback, Trainer
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.amp import GradScaler

from lightning_gans.errors import InputError
from lightning_gans.ranges import PositiveFloat, PositiveInt, Ranged
from lightning_gans.training.lightning_private import step_uncounted

if TYPE_CHECKING:
    from lightning_gans.training.adversarial_module import AdversarialModule

NORM_WINDOW = 8
"""Batches up to a line of the log in which gradient norms are taken: not every batch updates every network."""

Number = TypeVar("Number", int, float)


class GradientAccumulation:
    """The gradients of one network, from the first batch of an update to the update.

    Args:
        key: The network's, in ``networks`` of the module that trains it.

    Attributes:
        batches: That make an update.
        clip_norm: Largest gradient norm in place of the paper's, if any.
        pending: Batches whose gradients wait for the others.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.batches, self.pending = 1, 0
        self.clip_norm: float | None = None
        self._limit: float | None = None
        self._scale: Tensor | None = None  # what fp16 has multiplied the pending gradients with
        self._loaded: dict[str, Tensor] = {}

    def network(self, module: AdversarialModule) -> nn.Module:
        """In training."""
        return getattr(module, module.networks[self.key])

    def begin(self) -> None:
        """Before a fit, to which Lightning comes without gradients."""
        self.pending = self.pending if self._loaded else 0

    def backward(self, module: AdversarialModule, optimizer: LightningOptimizer, loss: Tensor) -> None:
        """Add a batch's gradients, of which those of an update's last batch bring the sum to all processes."""
        if self.pending:
            self._rescale(module)
        else:
            optimizer.zero_grad()
        self.pending += 1
        strategy = module.trainer.strategy
        alone = getattr(strategy, "block_backward_sync", None) if self.pending < self.batches else None
        with alone() if alone else nullcontext():
            module.manual_backward(loss / self.batches)
        self._scale = scale_of(module.trainer)

    def step(self, module: AdversarialModule, optimizer: LightningOptimizer, clip_norm: float | None) -> bool:
        """Update the network, if all batches are there; ``clip_norm`` is the paper's. Whether its weights moved."""
        if not self.pending:
            raise RuntimeError(f"no compute_gradients before apply_gradients, for the network {self.key}")
        if self.pending < self.batches:
            return False
        self._rescale(module)
        self.pending, self._limit = 0, clip_norm if self.clip_norm is None else self.clip_norm
        scaler = scaler_of(module.trainer)
        before = scaler.get_scale() if scaler else 0.0  # waits for the device, as an update of fp16 does
        step_uncounted(optimizer, module.trainer.profiler)
        return scaler is None or scaler.get_scale() >= before  # which is lowered where gradients overflowed

    def clip(self, module: AdversarialModule, optimizer: torch.optim.Optimizer) -> None:
        """Clip and log the norm; between fp16's unscaling and the update."""
        trainer = module.trainer
        window = NORM_WINDOW * max(one.batches for one in module.accumulation.values())
        if self._limit is None and not module.log_is_due(window):
            return
        scaler = scaler_of(trainer)
        if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            scaler.unscale_(optimizer)  # Lightning leaves this to fused optimizers, for which the norm would be scaled
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])
        if self._limit is not None:
            torch.nn.utils.clip_grads_with_norm_(parameters, self._limit, norm)
        module.log(f"train/grad_norm_{self.key}", norm)

    def _rescale(self, module: AdversarialModule) -> None:
        """Bring gradients to the present scale of fp16, which updates of the other networks may have changed."""
        scale = scale_of(module.trainer)
        if scale is not None and self._scale is not None:
            torch._foreach_mul_([*self._gradients(module).values()], scale / self._scale)
            self._scale = scale

    def _gradients(self, module: AdversarialModule) -> dict[str, Tensor]:
        return {name: p.grad for name, p in self.network(module).named_parameters() if p.grad is not None}

    def state(self, module: AdversarialModule) -> dict[str, Any]:
        """What waits for further batches, as the mean of all ranks; called on each. Empty where nothing does."""
        if not self.pending:
            return {}
        self._rescale(module)
        mean = partial(module.trainer.strategy.reduce, reduce_op="mean")
        gradients = {name: mean(gradient.clone()) for name, gradient in self._gradients(module).items()}
        return {"batches": self.pending, "gradients": gradients}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take what ``state`` gave, unless fewer batches are accumulated now."""
        if state["batches"] < self.batches:
            self.pending, self._loaded = state["batches"], state["gradients"]

    def take_up(self, module: AdversarialModule) -> None:
        """Put loaded gradients in place; in the first batch, as Lightning empties them before."""
        for name, gradient in self._loaded.items():
            parameter = self.network(module).get_parameter(name)
            parameter.grad = gradient.to(parameter)
        self._loaded = {}


def scaler_of(trainer: Trainer) -> GradScaler | None:
    """What scales the losses of fp16; None in other precisions."""
    return getattr(trainer.precision_plugin, "scaler", None)


def scale_of(trainer: Trainer) -> Tensor | None:
    """What fp16 multiplies losses with, on the device; None in other precisions."""
    scaler = scaler_of(trainer)
    return None if scaler is None else scaler.scale(torch.ones((), device=trainer.strategy.root_device))


class AccumulateGradients(Ranged, Callback):
    """Updates a network with the mean gradient of several batches, as if of one large batch.

    Each network counts its own, so that with ``n_critic`` the ratio of updates stays. A network that is updated after
    another in a step meets the other's update in the last of its batches only: this, and batch norm, whose statistics
    are each batch's own, is all that tells it from a batch so large. ControlGAN's controllers move once in an update,
    by the losses of its last batch. The end of an epoch changes nothing; what is left at the end of training is lost.

    Args:
        batches: For all networks, or for some: ``{"g": 2, "d": 4}``.

    Raises:
        InputError: for a network that a paper does not have.
    """

    def __init__(self, batches: PositiveInt | dict[str, PositiveInt]) -> None:
        self.batches = batches

    def setup(self, trainer: Trainer, module: Any, stage: str) -> None:
        for key, batches in of_networks(module, "accumulate", self.batches).items():
            module.accumulation[key].batches = batches

    def teardown(self, trainer: Trainer, module: Any, stage: str) -> None:
        for accumulation in module.accumulation.values():
            accumulation.batches = 1


class ClipGradients(Ranged, Callback):
    """Scales the gradients of a network down to a total norm, where it is above; in place of what its paper does.

    Args:
        norm: For all networks, or for some: ``{"g": 10.0, "d": 1.0}``.

    Raises:
        InputError: for a network that a paper does not have.
    """

    def __init__(self, norm: PositiveFloat | dict[str, PositiveFloat]) -> None:
        self.norm = norm

    def setup(self, trainer: Trainer, module: Any, stage: str) -> None:
        for key, norm in of_networks(module, "clip_norm", self.norm).items():
            module.accumulation[key].clip_norm = norm

    def teardown(self, trainer: Trainer, module: Any, stage: str) -> None:
        for accumulation in module.accumulation.values():
            accumulation.clip_norm = None


def of_networks(module: AdversarialModule, option: str, value: Number | dict[str, Number]) -> dict[str, Number]:
    """The value of each key that it is for."""
    values = value if isinstance(value, dict) else dict.fromkeys(module.networks, value)
    if wrong := [key for key in values if key not in module.networks]:
        known = ", ".join(f"{key} ({network})" for key, network in module.networks.items())
        raise InputError(f"{option} names {', '.join(wrong)}; {type(module).__name__} has {known}")
    return values
