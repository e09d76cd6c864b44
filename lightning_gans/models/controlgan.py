"""ControlGAN: Controllable Generative Adversarial Network, Lee & Seok 2017/2019, https://arxiv.org/abs/1708.00598.

Three networks: G, D, and an independent classifier C. C learns from real images only; G is to please D, which never
sees a label, and C, whose weight gamma is steered so that fakes become as classifiable as real images. (Not the
text-to-image paper "Controllable Text-to-Image Generation", whose model goes by the same name.)

``ControlGAN`` is the form of the first versions of the paper (v1 to v4): G of transposed 5x5 convolutions, D an
auto-encoder of convolutions and transposed convolutions, C of convolutions and one linear layer, the label concatenated
to z. ``LogitControlGAN``, in ``logit_controlgan.py``, is the form of the later ones, whose D judges with a number.

Not stated in the paper: widths, normalization, the latents' size and law, and the optimizers are ours; the
auto-encoding D's loss and its balance k are those of BEGAN (Berthelot et al. 2017, https://arxiv.org/abs/1703.10717);
the controller's constants are those of the authors' CIFAR-10 code (https://github.com/BrainJellyPie/ControlGAN).

Departures from the paper:

- C is trained on the images as they come; the journal version augments them.
- The static weight alpha of D's real and fake terms is 1/2 and left out: Adam does not see a common factor.
- gamma stays where it is while C is no better than chance on real images.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lightning_gans.data.batches import ImageBatch
from lightning_gans.errors import check_choice
from lightning_gans.models.dcgan import sizes, up5
from lightning_gans.ranges import NonNegativeFloat, NonNegativeInt, PositiveInt, Share
from lightning_gans.training.adversarial_module import AdversarialModule


def down(c_in: int, c_out: int) -> nn.Conv2d:
    """5x5 convolution of stride 2: half the side length, rounded up."""
    return nn.Conv2d(c_in, c_out, 5, 2, 2)


def stages(image_size: int, width: int) -> tuple[list[int], list[int]]:
    """Side lengths from the image down to 4, and the channels of the stages between them: width, 2 width, ..."""
    side = sizes(image_size)
    return side, [width * 2**i for i in range(len(side) - 1)]


class Generator(nn.Module):
    """Latents (B, Z) and label rows (B, K) to images (B, C, H, W) in [-1, 1].

    The label's way to the first layer's output is linear, so rows may hold any number.
    """

    def __init__(self, image_size: int, channels: int, inputs: int, width: int) -> None:
        super().__init__()
        side, c = (values[::-1] for values in stages(image_size, width))
        layers = [nn.Linear(inputs, c[0] * 16), nn.Unflatten(1, (c[0], 4, 4)), nn.BatchNorm2d(c[0]), nn.ReLU()]
        for i in range(len(c) - 1):
            layers += [up5(c[i], c[i + 1], side[i], side[i + 1]), nn.BatchNorm2d(c[i + 1]), nn.ReLU()]
        self.layers = nn.Sequential(*layers, up5(c[-1], channels, side[-2], side[-1]), nn.Tanh())

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        return self.layers(torch.cat([z, label], 1))


class Discriminator(nn.Sequential):
    """Images (B, C, H, W) in [-1, 1] to their reconstructions.

    Linear at its end, as in BEGAN: with a tanh, D stays at black on images that are mostly black, such as MNIST's.
    """

    def __init__(self, image_size: int, channels: int, width: int) -> None:
        side, c = stages(image_size, width)
        layers = [down(channels, c[0]), nn.ELU()]
        for i in range(len(c) - 1):
            layers += [down(c[i], c[i + 1]), nn.ELU()]
        for i in reversed(range(len(c) - 1)):
            layers += [up5(c[i + 1], c[i], side[i + 2], side[i + 1]), nn.ELU()]
        super().__init__(*layers, up5(c[0], channels, side[1], side[0]))


class Classifier(nn.Sequential):
    """Images (B, C, H, W) in [-1, 1] to logits (B, K)."""

    def __init__(self, image_size: int, channels: int, num_classes: int, width: int) -> None:
        c = [channels, *stages(image_size, width)[1]]
        layers: list[nn.Module] = []
        for i in range(len(c) - 1):
            layers += [down(c[i], c[i + 1]), nn.BatchNorm2d(c[i + 1]), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Flatten(), nn.Linear(c[-1] * 16, num_classes))


class Controlled(AdversarialModule):
    """What both forms share: G, C, and gamma, which weighs the classification loss of G."""

    networks: ClassVar[dict[str, str]] = {"g": "generator", "d": "discriminator", "c": "classifier"}
    linear_labels: ClassVar[bool] = True
    generator: Generator
    discriminator: nn.Module
    classifier: Classifier
    gamma: Tensor

    def prior(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        return self.drawn(torch.randn, num, self.hparams.latent_dim, generator=generator)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        """Latents (B, Z) and label rows (B, K) to images (B, C, H, W) in [-1, 1]."""
        return self.generator(z, label)

    def generate(self, batch: ImageBatch) -> Tensor:
        return self(self.prior(len(batch.image)), self.conditions(batch.label))

    def classification_loss(self, image: Tensor, label: Tensor) -> Tensor:
        """L_C: softmax or mean binary cross-entropy of the classifier."""
        entropy = cross_entropy if self.hparams.labels == "class" else binary_cross_entropy_with_logits
        return entropy(self.classifier(image), label)

    def frozen_classification_loss(self, image: Tensor, label: Tensor) -> Tensor:
        """L_C for G: the classifier in evaluation mode, since its statistics are those of real images."""
        self.classifier.eval()
        loss = self.classification_loss(image, label)
        self.classifier.train()
        return loss

    def control(self, loss_fake: Tensor, loss_real: Tensor) -> None:
        """Move gamma by r (L_C(fake) - E L_C(real)), clipped to [0, gamma_max]; the same on all ranks."""
        h = self.hparams
        loss_fake, loss_real = self.trainer.strategy.reduce(torch.stack([loss_fake, loss_real]), reduce_op="mean")
        chance = math.log(h.num_classes if h.labels == "class" else 2)
        error = torch.where(loss_real < chance, loss_fake - h.equilibrium * loss_real, 0)
        self.gamma.add_(h.gamma_rate * error).clamp_(0, h.gamma_max)

    def adam(self) -> list[torch.optim.Optimizer]:
        """One Adam for each network, with rates of their own."""
        h = self.hparams
        return [
            torch.optim.Adam(network.parameters(), lr, (h.beta1, 0.999), fused=True)
            for network, lr in ((self.generator, h.lr_g), (self.discriminator, h.lr_d), (self.classifier, h.lr_c))
        ]


class ControlGAN(Controlled):
    """The controllable GAN with an auto-encoding discriminator.

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
        diversity: gamma_B of BEGAN, the fakes' reconstruction error that is aimed at, relative to the real images'.
        balance_rate: lambda_k of BEGAN.
        patience: Epochs without a better convergence measure after which all learning rates are halved.
        lr_g: Adam's learning rate for G ...
        lr_d: ... for D ...
        lr_c: ... and for C.
        beta1: First moment's decay of all three.
    """

    balance: Tensor
    measure: Tensor

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
        diversity: NonNegativeFloat = 0.5,
        balance_rate: NonNegativeFloat = 0.001,
        patience: NonNegativeInt = 5,
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
        self.discriminator = Discriminator(image_size, channels, width)
        self.classifier = Classifier(image_size, channels, num_classes, width)
        self.register_buffer("gamma", torch.zeros(()))  # weight of the classification loss, gamma_t
        self.register_buffer("balance", torch.zeros(()))  # k_t of BEGAN
        self.register_buffer("measure", torch.zeros(2))  # sum and count of this epoch's convergence measure

    def training_step(self, batch: ImageBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d, optimizer_c = self.optimizers()
        real, label = batch.image, self.conditions(batch.label)
        fake = self.generate(batch)

        with self.toggled_optimizer(optimizer_d):
            error_real, error_fake = self.reconstruction_error(real), self.reconstruction_error(fake.detach())
            loss_d = error_real - self.balance * error_fake
            updated_d = self.update(optimizer_d, loss_d)

        with self.toggled_optimizer(optimizer_g):
            loss_g_adversarial = self.reconstruction_error(fake)
            loss_g_classes = self.frozen_classification_loss(fake, label)
            loss_g = loss_g_adversarial + self.gamma * loss_g_classes
            self.update(optimizer_g, loss_g)

        with self.toggled_optimizer(optimizer_c):
            loss_c = self.classification_loss(real, label)
            if self.update(optimizer_c, loss_c):
                self.control(loss_g_classes.detach(), loss_c.detach())

        if updated_d:
            self.keep_balance(error_real.detach(), loss_g_adversarial.detach())
        self.log_dict({"train/loss_d": loss_d, "train/loss_g": loss_g, "train/loss_c": loss_c}, prog_bar=True)
        self.log_dict({"train/loss_g_adversarial": loss_g_adversarial, "train/loss_g_classes": loss_g_classes})
        self.log("train/gamma", self.gamma.clone())

    def reconstruction_error(self, image: Tensor) -> Tensor:
        """L(v) = mean |v - D(v)|."""
        return (image - self.discriminator(image)).abs().mean()

    def keep_balance(self, error_real: Tensor, error_fake: Tensor) -> None:
        """Move k by lambda_k (gamma_B L(x) - L(g)), clipped to [0, 1], and note M = L(x) + |gamma_B L(x) - L(g)|."""
        h = self.hparams
        error_real, error_fake = self.trainer.strategy.reduce(torch.stack([error_real, error_fake]), reduce_op="mean")
        gap = h.diversity * error_real - error_fake
        self.balance.add_(h.balance_rate * gap).clamp_(0, 1)
        measure = error_real + gap.abs()
        self.measure.add_(torch.stack([measure, torch.ones_like(measure)]))
        self.log_dict({"train/convergence": measure, "train/balance": self.balance.clone()})

    def on_train_batch_start(self, batch: ImageBatch, batch_idx: int) -> None:
        """Show the schedulers the epoch before. A run resumed behind its last batch skips the hooks between them."""
        super().on_train_batch_start(batch, batch_idx)
        if batch_idx == 0 and self.current_epoch:
            for scheduler in cast(list[ReduceLROnPlateau], self.lr_schedulers()):
                scheduler.step(float(self.measure[0] / self.measure[1]))
            self.measure.zero_()

    def configure_optimizers(self) -> tuple[list[torch.optim.Optimizer], list[ReduceLROnPlateau]]:
        optimizers = self.adam()
        return optimizers, [ReduceLROnPlateau(o, factor=0.5, patience=self.hparams.patience) for o in optimizers]
