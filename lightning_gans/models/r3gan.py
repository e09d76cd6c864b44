"""R3GAN, Huang, Gokaslan, Kuleshov & Tompkin 2024, https://arxiv.org/abs/2501.05441.

"The GAN is dead; long live the GAN! A Modern GAN Baseline": the relativistic pairing loss with R1 and R2, which the
paper shows to converge, and networks of inverted, grouped bottlenecks without any normalization. The defaults are those
of CIFAR-10 in table 9; the other rows of it:

| | widths | burn_in | gamma | lr | augment |
| --- | --- | --- | --- | --- | --- |
| Stacked MNIST | 4 x 768 | 2 million | 1 to 0.1 | 2e-4 | 0 |
| FFHQ 64 | 4 x 768, 384 | 20 million | 2 to 0.2 | 2e-4 to 5e-5 | 0 to 0.3 |
| FFHQ 256 | 4 x 768, 384, 192, 96 | 20 million | 150 to 15 | 2e-4 to 5e-5 | 0 to 0.3 |
| ImageNet 32 (1,000 classes) | 4 x 1536, groups of 32 | 200 million | 0.5 to 0.05 | 2e-4 to 5e-5 | 0 to 0.5 |
| ImageNet 64 (1,000 classes) | 5 x 1536, groups of 32 | 200 million | 1 to 0.1 | 2e-4 to 5e-5 | 0 to 0.4 |

Not stated in the paper: taken from the authors' code (https://github.com/brownvc/R3GAN): the borders of the resampling,
which are zeros, the scale of the initialization, and the labels' way into both networks.

Departures from the paper:

- Augmented images are interpolated without a low-pass filter, see ``networks/augmentation.py``.
- The average of G's weights has a constant decay (``--ema``), where the paper's half-life grows with the schedules.
- D's step runs in float32 under any precision: half precision takes the small penalties' gradients away.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, leaky_relu

from lightning_gans.data.batches import ImageBatch
from lightning_gans.errors import InputError
from lightning_gans.losses.adversarial import relativistic_pairing_d, relativistic_pairing_g
from lightning_gans.losses.penalties import judged
from lightning_gans.networks.augmentation import augment
from lightning_gans.networks.twice_differentiable import GroupedConv2d, grouped_conv2d
from lightning_gans.ranges import NonNegativeFloat, PositiveInt, Share
from lightning_gans.training.adversarial_module import AdversarialModule

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))
EXPANSION = 2
"""Of a block's channels, between its first and its last convolution."""


def linear(c_in: int, c_out: int, gain: float = 1.0) -> nn.Linear:
    """A layer without bias; weights have the deviation gain / sqrt(fan_in), here and below."""
    layer = nn.Linear(c_in, c_out, bias=False)
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(c_in))
    return layer


