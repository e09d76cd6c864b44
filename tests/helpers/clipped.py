"""A module whose updates are as long as its gradients."""

from typing import Any

import torch
from torch import Tensor, nn

from lightning_gans.training.adversarial_module import AdversarialModule


class Clipped(AdversarialModule):
    """Two linear maps with SGD of rate 1: an update is as long as the gradient."""

    def __init__(self, clip: float | None = 0.25, fused: bool = False) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.generator, self.discriminator = nn.Linear(4, 16), nn.Linear(16, 1)
        self.moved: dict[str, list[float]] = {"g": [], "d": []}
        self.returned: dict[str, list[bool]] = {"g": [], "d": []}

    def prior(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(num, 4, generator=generator)

    def generate(self, batch: Any) -> Tensor:
        return self.generator(self.prior(len(batch.image)))

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        fake, real = self.generate(batch), batch.image.flatten(1)[:, :16]
        self.measured("d", optimizer_d, 3 * (self.discriminator(fake.detach()) - self.discriminator(real)).mean())
        self.measured("g", optimizer_g, -3 * self.discriminator(fake).mean())

    def measured(self, key: str, optimizer: Any, loss: Tensor) -> None:
        network = getattr(self, self.networks[key])
        before = nn.utils.parameters_to_vector(network.parameters()).detach().clone()
        with self.toggled_optimizer(optimizer):
            self.returned[key].append(self.update(optimizer, loss, self.hparams.clip))
        moved = nn.utils.parameters_to_vector(network.parameters()).detach() - before
        self.moved[key].append(moved.norm().item())

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [
            torch.optim.SGD(network.parameters(), 1.0, fused=self.hparams.fused)
            for network in (self.generator, self.discriminator)
        ]
