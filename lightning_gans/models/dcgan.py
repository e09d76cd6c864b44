"""DCGAN, Radford, Metz & Chintala 2016, https://arxiv.org/abs/1511.06434.

Two presets. ``paper`` is the network and training of the paper as the authors' code for faces has them
(https://github.com/Newmu/dcgan_code). ``torch`` is what most people call DCGAN: the Torch port that PyTorch's example
follows (https://github.com/soumith/dcgan.torch), half as wide, with 4x4 kernels, normal latents and no weight decay.

Not stated in the paper: taken from the authors' code: the weight decay of 1e-5, G and D trained in turns on different
batches, batch norm with eps 1e-8, no biases.

Departures from the paper:

- In evaluation, batch norm uses running statistics, where the authors' code always uses those of the batch: a sample
  does not depend on the others drawn with it.
- Other sizes than 64 leave out (or add) the stages nearest to the latents.
- ``loss`` offers two others than the paper's. The Wasserstein loss with its penalty is ``WGANGP``.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from lightning_gans.data.batches import ImageBatch
from lightning_gans.errors import InputError, check_choice
from lightning_gans.losses import adversarial_loss
from lightning_gans.ranges import NonNegativeFloat, PositiveInt, Share
from lightning_gans.training.adversarial_module import AdversarialModule

LossName = Literal["non_saturating", "hinge", "least_squares"]


def sizes(image_size: int) -> list[int]:
    """Side lengths from the image down to 4, each half of the one before, rounded up: 28, 14, 7, 4.

    Raises:
        InputError: for a size that does not come down to 4.
    """
    side = [image_size]
    while side[-1] > 4:
        side.append((side[-1] + 1) // 2)
    if side[-1] != 4 or len(side) < 3:
        raise InputError(
            f"image_size {image_size} does not halve down to 4 (it gives {', '.join(map(str, side))});"
            " use 28, 32, 64 or 128, for example"
        )
    return side


def up5(c_in: int, c_out: int, side_in: int, side_out: int, bias: bool = True) -> nn.ConvTranspose2d:
    """Fractionally strided 5x5 convolution from one side length to the other."""
    return nn.ConvTranspose2d(c_in, c_out, 5, 2, 2, output_padding=side_out - (2 * side_in - 1), bias=bias)


class PaperGenerator(nn.Sequential):
    """Latents (B, Z) to images (B, C, H, W) in [-1, 1]: project to 4x4, then 5x5 kernels."""

    def __init__(self, image_size: int, channels: int, latent_dim: int, width: int) -> None:
        side = sizes(image_size)[::-1]
        c = [width * 2**i for i in reversed(range(len(side) - 1))]
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, c[0] * 16, bias=False),
            nn.BatchNorm1d(c[0] * 16, eps=1e-8),
            nn.ReLU(),
        ]
        layers += [nn.Unflatten(1, (c[0], 4, 4))]
        for i in range(len(c) - 1):
            layers += [
                up5(c[i], c[i + 1], side[i], side[i + 1], bias=False),
                nn.BatchNorm2d(c[i + 1], eps=1e-8),
                nn.ReLU(),
            ]
        super().__init__(*layers, up5(c[-1], channels, side[-2], side[-1], bias=False), nn.Tanh())


class PaperDiscriminator(nn.Sequential):
    """Images (B, C, H, W) to logits (B, 1): 5x5 kernels down to 4x4, then a linear unit."""

    def __init__(self, image_size: int, channels: int, width: int) -> None:
        c = [width * 2**i for i in range(len(sizes(image_size)) - 1)]
        layers: list[nn.Module] = [nn.Conv2d(channels, c[0], 5, 2, 2, bias=False), nn.LeakyReLU(0.2)]
        for i in range(len(c) - 1):
            down = nn.Conv2d(c[i], c[i + 1], 5, 2, 2, bias=False)
            layers += [down, nn.BatchNorm2d(c[i + 1], eps=1e-8), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Flatten(), nn.Linear(c[-1] * 16, 1, bias=False))


class TorchGenerator(nn.Sequential):
    """Latents (B, Z) to images (B, C, H, W) in [-1, 1]: 4x4 kernels from 1x1 on."""

    def __init__(self, image_size: int, channels: int, latent_dim: int, width: int) -> None:
        c = [width * 2**i for i in reversed(range(len(sizes(image_size)) - 1))]
        layers: list[nn.Module] = [
            nn.Unflatten(1, (latent_dim, 1, 1)),
            nn.ConvTranspose2d(latent_dim, c[0], 4, bias=False),
        ]
        layers += [nn.BatchNorm2d(c[0]), nn.ReLU()]
        for i in range(len(c) - 1):
            up = nn.ConvTranspose2d(c[i], c[i + 1], 4, 2, 1, bias=False)
            layers += [up, nn.BatchNorm2d(c[i + 1]), nn.ReLU()]
        super().__init__(*layers, nn.ConvTranspose2d(c[-1], channels, 4, 2, 1, bias=False), nn.Tanh())


class TorchDiscriminator(nn.Sequential):
    """Images (B, C, H, W) to logits (B, 1): 4x4 kernels down to 1x1."""

    def __init__(self, image_size: int, channels: int, width: int) -> None:
        c = [width * 2**i for i in range(len(sizes(image_size)) - 1)]
        layers: list[nn.Module] = [nn.Conv2d(channels, c[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for i in range(len(c) - 1):
            down = nn.Conv2d(c[i], c[i + 1], 4, 2, 1, bias=False)
            layers += [down, nn.BatchNorm2d(c[i + 1]), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Conv2d(c[-1], 1, 4, bias=False), nn.Flatten())


class Preset(NamedTuple):
    """What the two presets differ in."""

    generator: type[nn.Module]
    discriminator: type[nn.Module]
    width: int
    weight_decay: float
    uniform: bool
    """Latents from (-1, 1); standard normal if not."""
    in_turns: bool
    """G learns from every other batch, D from those between."""


PRESETS = {
    "paper": Preset(PaperGenerator, PaperDiscriminator, width=128, weight_decay=1e-5, uniform=True, in_turns=True),
    "torch": Preset(TorchGenerator, TorchDiscriminator, width=64, weight_decay=0.0, uniform=False, in_turns=False),
}


def initialize(network: nn.Module) -> None:
    """Weights from N(0, 0.02) (section 4); as in the authors' code, batch norm gains from N(1, 0.02), biases 0."""
    for layer in network.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(layer.weight, 1.0, 0.02)


