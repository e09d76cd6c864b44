"""Several processes: which of Lightning's strategies can train networks in turns, and one that does it with less."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import torch
from lightning.pytorch.overrides.distributed import prepare_for_backward
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy, Strategy
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lightning_gans.errors import InputError
from lightning_gans.training.lightning_private import auto_is_ddp, ddp_options, in_ddp

NAME = "ddp_in_turns"
"""The name of ``DDPInTurnsStrategy`` on the command line; nothing is registered with Lightning under it."""
LOST = ("closed by peer", "reset by peer", "Broken pipe", "remote process exited")


class DDPInTurnsStrategy(DDPStrategy):
    """DDP whose backward passes communicate the gradients of the network in training, and those alone.

    Lightning wraps the whole module, which sends the gradients of all networks with every backward pass, zeros for
    those that are not in training. Here each of the module's ``networks`` has a reducer of its own.

    In Python it is ``Trainer(strategy=DDPInTurnsStrategy())``. The command line takes it for several processes where no
    strategy is named, or ``ddp``. Batch norm's statistics are each rank's own until a validation averages them.
    """

    reducers: tuple[DistributedDataParallel, ...] = ()

    def configure_ddp(self) -> None:
        module = cast(nn.Module, self.lightning_module)
        for tensor in module.buffers():
            torch.distributed.broadcast(tensor, 0)
        names = cast(dict[str, str], module.networks).values()
        self.reducers = tuple(in_ddp(self, getattr(module, name)) for name in names)

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
        self.reducers = ()
        super().teardown()


def chosen(strategy: Any, accelerator: Any, devices: Any, num_nodes: int) -> Any:
    """The Trainer's option ``strategy`` with ours in the place of Lightning's ``ddp``, named or chosen by itself."""
    if strategy in (NAME, "ddp") or (strategy == "auto" and auto_is_ddp(accelerator, devices, num_nodes)):
        return DDPInTurnsStrategy()
    return strategy


def prepare(strategy: Strategy) -> None:
    """Let a strategy train networks in turns.

    Raises:
        InputError: if it cannot, with the reason and the way out.
    """
    if isinstance(strategy, DDPStrategy):
        options = ddp_options(strategy)
        if options.pop("static_graph", False):
            raise InputError("static_graph=True cannot train networks in turns; use the strategy ddp without it")
        # broadcast_buffers: Lightning does it in the first batch of a fit only, and what each rank has restored is lost
        options |= {"find_unused_parameters": True, "broadcast_buffers": False}
    elif not isinstance(strategy, SingleDeviceStrategy):
        raise InputError(
            f"strategy {type(strategy).__name__} is not supported: G and D are trained in turns inside one"
            " module, which sharded strategies cannot do; use --trainer.strategy ddp"
        )


def lost_connection(error: RuntimeError) -> str:
    """How the connection to another process was lost, as gloo and NCCL tell it; nothing for other errors."""
    lines = str(error).strip().splitlines()
    return next((line for line in lines if any(sign in line for sign in LOST)), "")
