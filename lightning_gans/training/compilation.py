"""``torch.compile`` of the networks, for every paper."""

from __future__ import annotations

from types import MethodType
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.compiler import set_stance


class CompileNetworks(Callback):
    """Compiles each network in place, so that checkpoints keep their keys and load with or without it.

    What changes its sizes stays uncompiled: validations, tests and samples. So does a discriminator whose loss has a
    gradient penalty, as compiled code has no second derivative.

    Args:
        backend: Of ``torch.compile``.
    """

    def __init__(self, backend: str = "inductor") -> None:
        self.backend = backend

    def on_fit_start(self, trainer: Trainer, module: Any) -> None:
        for name in module.networks.values():
            if name in module.twice_differentiated:
                rank_zero_info(f"{name} is not compiled: its gradient penalty needs a second derivative")
            else:
                network = getattr(module, name)
                if type(network).forward is nn.Sequential.forward:  # which torch.compile would pass over in silence
                    network.forward = MethodType(_in_turn, network)
                network.compile(backend=self.backend)

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        set_stance("force_eager")

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        set_stance("default")

    def on_test_start(self, trainer: Trainer, module: LightningModule) -> None:
        set_stance("force_eager")

    def on_test_end(self, trainer: Trainer, module: LightningModule) -> None:
        set_stance("default")

    def on_fit_end(self, trainer: Trainer, module: Any) -> None:
        for name in module.networks.values():
            getattr(module, name)._compiled_call_impl = None

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        set_stance("default")


def _in_turn(network: nn.Sequential, x: Tensor) -> Tensor:
    return nn.Sequential.forward(network, x)
