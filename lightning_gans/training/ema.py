"""An exponential moving average of the generator's weights, for every paper."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lightning_gans.errors import InputError
from lightning_gans.training.resume import AVERAGED_STATISTICS, CURRENT_NETWORKS, of_rank, of_ranks, statistics


class AverageGenerator(Callback):
    """Evaluates, samples and releases an average of what a model releases; training does not see it.

    The average is updated after each generator update: average <- decay * average + (1 - decay) * weights, batch
    norm's statistics included. Validations, pictures and the ``state_dict`` of checkpoints are the average's, so that
    ``test``, ``--init_from`` and ``zoo export`` take it without knowing; a resumed run goes on with both. Among the
    callbacks it stands behind those that look at the generator, and before those that save.

    Args:
        decay: Above 0 and below 1; 0.999 remembers about 1,000 updates.

    Raises:
        InputError: for another decay.
    """

    keeps_current_networks = True

    def __init__(self, decay: float) -> None:
        if not 0 < decay < 1:
            raise InputError(f"ema is {decay}; expected a decay above 0 and below 1, such as 0.999")
        self.decay = decay
        self.average: dict[str, AveragedModel] = {}
        self.loaded: dict[str, Tensor] | None = None
        self.latest = self.count = 0

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        average = get_ema_multi_avg_fn(self.decay)
        self.average = {
            name: AveragedModel(getattr(module, name), multi_avg_fn=average, use_buffers=True)
            for name in module.released_networks
        }
        for name, network in self.average.items():
            if self.loaded is not None:
                network.module.load_state_dict(_of(name, self.loaded))
            network.n_averaged.fill_(self.count)
            network.requires_grad_(False)
        self.loaded = None

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        if trainer.global_step > self.latest:
            for name, network in self.average.items():
                network.update_parameters(getattr(module, name))
            self.latest, self.count = trainer.global_step, self.count + 1

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._exchange(module)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._exchange(module)

    def _exchange(self, module: LightningModule) -> None:
        """Put the average in the place of the weights, or the weights back; before the first update they are equal."""
        for name, network in self.average.items() if self.count else ():
            for one, other in zip(_tensors(getattr(module, name)), _tensors(network.module), strict=True):
                one.data, other.data = other.data, one.data

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["state_dict"]
        checkpoint[CURRENT_NETWORKS] = {key: state[key] for key in state if key.partition(".")[0] in self.average}
        for name, network in self.average.items() if self.count else ():
            state |= {f"{name}.{key}": value for key, value in network.module.state_dict().items()}
        if trainer.world_size > 1:
            averages = [(name, statistics(network.module)) for name, network in self.average.items()]
            seen = {f"{name}.{key}": value for name, found in averages for key, value in found.items()}
            checkpoint[AVERAGED_STATISTICS] = of_ranks(seen, trainer.strategy)

    def state_dict(self) -> dict[str, int]:
        return {"latest": self.latest, "count": self.count}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.latest, self.count = state_dict["latest"], state_dict["count"]

    def on_load_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn == "fit" and CURRENT_NETWORKS in checkpoint:
            state = checkpoint["state_dict"] | of_rank(checkpoint.get(AVERAGED_STATISTICS, {}), trainer)
            self.loaded = {key: state[key].clone() for key in checkpoint[CURRENT_NETWORKS]}
            module.load_state_dict(checkpoint["state_dict"] | checkpoint[CURRENT_NETWORKS])


def _of(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): value for key, value in state.items() if key.partition(".")[0] == name}


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
