"""An exponential moving average of the generator's weights, for every paper."""

from __future__ import annotations

from typing import Any

from lightning import Callback, Trainer
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lightning_gans.ranges import OpenUnitInterval, Ranged
from lightning_gans.training.resume import AVERAGED_STATISTICS, CURRENT_NETWORKS, of_rank, of_ranks, statistics


class AverageGenerator(Ranged, Callback):
    """Evaluates, samples and releases an average of what a model releases; training does not see it.

    The average is updated after each generator update: average <- decay * average + (1 - decay) * weights, batch
    norm's statistics included. Validations, pictures and the ``state_dict`` of checkpoints are the average's, so that
    ``test``, ``--init_from`` and ``zoo export`` take it without knowing; a resumed run goes on with both. Among the
    callbacks it stands behind those that look at the generator, and before those that save.

    Args:
        decay: Above 0 and below 1; 0.999 remembers about 1,000 updates.
    """

    keeps_current_networks = True

    def __init__(self, decay: OpenUnitInterval) -> None:
        self.decay = decay
        self.average: AveragedModel | None = None
        self.loaded: dict[str, Tensor] = {}
        self.latest = self.count = 0
        self.in_use = False

    def setup(self, trainer: Trainer, module: Any, stage: str) -> None:
        if stage == "fit":  # begins anew, unless a checkpoint is loaded after this
            self.average, self.loaded = None, {}
            self.latest, self.count = trainer.global_step, 0

    def on_fit_start(self, trainer: Trainer, module: Any) -> None:
        update = get_ema_multi_avg_fn(self.decay)
        self.average = AveragedModel(released(module), multi_avg_fn=update, use_buffers=True).requires_grad_(False)
        self.average.n_averaged.fill_(self.count)
        self.average.module.load_state_dict(self.loaded or self.average.module.state_dict())
        self.loaded = {}

    def on_train_batch_end(self, trainer: Trainer, module: Any, *_: Any) -> None:
        if self.average is not None and trainer.global_step > self.latest:
            self.average.update_parameters(released(module))
            self.latest, self.count = trainer.global_step, self.count + 1

    def on_validation_start(self, trainer: Trainer, module: Any) -> None:
        self._use(True, module)

    def on_validation_end(self, trainer: Trainer, module: Any) -> None:
        self._use(False, module)

    def on_exception(self, trainer: Trainer, module: Any, exception: BaseException) -> None:
        self._use(False, module)

    def _use(self, average: bool, module: Any) -> None:
        """Put the average in the place of the weights, or the weights back; before the first update they are equal."""
        if self.average is not None and self.count and average != self.in_use:
            for one, other in zip(_tensors(released(module)), _tensors(self.average.module), strict=True):
                one.data, other.data = other.data, one.data
            self.in_use = average

    def on_save_checkpoint(self, trainer: Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        if self.average is None:
            return
        networks: list[nn.Module] = [released(module), self.average.module]
        current, average = networks[:: -1 if self.in_use else 1]
        checkpoint[CURRENT_NETWORKS] = current.state_dict()
        if self.count:
            checkpoint["state_dict"] |= average.state_dict()
        if trainer.world_size > 1:
            checkpoint[AVERAGED_STATISTICS] = of_ranks(statistics(average), trainer.strategy)

    def state_dict(self) -> dict[str, int]:
        return {"latest": self.latest, "count": self.count}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.latest, self.count = state_dict["latest"], state_dict["count"]

    def on_load_checkpoint(self, trainer: Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn != "fit":
            self.average = None  # the file's weights are the average
        elif CURRENT_NETWORKS in checkpoint:
            state = checkpoint["state_dict"] | of_rank(checkpoint.get(AVERAGED_STATISTICS, {}), trainer)
            self.loaded = {key: state[key].clone() for key in checkpoint[CURRENT_NETWORKS]}
            module.load_state_dict(checkpoint["state_dict"] | checkpoint[CURRENT_NETWORKS])


def released(module: Any) -> nn.ModuleDict:
    """The networks that a zoo file holds, under their names."""
    return nn.ModuleDict({name: getattr(module, name) for name in module.released_networks})


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
