"""Generative Adversarial Nets, Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661.

The MNIST experiment. Not stated in the paper: taken from the authors' configuration
(https://github.com/goodfeli/adversarial, mnist.yaml): prior, widths, dropout, initialization, optimizer, schedules, and
the update of both networks at the same parameters, where the paper's algorithm 1 alternates with k = 1.

Departures from the paper:

- D's dropout masks on the fakes are drawn anew for G's gradient, where the authors' graph shares them.
- torch's SGD keeps the learning rate outside the velocity; equal for a constant rate, and the decay is slow.
"""

from __future__ import annotations

import math
from typing import Any, Literal, cast

import torch
from lightning import Trainer
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from lightning_gans.data.batches import ImageBatch
from lightning_gans.losses import adversarial_loss
from lightning_gans.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Share
from lightning_gans.training.adversarial_module import AdversarialModule


class Maxout(nn.Module):
    """The maximum over ``pieces`` affine maps per unit (Goodfellow et al. 2013, https://arxiv.org/abs/1302.4389)."""

    def __init__(self, in_features: int, units: int, pieces: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, units * pieces)
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).unflatten(1, (-1, self.pieces)).amax(2)


class Generator(nn.Module):
    """Latents (B, Z) to images (B, D) in [0, 1]: two rectified layers and a sigmoid."""

    def __init__(self, latent_dim: int, hidden: int, pixels: int) -> None:
        super().__init__()
        self.hidden1 = nn.Linear(latent_dim, hidden)
        self.hidden2 = nn.Linear(hidden, hidden)
        self.output = nn.Linear(hidden, pixels)
        uniform_weights(self, 0.05)

    def forward(self, z: Tensor) -> Tensor:
        return self.output(self.hidden2(self.hidden1(z).relu()).relu()).sigmoid()


class Discriminator(nn.Module):
    """Images (B, D) in [0, 1] to logits (B, 1): two maxout layers with dropout on every layer's input."""

    def __init__(self, pixels: int, units: int, pieces: int) -> None:
        super().__init__()
        self.hidden1 = Maxout(pixels, units, pieces)
        self.hidden2 = Maxout(units, units, pieces)
        self.output = nn.Linear(units, 1)
        uniform_weights(self, 0.005)

    def forward(self, x: Tensor) -> Tensor:
        h = self.hidden1(dropout(x, 0.2, self.training))
        h = self.hidden2(dropout(h, 0.5, self.training))
        return self.output(dropout(h, 0.5, self.training))