def conv(c_in: int, c_out: int, kernel: int = 1, groups: int = 1, gain: float = 1.0) -> nn.Conv2d:
    """A convolution without bias which keeps the size."""
    layer = GroupedConv2d(c_in, c_out, kernel, groups, padding=kernel // 2)
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(c_in // groups * kernel**2))
    return layer


class BiasedActivation(nn.Module):
    """A bias for each channel, then the leaky rectifier."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return leaky_relu(x + self.bias[:, None, None], SLOPE)


class ResidualBlock(nn.Module):
    """An inverted bottleneck whose 3x3 convolution is grouped; at the start the identity (section 3.2)."""

    def __init__(self, channels: int, group_size: int, gain: float) -> None:
        super().__init__()
        inner = EXPANSION * channels
        self.layers = nn.Sequential(
            conv(channels, inner, gain=gain),
            BiasedActivation(inner),
            conv(inner, inner, 3, inner // group_size, gain=gain),
            BiasedActivation(inner),
            conv(inner, channels, gain=0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Resample(nn.Module):
    """Twice or half the side length, by the filter 1, 3, 3, 1 along both axes, with zeros around the image."""

    kernel: Tensor

    def __init__(self, up: bool) -> None:
        super().__init__()
        self.up = up
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(taps, taps)[None, None] * (4 if up else 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).expand(channels, -1, -1, -1)
        if self.up:
            return conv_transpose2d(x, kernel, stride=2, padding=1, groups=channels)
        return grouped_conv2d(x, kernel, stride=2, padding=1, groups=channels)


def stage(channels: int, blocks: int, group_size: int, gain: float) -> list[nn.Module]:
    """The residual blocks of one side length."""
    return [ResidualBlock(channels, group_size, gain) for _ in range(blocks)]


def transition(c_in: int, c_out: int, up: bool) -> list[nn.Module]:
    """Change the width, where it changes, at the smaller side length."""
    layers: list[nn.Module] = [Resample(up)]
    if c_in != c_out:
        layers.insert(0 if up else 1, conv(c_in, c_out))
    return layers


class Generator(nn.Module):
    """Latents (B, Z), and label rows (B, K) if there are classes, to images (B, C, H, W), which no tanh bounds."""

    def __init__(
        self, channels: int, latent_dim: int, num_classes: int, widths: tuple[int, ...], blocks: int, group_size: int
    ) -> None:
        super().__init__()
        gain = GAIN * (blocks * len(widths)) ** -0.25
        self.embedding = linear(num_classes, latent_dim) if num_classes else None
        self.basis = nn.Parameter(torch.randn(widths[0], 4, 4))
        self.mix = linear(latent_dim * (2 if num_classes else 1), widths[0])
        layers = stage(widths[0], blocks, group_size, gain)
        for c_in, c_out in pairwise(widths):
            layers += [*transition(c_in, c_out, up=True), *stage(c_out, blocks, group_size, gain)]
        self.layers = nn.Sequential(*layers, conv(widths[-1], channels))

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(label)], 1)
        return self.layers(self.basis * self.mix(z)[:, :, None, None])


class Discriminator(nn.Module):
    """Images (B, C, H, W), and label rows (B, K) if there are classes, to logits (B, 1)."""

    def __init__(self, channels: int, num_classes: int, widths: tuple[int, ...], blocks: int, group_size: int) -> None:
        super().__init__()
        gain = GAIN * (blocks * len(widths)) ** -0.25
        c = widths[0]
        layers: list[nn.Module] = [conv(channels, widths[-1])]
        for c_in, c_out in pairwise(reversed(widths)):
            layers += [*stage(c_in, blocks, group_size, gain), *transition(c_in, c_out, up=False)]
        layers += stage(c, blocks, group_size, gain)
        whole = GroupedConv2d(c, c, 4, groups=c, padding=0)  # an image of 4x4 to a number for each channel
        nn.init.normal_(whole.weight, 0.0, 1 / 4)
        self.layers = nn.Sequential(*layers, whole, nn.Flatten(), linear(c, c if num_classes else 1))
        self.embedding = linear(num_classes, c, gain=1 / math.sqrt(c)) if num_classes else None

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        features = self.layers(image)
        if self.embedding is None:
            return features
        return (features * self.embedding(label)).sum(1, keepdim=True)


def half_cosine(ends: tuple[float, float], progress: float) -> float:
    """From the first to the last value along half a cosine; the last one beyond a progress of 1."""
    first, last = ends
    return last + (first - last) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2


class R3GAN(AdversarialModule):
    """The modern baseline.

    D learns from one batch, G from the next, in pairs of a real and a generated image.

    Args:
        image_size: H = W.
        channels: C.
        num_classes: K; without labels when not given.
        latent_dim: Z, standard normal.
        widths: Channels at 4x4, 8x8, ..., H x W.
        blocks: Residual blocks at each of these.
        group_size: Channels of a group of the 3x3 convolutions.
        burn_in: Images that D sees while what follows goes from its first to its last value.
        lr: Learning rate of both networks' Adam.
        gamma: Weight of R1 and of R2, each halved.
        beta2: Adam's decay of the second moment; the first moment's is 0.
        augment: Probability of each transform of the images that D sees.

    Raises:
        InputError: for widths that do not lead to the image's size, or that groups do not divide.
    """

    def __init__(
        self,
        image_size: PositiveInt = 32,
        channels: PositiveInt = 3,
        num_classes: PositiveInt | None = None,
        latent_dim: PositiveInt = 64,
        widths: tuple[PositiveInt, ...] = (768, 768, 768, 768),
        blocks: PositiveInt = 2,
        group_size: PositiveInt = 16,
        burn_in: PositiveInt = 20_000_000,
        lr: tuple[NonNegativeFloat, NonNegativeFloat] = (2e-4, 5e-5),
        gamma: tuple[NonNegativeFloat, NonNegativeFloat] = (0.05, 0.005),
        beta2: tuple[Share, Share] = (0.9, 0.99),
        augment: tuple[Share, Share] = (0.0, 0.55),
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        if image_size != 4 * 2 ** (len(widths) - 1):
            raise InputError(
                f"{len(widths)} widths, from 4x4 on, lead to images of {4 * 2 ** (len(widths) - 1)} pixels, and"
                f" image_size is {image_size}; give one width for each side length from 4 to {image_size}"
            )
        if wrong := [width for width in widths if EXPANSION * width % group_size]:
            raise InputError(f"width {wrong[0]} does not give whole groups of {group_size} of its {EXPANSION}-fold")
        self.num_classes = num_classes
        self.generator = Generator(channels, latent_dim, num_classes or 0, widths, blocks, group_size)
        self.discriminator = Discriminator(channels, num_classes or 0, widths, blocks, group_size)

    def prior(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        return self.drawn(torch.randn, num, self.hparams.latent_dim, generator=generator)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents (B, Z), and label rows (B, K) if there are classes, to images (B, C, H, W).

        No function bounds them in training; in evaluation they are clipped to [-1, 1].
        """
        image = self.generator(z, label)
        return image if self.training else image.clamp(-1, 1)

    def generate(self, batch: ImageBatch) -> Tensor:
        return self(self.prior(len(batch.image)), self.label(batch))

    def label(self, batch: ImageBatch) -> Tensor | None:
        return self.conditions(batch.label) if self.num_classes else None

    @property
    def twice_differentiated(self) -> tuple[str, ...]:
        return ("discriminator",)

    def training_step(self, batch: ImageBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        h, label = self.hparams, self.label(batch)
        seen = self.batches_seen // 2 * len(batch.image) * self.trainer.world_size  # by D, before this pair of steps
        for optimizer in (optimizer_g, optimizer_d):
            for group in optimizer.param_groups:
                group["lr"] = half_cosine(h.lr, seen / h.burn_in)
                group["betas"] = (0.0, half_cosine(h.beta2, seen / h.burn_in))
        gamma, p = (half_cosine(ends, seen / h.burn_in) for ends in (h.gamma, h.augment))

        def critic(image: Tensor) -> Tensor:
            return self.discriminator(augment(image, p), label)

        if self.batches_seen % 2 == 0:
            with torch.no_grad():
                fake = self.generate(batch)
            with self.toggled_optimizer(optimizer_d):
                of_real, real_gradient = judged(critic, batch.image)
                of_fake, fake_gradient = judged(critic, fake)
                r1, r2 = (g.flatten(1).square().sum(1).mean() for g in (real_gradient, fake_gradient))
                loss_d = relativistic_pairing_d(of_real, of_fake)
                self.update(optimizer_d, loss_d + gamma / 2 * (r1 + r2))
            losses = {"train/loss_d": loss_d, "train/r1": r1, "train/r2": r2}
        else:
            with torch.no_grad():
                of_real = critic(batch.image)
            with self.toggled_optimizer(optimizer_g):
                loss_g = relativistic_pairing_g(of_real, critic(self.generate(batch)))
                self.update(optimizer_g, loss_g)
            losses = {"train/loss_g": loss_g}
        self.log_dict(losses, prog_bar=True)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        h = self.hparams
        return [
            torch.optim.Adam(network.parameters(), h.lr[0], (0.0, h.beta2[0]), fused=True)
            for network in (self.generator, self.discriminator)
        ]
