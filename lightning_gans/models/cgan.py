"""Conditional Generative Adversarial Nets, Mirza & Osindero 2014, https://arxiv.org/abs/1411.1784.

The MNIST experiment (section 4.1).

Not stated in the paper: taken from the GAN that it extends (``gan.py``): initialization, dropout of 0.2 on D's image,
the length of the momentum's rise, the simultaneous update with k = 1, the output bias. Both networks get the labels of
the real batch. "Mapped to a second, combined hidden layer of dimensionality 1200" is read literally, as an affine layer
on the concatenation of the 200 and 1000 units.

Departures from the paper:

- G's dropout stays on when sampling, as it carries most of the noise: without it a trained G makes one image per class.
  Its masks are drawn with z, and are part of the latents, so that latents decide the image.
"""

from __future__ import annotations

import math
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.optim.lr_scheduler import LRScheduler

from lightning_gans.data.batches import ImageBatch
from lightning_gans.losses import adversarial_loss
from lightning_gans.models.gan import Maxout, bias_to_mean_image, exponential_decay, set_momentum, sgd, uniform_weights
from lightning_gans.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Share
from lightning_gans.training.adversarial_module import AdversarialModule


class Generator(nn.Module):
    """Latents (B, Z + 2400), of which the last are dropout masks, and label rows (B, K) to images (B, D) in [0, 1]."""

    hidden = (1200, 1200)

    def __init__(self, latent_dim: int, num_classes: int, pixels: int) -> None:
        super().__init__()
        self.latent = nn.Linear(latent_dim, 200)
        self.label = nn.Linear(num_classes, 1000)
        self.combined = nn.Linear(200 + 1000, 1200)
        self.output = nn.Linear(1200, pixels)
        uniform_weights(self, 0.05)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        z, mask1, mask2 = z.split([self.latent.in_features, *self.hidden], 1)
        h = torch.cat([self.latent(z), self.label(label)], 1).relu() * mask1
        h = self.combined(h).relu() * mask2
        return self.output(h).sigmoid()


class Discriminator(nn.Module):
    """Images (B, D) in [0, 1] and label rows (B, K) to logits (B, 1)."""

    def __init__(self, pixels: int, num_classes: int) -> None:
        super().__init__()
        self.image = Maxout(pixels, units=240, pieces=5)
        self.label = Maxout(num_classes, units=50, pieces=5)
        self.joint = Maxout(240 + 50, units=240, pieces=4)
        self.output = nn.Linear(240, 1)
        uniform_weights(self, 0.005)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        h = torch.cat([self.image(dropout(x, 0.2, self.training)), self.label(label)], 1)
        h = self.joint(dropout(h, 0.5, self.training))
        return self.output(dropout(h, 0.5, self.training))


class CGAN(AdversarialModule):
    """The fully connected GAN with the label as a second input of both networks.

    Args:
        image_shape: (C, H, W).
        num_classes: K.
        latent_dim: Z, uniform in the unit hypercube.
        generator_dropout: Share of G's hidden units that are dropped, while sampling too.
        loss: ``non_saturating`` as the GAN was trained with, or ``minimax``, the equation of both papers.
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
        num_classes: PositiveInt = 10,
        latent_dim: PositiveInt = 100,
        generator_dropout: Share = 0.5,
        loss: Literal["non_saturating", "minimax"] = "non_saturating",
        lr: PositiveFloat = 0.1,
        lr_decay: PositiveFloat = 1.00004,
        min_lr: NonNegativeFloat = 1e-6,
        momentum: Share = 0.5,
        final_momentum: Share = 0.7,
        momentum_epochs: NonNegativeInt = 250,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.num_classes = num_classes
        self.generator = Generator(latent_dim, num_classes, math.prod(image_shape))
        self.discriminator = Discriminator(math.prod(image_shape), num_classes)
        self.loss = adversarial_loss(loss, ("non_saturating", "minimax"))

    def prior(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        z = self.drawn(torch.rand, num, self.hparams.latent_dim, generator=generator)
        keep = 1 - self.hparams.generator_dropout
        masks = self.drawn(torch.rand, num, sum(self.generator.hidden), generator=generator) < keep
        return torch.cat([z, masks.to(z) / keep], 1)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        """Latents (B, Z + 2400) of ``prior`` and label rows (B, K) to images (B, C, H, W) in [-1, 1]."""
        return 2 * self.generator(z, label).unflatten(1, self.hparams.image_shape) - 1

    def generate(self, batch: ImageBatch) -> Tensor:
        return self(self.prior(len(batch.image)), self.conditions(batch.label))

    def training_step(self, batch: ImageBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        scheduler_g, scheduler_d = cast(list[LRScheduler], self.lr_schedulers())
        label = self.conditions(batch.label)
        real = (batch.image.flatten(1) + 1) / 2
        fake = self.generator(self.prior(len(real)), label)

        with self.toggled_optimizer(optimizer_d):
            logits = self.discriminator(torch.cat([real, fake.detach()]), torch.cat([label, label]))
            loss_d = 0.5 * self.loss.discriminator(*logits.chunk(2))
            self.compute_gradients(optimizer_d, loss_d)

        with self.toggled_optimizer(optimizer_g):
            loss_g = self.loss.generator(self.discriminator(fake, label))
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
