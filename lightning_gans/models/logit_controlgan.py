"""LogitControlGAN: Controllable Generative Adversarial Network, Lee & Seok 2019, https://arxiv.org/abs/1708.00598.

The form of the later versions (IEEE Access 2019, https://doi.org/10.1109/ACCESS.2019.2899108): D judges with a number,
and not by how well it reconstructs an image. G, the classifier C and the controller of gamma are those of
``controlgan.py``, whose head says more.

Departures from the paper, beside those of ``controlgan.py``:

- D and its loss are DCGAN's, where the authors' code for CIFAR-10 has residual networks and the Wasserstein loss with a
  gradient penalty and a consistency term. ``loss="wasserstein"`` with ``penalty_weight=10`` is that without the last.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import nn

from lightning_gans.data.batches import ImageBatch
from lightning_gans.errors import check_choice
from lightning_gans.losses import adversarial_loss, gradient_penalty
from lightning_gans.models.controlgan import Classifier, Controlled, Generator, stages
from lightning_gans.models.dcgan import initialize
from lightning_gans.ranges import NonNegativeFloat, PositiveInt, Share

LossName = Literal["non_saturating", "hinge", "least_squares", "wasserstein"]


class Discriminator(nn.Sequential):
    """Images (B, C, H, W) to logits (B, 1): DCGAN's with half its width; without batch norm for a gradient penalty."""

    def __init__(self, image_size: int, channels: int, width: int, norm: bool) -> None:
        c = stages(image_size, width)[1]
        layers: list[nn.Module] = [nn.Conv2d(channels, c[0], 5, 2, 2, bias=False), nn.LeakyReLU(0.2)]
        for i in range(len(c) - 1):
            layers += [nn.Conv2d(c[i], c[i + 1], 5, 2, 2, bias=not norm)]
            layers += [nn.BatchNorm2d(c[i + 1], eps=1e-8)] if norm else []
            layers += [nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Flatten(), nn.Linear(c[-1] * 16, 1, bias=False))
        initialize(self)


class LogitControlGAN(Controlled):
    """The controllable GAN with a discriminator that returns logits.

    Args:
        image_size: H = W; 28, 32, 64, 128.
        channels: C.
        num_classes: K.
        labels: ``class`` for one class per image (softmax cross-entropy), ``attributes`` for K independent ones
            (mean binary cross-entropy).
        latent_dim: Z, standard normal.
        width: Channels at half the image's size, of all three networks.
        equilibrium: E, the classification loss on fakes that is aimed at, relative to that on real images.
        gamma_rate: r, by which the controller moves gamma.
        gamma_max: Upper end of gamma, whose lower end is 0.
        loss: Adversarial loss.
        penalty_weight: lambda of the gradient penalty, with which D goes without batch norm; 0 leaves it out.
        lr_g: Adam's learning rate for G ...
        lr_d: ... for D ...
        lr_c: ... and for C.
        beta1: First moment's decay of all three.
    """

    def __init__(
        self,
        image_size: PositiveInt = 64,
        channels: PositiveInt = 3,
        num_classes: PositiveInt = 40,
        labels: Literal["class", "attributes"] = "attributes",
        latent_dim: PositiveInt = 128,
        width: PositiveInt = 64,
        equilibrium: NonNegativeFloat = 1.0,
        gamma_rate: NonNegativeFloat = 0.001,
        gamma_max: NonNegativeFloat = 2.0,
        loss: LossName = "non_saturating",
        penalty_weight: NonNegativeFloat = 0.0,
        lr_g: NonNegativeFloat = 1e-4,
        lr_d: NonNegativeFloat = 1e-4,
        lr_c: NonNegativeFloat = 1e-4,
        beta1: Share = 0.5,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        check_choice("labels", labels, ("class", "attributes"))
        self.num_classes = num_classes
        self.generator = Generator(image_size, channels, latent_dim + num_classes, width)
        self.discriminator = Discriminator(image_size, channels, width, norm=penalty_weight == 0)
        self.classifier = Classifier(image_size, channels, num_classes, width)
        self.register_buffer("gamma", torch.zeros(()))  # weight of the classification loss, gamma_t
        self.loss = adversarial_loss(loss, get_args(LossName))

    @property
    def twice_differentiated(self) -> tuple[str, ...]:
        return ("discriminator",) if self.hparams.penalty_weight else ()

    def training_step(self, batch: ImageBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d, optimizer_c = self.optimizers()
        real, label = batch.image, self.conditions(batch.label)
        fake = self.generate(batch)

        with self.toggled_optimizer(optimizer_d):
            loss_d = self.loss.discriminator(self.discriminator(real), self.discriminator(fake.detach()))
            if self.hparams.penalty_weight:
                loss_d = loss_d + self.hparams.penalty_weight * gradient_penalty(self.discriminator, real, fake)
            self.update(optimizer_d, loss_d)

        with self.toggled_optimizer(optimizer_g):
            loss_g_adversarial = self.loss.generator(self.discriminator(fake))
            loss_g_classes = self.frozen_classification_loss(fake, label)
            loss_g = loss_g_adversarial + self.gamma * loss_g_classes
            self.update(optimizer_g, loss_g)

        with self.toggled_optimizer(optimizer_c):
            loss_c = self.classification_loss(real, label)
            if self.update(optimizer_c, loss_c):
                self.control(loss_g_classes.detach(), loss_c.detach())

        self.log_dict({"train/loss_d": loss_d, "train/loss_g": loss_g, "train/loss_c": loss_c}, prog_bar=True)
        self.log_dict({"train/loss_g_adversarial": loss_g_adversarial, "train/loss_g_classes": loss_g_classes})
        self.log("train/gamma", self.gamma.clone())

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return self.adam()