def uniform_weights(network: nn.Module, bound: float) -> None:
    """Weights from U(-bound, bound), biases zero."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.zeros_(layer.bias)


class GAN(AdversarialModule):
    """The fully connected GAN with a maxout discriminator.

    Args:
        image_shape: (C, H, W).
        latent_dim: Z, uniform on (-sqrt 3, sqrt 3), which has unit variance.
        hidden: Width of both hidden layers of G.
        units: Maxout units of both hidden layers of D.
        pieces: Affine maps per maxout unit.
        loss: ``non_saturating`` is what the authors trained with, ``minimax`` the paper's equation 1.
        lr: Learning rate of both networks at the start.
        lr_decay: The rate is divided by this at every update ...
        min_lr: ... down to this.
        momentum: Momentum up to epoch 1 ...
        final_momentum: ... rising linearly to this ...
        momentum_epochs: ... at this epoch.
    """

    def __init__(
        self,
        image_shape: tuple[PositiveInt, PositiveInt, PositiveInt] = (1, 28, 28),
        latent_dim: PositiveInt = 100,
        hidden: PositiveInt = 1200,
        units: PositiveInt = 240,
        pieces: PositiveInt = 5,
        loss: Literal["non_saturating", "minimax"] = "non_saturating",
        lr: PositiveFloat = 0.1,
        lr_decay: PositiveFloat = 1.000004,
        min_lr: NonNegativeFloat = 1e-6,
        momentum: Share = 0.5,
        final_momentum: Share = 0.7,
        momentum_epochs: NonNegativeInt = 250,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.generator = Generator(latent_dim, hidden, math.prod(image_shape))
        self.discriminator = Discriminator(math.prod(image_shape), units, pieces)
        self.loss = adversarial_loss(loss, ("non_saturating", "minimax"))

    def prior(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        z = self.drawn(torch.rand, num, self.hparams.latent_dim, generator=generator)
        return (2 * z - 1) * math.sqrt(3)

    def forward(self, z: Tensor) -> Tensor:
        """Latents (B, Z) to images (B, C, H, W) in [-1, 1]."""
        return 2 * self.generator(z).unflatten(1, self.hparams.image_shape) - 1

    def generate(self, batch: ImageBatch) -> Tensor:
        return self(self.prior(len(batch.image)))

    def training_step(self, batch: ImageBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        scheduler_g, scheduler_d = cast(list[LRScheduler], self.lr_schedulers())
        real = (batch.image.flatten(1) + 1) / 2
        fake = self.generator(self.prior(len(real)))

        with self.toggled_optimizer(optimizer_d):
            logits = self.discriminator(torch.cat([real, fake.detach()]))
            loss_d = 0.5 * self.loss.discriminator(*logits.chunk(2))
            self.compute_gradients(optimizer_d, loss_d)

        with self.toggled_optimizer(optimizer_g):
            loss_g = self.loss.generator(self.discriminator(fake))
            if self.update(optimizer_g, loss_g):
                scheduler_g.step()
        if self.apply_gradients(optimizer_d):
            scheduler_d.step()
        self.log_dict({"train/loss_d": loss_d, "train/loss_g": loss_g}, prog_bar=True)

    def configure_optimizers(self) -> tuple[list[torch.optim.Optimizer], list[LRScheduler]]:
        h = self.hparams
        optimizers = [sgd(network, h.lr, h.momentum) for network in (self.generator, self.discriminator)]
        return optimizers, [exponential_decay(optimizer, h.lr_decay, h.min_lr) for optimizer in optimizers]

    def on_train_start(self) -> None:
        bias_to_mean_image(self.generator.output.bias, self.trainer)

    def on_train_batch_start(self, batch: ImageBatch, batch_idx: int) -> None:
        """Set the momentum by the number of the epoch, whose start is passed over where a run goes on at it."""
        super().on_train_batch_start(batch, batch_idx)
        h = self.hparams
        for optimizer in self.trainer.optimizers:
            set_momentum(optimizer, self.current_epoch, h.momentum, h.final_momentum, h.momentum_epochs)


def sgd(network: nn.Module, lr: float, momentum: float) -> torch.optim.Optimizer:
    """Whose momentum begins at zero. Torch's fused one is uninitialised where fp16 overflows in the first step."""
    optimizer = torch.optim.SGD(network.parameters(), lr, momentum, fused=True)
    for parameter in network.parameters():
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def exponential_decay(optimizer: torch.optim.Optimizer, decay: float, min_lr: float) -> LRScheduler:
    """Divide the learning rate by ``decay`` at every update, down to ``min_lr``."""
    lr = optimizer.defaults["lr"]
    return LambdaLR(optimizer, lambda update: max(min_lr / lr, decay**-update))


def set_momentum(optimizer: torch.optim.Optimizer, epoch: int, start: float, final: float, epochs: int) -> None:
    """Let the momentum rise linearly from ``start`` in epoch 1 to ``final`` in epoch ``epochs``."""
    progress = 1.0 if epoch >= epochs else max(epoch - 1, 0) / max(epochs - 1, 1)
    optimizer.param_groups[0]["momentum"] = start + progress * (final - start)


@torch.no_grad()
def bias_to_mean_image(bias: Tensor, trainer: Trainer) -> None:
    """Start G's output bias at the logit of the mean training image, so that the first fakes have its brightness.

    Weights that were loaded have a bias already, and keep it.

    Args:
        bias: (D,), of G's last layer; set in place.
        trainer: Hands out the training images.
    """
    if bias.any():
        return
    loader: Any = trainer.train_dataloader
    # as training gets them, in [-1, 1], whatever the loader gives
    batches = (trainer.strategy.batch_to_device(batch) for batch in loader)
    mean = torch.stack([(batch.image.flatten(1).float().mean(0) + 1) / 2 for batch in batches]).mean(0)
    bias.copy_(trainer.strategy.reduce(mean, reduce_op="mean").clamp(1e-3, 1 - 1e-3).logit())