class DCGAN(AdversarialModule):
    """The deep convolutional GAN.

    Args:
        preset: ``paper`` or ``torch``; see the head of this file.
        image_size: H = W; 28 (preset ``paper`` only), 32, 64, 128.
        channels: C.
        latent_dim: Z; uniform on (-1, 1) with ``paper``, standard normal with ``torch``.
        width: Channels of the layers at half the image's size; 128 with ``paper``, 64 with ``torch`` when not given.
        lr: Learning rate of G's Adam ...
        lr_d: ... and of D's, the same when not given.
        beta1: First moment's decay of both.
        weight_decay: L2 added to the gradients; 1e-5 with ``paper``, 0 with ``torch`` when not given.
        loss: Adversarial loss.

    Raises:
        InputError: for a size that the kernels cannot make, or an unknown name.
    """

    def __init__(
        self,
        preset: Literal["paper", "torch"] = "paper",
        image_size: PositiveInt = 64,
        channels: PositiveInt = 3,
        latent_dim: PositiveInt = 100,
        width: PositiveInt | None = None,
        lr: NonNegativeFloat = 2e-4,
        lr_d: NonNegativeFloat | None = None,
        beta1: Share = 0.5,
        weight_decay: NonNegativeFloat | None = None,
        loss: LossName = "non_saturating",
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        check_choice("preset", preset, tuple(PRESETS))
        if preset == "torch" and any(side % 2 for side in sizes(image_size)):
            raise InputError(f"image_size {image_size} is no multiple of 32 for 4x4 kernels; use preset paper, or 32")
        self.preset = PRESETS[preset]
        self.loss = adversarial_loss(loss, get_args(LossName))
        width = self.preset.width if width is None else width
        self.generator = self.preset.generator(image_size, channels, latent_dim, width)
        self.discriminator = self.preset.discriminator(image_size, channels, width)
        initialize(self)

    def prior(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        draw = torch.rand if self.preset.uniform else torch.randn
        z = self.drawn(draw, num, self.hparams.latent_dim, generator=generator)
        return 2 * z - 1 if self.preset.uniform else z

    def forward(self, z: Tensor) -> Tensor:
        """Latents (B, Z) to images (B, C, H, W) in [-1, 1]."""
        return self.generator(z)

    def generate(self, batch: ImageBatch) -> Tensor:
        return self(self.prior(len(batch.image)))

    def training_step(self, batch: ImageBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        train_g = not self.preset.in_turns or self.batches_seen % 2 == 0
        train_d = not self.preset.in_turns or self.batches_seen % 2 == 1
        with torch.set_grad_enabled(train_g):
            fake = self.generate(batch)
        losses = {}

        if train_d:
            with self.toggled_optimizer(optimizer_d):
                loss_d = self.loss.discriminator(self.discriminator(batch.image), self.discriminator(fake.detach()))
                self.update(optimizer_d, loss_d)
            losses["train/loss_d"] = loss_d

        if train_g:
            with self.toggled_optimizer(optimizer_g):
                loss_g = self.loss.generator(self.discriminator(fake))
                self.update(optimizer_g, loss_g)
            losses["train/loss_g"] = loss_g
        self.log_dict(losses, prog_bar=True)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        h = self.hparams
        lr_d = h.lr if h.lr_d is None else h.lr_d
        weight_decay = self.preset.weight_decay if h.weight_decay is None else h.weight_decay
        return [
            torch.optim.Adam(network.parameters(), lr, (h.beta1, 0.999), weight_decay=weight_decay, fused=True)
            for network, lr in ((self.generator, h.lr), (self.discriminator, lr_d))
        ]
