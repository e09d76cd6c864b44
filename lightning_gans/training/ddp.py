"""Several processes: which of Lightning's strategies can train networks in turns, and one that does it with less."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from lightning.pytorch.overrides.distributed import prepare_for_backward
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy, Strategy, StrategyRegistry
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from lightning_gans.errors import InputError

NAME = "ddp_in_turns"
LOST = ("closed by peer", "reset by peer", "Broken pipe", "remote process exited")


class DDPInTurnsStrategy(DDPStrategy):
    """DDP whose backward passes communicate the gradients of the network in training, and those alone.

    Lightning wraps the whole module, which sends the gradients of all networks with every backward pass, zeros for
    those that are not in training. Here each of the module's ``networks`` has a reducer of its own.

    The command line takes it wherever Lightning would take ``ddp``; in Python it is
    ``Trainer(strategy="ddp_in_turns")``. Batch norm's statistics are each rank's own until a validation averages them.
    """

    def configure_ddp(self) -> None:
        module = self.lightning_module
        for tensor in module.buffers():
            torch.distributed.broadcast(tensor, 0)
        self.reducers = [self._setup_model(getattr(module, module.networks[key])) for key in module.networks]
        if self._ddp_comm_hook is not None:
            for network in self.reducers:
                network.register_comm_hook(self._ddp_comm_state, self._ddp_comm_hook)

    def pre_backward(self, closure_loss: Tensor) -> None:
        for network in self.reducers:
            if any(parameter.requires_grad for parameter in network.parameters()):  # the others are toggled off
                prepare_for_backward(network, closure_loss)

    @contextmanager
    def block_backward_sync(self) -> Iterator[None]:
        with ExitStack() as networks:
            for network in self.reducers:
                networks.enter_context(network.no_sync())
            yield

    def teardown(self) -> None:
        self.reducers: list[DistributedDataParallel] = []
        super().teardown()


def prepare(strategy: Strategy) -> None:
    """Let a strategy train networks in turns.

    Raises:
        InputError: if it cannot, with the reason and the way out.
    """
    if isinstance(strategy, DDPStrategy):
        if strategy._ddp_kwargs.pop("static_graph", False):
            raise InputError("static_graph=True cannot train networks in turns; use the strategy ddp without it")
        strategy._ddp_kwargs["find_unused_parameters"] = True
        # Lightning's does it in the first batch of a fit, and in no other: what each rank has restored would be lost.
        strategy._ddp_kwargs["broadcast_buffers"] = False
    elif not isinstance(strategy, SingleDeviceStrategy):
        raise InputError(
            f"strategy {type(strategy).__name__} is not supported: G and D are trained in turns inside one"
            " module, which sharded strategies cannot do; use --trainer.strategy ddp"
        )


def lost_connection(error: RuntimeError) -> str:
    """How the connection to another process was lost, as gloo and NCCL tell it; nothing for other errors."""
    lines = str(error).strip().splitlines()
    return next((line for line in lines if any(sign in line for sign in LOST)), "")


StrategyRegistry.register(NAME, DDPInTurnsStrategy, "DDP for networks that are trained in turns", override=True)
