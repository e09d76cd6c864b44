"""WGAN-GP: Improved Training of Wasserstein GANs, Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028.

The networks are those of the authors' code (https://github.com/igul222/improved_wgan_training) for small images:
``gan_cifar.py``, DCGAN's shape with biases and with no batch norm in the critic, of whose examples each has a penalty
of its own. The defaults are that file's for CIFAR-10, the training is the paper's algorithm 1 with its constants.

Not stated in the paper: taken from the authors' code: widths, kernels, latents, initialization.

Departures from the paper:

- The code trains these networks with a first moment's decay of 0.5, where algorithm 1 has 0.
- Convolutions are padded alike on both sides, where TensorFlow pads one side more.
- In evaluation, batch norm in G uses running statistics: a sample does not depend on the others drawn with it.
- Other sizes than 32 leave out (or add) the stages nearest to the latents. Their code for MNIST has no batch norm.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_gans.data.batches import ImageBatch
from lightning_gans.losses import gradient_penalty
from lightning_gans.losses.adversarial import wasserstein_d, wasserstein_g
from lightning_gans.models.dcgan import sizes, up5
from lightning_gans.ranges import NonNegativeFloat, PositiveInt, Share
from lightning_gans.training.adversarial_module import AdversarialModule


class Generator(nn.Sequential):
    """Latents (B, Z) to images (B, C, H, W) in [-1, 1]."""

    def __init__(self, image_size: int, channels: int, latent_dim: int, width: int) -> None:
        side = sizes(image_size)[::-1]
        c = [width * 2**i for i in reversed(range(len(side) - 1))]
        layers: list[nn.Module] = [nn.Linear(latent_dim, c[0] * 16), nn.BatchNorm1d(c[0] * 16), nn.ReLU()]
        layers += [nn.Unflatten(1, (c[0], 4, 4))]
        for i in range(len(c) - 1):
            layers += [up5(c[i], c[i + 1], side[i], side[i + 1]), nn.BatchNorm2d(c[i + 1]), nn.ReLU()]
        super().__init__(*layers, up5(c[-1], channels, side[-2], side[-1]), nn.Tanh())


class Discriminator(nn.Sequential):
    """The critic: images (B, C, H, W) to numbers (B, 1)."""

    def __init__(self, image_size: int, channels: int, width: int) -> None:
        c = [channels, *(width * 2**i for i in range(len(sizes(image_size)) - 1))]
        layers: list[nn.Module] = []
        for i in range(len(c) - 1):
            layers += [nn.Conv2d(c[i], c[i + 1], 5, 2, 2), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Flatten(), nn.Linear(c[-1] * 16, 1))


def initialize(network: nn.Module) -> None:
    """Uniform weights: of convolutions with the variance 4 / (fan_in + fan_out), of linear layers half of it.

    The side of a convolution that has fewer pixels counts with a quarter of its taps. Biases are zero.
    """
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            taps = layer.kernel_size[0] ** 2
            few, many = layer.in_channels, layer.out_channels
            if isinstance(layer, nn.Conv2d):
                few, many = many, few
            bound = (3 * 4 / (taps * (few / 4 + many))) ** 0.5
            nn.init.uniform_(layer.weight, -bound, bound)
        elif isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


class WGANGP(AdversarialModule):
    """The Wasserstein GAN with the gradient penalty.

    A batch is a critic update; every ``n_critic`` batches a generator update follows.

    Args:
        image_size: H = W; 28, 32, 64, 128.
        channels: C.
        latent_dim: Z, standard normal.
        width: Channels at half the image's size, of both networks.
        n_critic: Critic updates per generator update.
        penalty_weight: lambda.
        lr: Learning rate of both networks' Adam.
        betas: Its decays of the first and the second moment.

    Raises:
        InputError: for a size that does not halve down to 4.
    """

    def __init__(
        self,
        image_size: PositiveInt = 32,
        channels: PositiveInt = 3,
        latent_dim: PositiveInt = 128,
        width: PositiveInt = 128,
        n_critic: PositiveInt = 5,
        penalty_weight: NonNegativeFloat = 10.0,
        lr: NonNegativeFloat = 1e-4,
        betas: tuple[Share, Share] = (0.0, 0.9),
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.generator = Generator(image_size, channels, latent_dim, width)
        self.discriminator = Discriminator(image_size, channels, width)
        initialize(self)

    def prior(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        return self.drawn(torch.randn, num, self.hparams.latent_dim, generator=generator)

    def forward(self, z: Tensor) -> Tensor:
        """Latents (B, Z) to images (B, C, H, W) in [-1, 1]."""
        return self.generator(z)

    def generate(self, batch: ImageBatch) -> Tensor:
        return self(self.prior(len(batch.image)))

    @property
    def twice_differentiated(self) -> tuple[str, ...]:
        return ("discriminator",)

    def training_step(self, batch: ImageBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()

        with torch.no_grad():
            fake = self.generate(batch)
        with self.toggled_optimizer(optimizer_d):
            loss_d = wasserstein_d(self.discriminator(batch.image), self.discriminator(fake))
            penalty = gradient_penalty(self.discriminator, batch.image, fake)
            self.update(optimizer_d, loss_d + self.hparams.penalty_weight * penalty)
        losses = {"train/loss_d": loss_d, "train/penalty": penalty}

        if (self.batches_seen + 1) % self.hparams.n_critic == 0:
            with self.toggled_optimizer(optimizer_g):
                loss_g = wasserstein_g(self.discriminator(self.generate(batch)))
                self.update(optimizer_g, loss_g)
            losses["train/loss_g"] = loss_g
        self.log_dict(losses, prog_bar=True)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        h = self.hparams
        return [
            torch.optim.Adam(network.parameters(), h.lr, h.betas, fused=True)
            for network in (self.generator, self.discriminator)
        ]
