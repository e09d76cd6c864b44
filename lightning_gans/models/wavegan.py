"""Adversarial Audio Synthesis, Donahue, McAuley & Puckette 2019, https://arxiv.org/abs/1802.04208.

This file is WaveGAN, which makes samples; SpecGAN, of the same paper, is in ``specgan.py``.

Not stated in the paper: taken from the authors' code (https://github.com/chrisdonahue/wavegan): TensorFlow's SAME
padding, Glorot initialization with zero biases, one phase shift for the whole batch and for each call, four layers with
phase shuffle at every length, the three other losses with their optimizers, and five critic updates for every loss.

Departures from the paper:

- Other lengths than 16384, 32768 and 65536: any that is 16 times the product of ``strides``.
- The post-processing filter is depthwise, so that it works with stereo.
- ``batch_norm`` with ``wgan_gp`` is refused in training: the penalty is per example, and batch norm joins the examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu

from lightning_gans.data.batches import AudioBatch
from lightning_gans.errors import InputError, check_choice
from lightning_gans.losses.adversarial import (
    cross_entropy_d,
    least_squares_d,
    least_squares_g,
    non_saturating_g,
    wasserstein_d,
    wasserstein_g,
)
from lightning_gans.losses.penalties import gradient_penalty
from lightning_gans.networks.phase_shuffle import PhaseShuffle
from lightning_gans.networks.tensorflow import ResizeConv1d, SameConv1d, SameConvTranspose1d, TensorFlowRMSprop, glorot
from lightning_gans.networks.upsampling import strides_for
from lightning_gans.ranges import NonNegativeFloat, NonNegativeInt, PositiveInt
from lightning_gans.training.adversarial_module import AdversarialModule

START = 16
"""Steps of the map that latents are projected to."""
KERNEL = 25
POST_TAPS = 512
SHUFFLED_LAYERS = 4

LossName = Literal["wgan_gp", "wgan", "lsgan", "dcgan"]


class Recipe(NamedTuple):
    """A loss with the optimizer that the authors' code trains it with."""

    loss_d: Callable[[Tensor, Tensor], Tensor]
    loss_g: Callable[[Tensor], Tensor]
    optimizer: Callable[..., torch.optim.Optimizer]
    lr: float
    penalized: bool = False
    clip: float | None = None

    def check(self, batch_norm: bool) -> None:
        """Refuse a training in which examples are joined and have a penalty each."""
        if batch_norm and self.penalized:
            raise InputError(
                "batch_norm does not go with loss wgan_gp, whose penalty is per example; leave it out, or use wgan,"
                " lsgan or dcgan"
            )


def dcgan_d(real: Tensor, fake: Tensor) -> Tensor:
    """The mean of the two cross-entropies, where other papers have their sum."""
    return cross_entropy_d(real, fake) / 2


def lsgan_g(fake: Tensor) -> Tensor:
    """(D(G(z)) - 1)^2, without the half that Mao et al. 2017 have."""
    return 2 * least_squares_g(fake)


Adam = partial(torch.optim.Adam, fused=True)
RECIPES: dict[str, Recipe] = {
    "wgan_gp": Recipe(wasserstein_d, wasserstein_g, partial(Adam, betas=(0.5, 0.9)), 1e-4, penalized=True),
    "wgan": Recipe(wasserstein_d, wasserstein_g, TensorFlowRMSprop, 5e-5, clip=0.01),
    "lsgan": Recipe(least_squares_d, lsgan_g, TensorFlowRMSprop, 1e-4),
    "dcgan": Recipe(dcgan_d, non_saturating_g, partial(Adam, betas=(0.5, 0.999)), 2e-4),
}


def recipe(loss: str) -> Recipe:
    """Look up a loss.

    Raises:
        InputError: for an unknown name.
    """
    check_choice("loss", loss, RECIPES)
    return RECIPES[loss]


def check_sizes(length: int, strides: tuple[int, ...] | None, phase_shuffle: int) -> tuple[int, ...]:
    """The strides that were given, or those for the length.

    Raises:
        InputError: for strides that do not make the length, and a shift longer than the shortest map.
    """
    strides = strides_for(length, START) if strides is None else tuple(strides)
    made = START * math.prod(strides)
    if made != length or not strides or not all(1 < stride <= KERNEL for stride in strides):
        raise InputError(
            f"length is {length}, and strides {','.join(map(str, strides))} make {START} x {math.prod(strides)} ="
            f" {made}; give the length that they make, and strides of 2 to {KERNEL}"
        )
    least = START * strides[-1]
    if not 0 <= phase_shuffle < least:
        raise InputError(f"phase_shuffle is {phase_shuffle}; expected 0 to {least - 1}, less than the shortest map")
    return strides


class Generator(nn.Module):
    """Latents (B, Z) to audio (B, C, T) in [-1, 1], which a post-processing filter may leave."""

    def __init__(
        self,
        strides: tuple[int, ...],
        channels: int,
        width: int,
        latent_dim: int,
        upsampling: str,
        batch_norm: bool,
        post_filter: bool,
    ) -> None:
        super().__init__()
        check_choice("upsampling", upsampling, ("zeros", "nearest"))
        c = [width * 2**i for i in reversed(range(len(strides)))]
        up = SameConvTranspose1d if upsampling == "zeros" else ResizeConv1d
        self.project = nn.Linear(latent_dim, START * c[0])
        self.up = nn.ModuleList(
            up(c_in, c_out, KERNEL, stride) for c_in, c_out, stride in zip(c, [*c[1:], channels], strides, strict=True)
        )
        self.norm = nn.ModuleList(nn.BatchNorm1d(size, eps=1e-3, momentum=0.01) for size in c if batch_norm)
        if post_filter:
            self.post_filter = SameConv1d(channels, channels, POST_TAPS, groups=channels, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        h = self.project(z).unflatten(1, (START, -1)).transpose(1, 2)  # (B, C, 16): TensorFlow's order of the units
        for i, up in enumerate(self.up):
            h = up(relu(self.norm[i](h) if self.norm else h))
        audio = h.tanh()
        return self.post_filter(audio) if hasattr(self, "post_filter") else audio


class Layers(nn.Module):
    """Those of D, up to the last feature map, and from there on."""

    def __init__(
        self, strides: tuple[int, ...], channels: int, width: int, batch_norm: bool, shuffle: PhaseShuffle
    ) -> None:
        super().__init__()
        self.shuffle = shuffle
        self.shuffled = min(SHUFFLED_LAYERS, len(strides) - 1)
        c = [channels, *(width * 2**i for i in range(len(strides)))]
        self.down = nn.ModuleList(SameConv1d(c[i], c[i + 1], KERNEL, stride) for i, stride in enumerate(strides))
        self.norm = nn.ModuleDict(
            {
                str(i): nn.BatchNorm1d(c[i + 1], eps=1e-3, track_running_stats=False)
                for i in range(1, len(strides))
                if batch_norm
            }
        )
        self.output = nn.Linear(START * c[-1], 1)

    def features(self, audio: Tensor) -> Tensor:
        """Audio (B, C, T) to the last feature map (B, C', 16)."""
        h = audio
        for i, down in enumerate(self.down):
            h = down(h)
            h = leaky_relu(self.norm[str(i)](h) if str(i) in self.norm else h, 0.2)
            if i < self.shuffled:
                h = self.shuffle(h)
        return h

    def logits(self, h: Tensor) -> Tensor:
        """The last feature map (B, C', 16) to logits (B, 1)."""
        return self.output(h.transpose(1, 2).flatten(1))  # TensorFlow's order of the units


class Discriminator(Layers):
    """Audio (B, C, T) to logits (B, 1)."""

    def forward(self, audio: Tensor) -> Tensor:
        return self.logits(self.features(audio))


@torch.no_grad()
def clip_weights(network: nn.Module, limit: float) -> None:
    """Bring all parameters, biases too, into [-limit, limit] (Arjovsky et al. 2017, algorithm 1)."""
    for parameter in network.parameters():
        parameter.clamp_(-limit, limit)


class WaveGAN(AdversarialModule):
    """The GAN of raw audio.

    A batch is a critic update; every ``n_critic`` batches a generator update follows.

    Args:
        length: T, samples of a clip; 16 times the product of the strides.
        channels: C; 1 is mono, 2 stereo.
        sample_rate: In Hz; says how to play what is generated.
        width: d, the model dimension; channels of the layers nearest to the samples.
        latent_dim: Z, uniform on (-1, 1).
        strides: Of G's layers from the latents on, and of D's from the samples on; those of the authors' code for
            their three lengths when not given.
        upsampling: ``zeros`` is transposed convolution, ``nearest`` repeats each step before a convolution.
        batch_norm: In both networks. Not with ``wgan_gp``.
        post_filter: Learned filter of 512 taps behind G. Its output may leave [-1, 1].
        phase_shuffle: n; 0 leaves it out.
        phase_shuffle_per: One shift for the whole batch, or one for each example.
        loss: ``wgan_gp``, ``wgan`` (with clipped weights), ``lsgan`` or ``dcgan``.
        n_critic: Critic updates per generator update.
        penalty_weight: lambda of ``wgan_gp``.
        lr: Learning rate of both networks; that of the loss when not given.
    """

    def __init__(
        self,
        length: PositiveInt = 16384,
        channels: PositiveInt = 1,
        sample_rate: PositiveInt = 16000,
        width: PositiveInt = 64,
        latent_dim: PositiveInt = 100,
        strides: tuple[PositiveInt, ...] | None = None,
        upsampling: Literal["zeros", "nearest"] = "zeros",
        batch_norm: bool = False,
        post_filter: bool = False,
        phase_shuffle: NonNegativeInt = 2,
        phase_shuffle_per: Literal["batch", "example"] = "batch",
        loss: LossName = "wgan_gp",
        n_critic: PositiveInt = 5,
        penalty_weight: NonNegativeFloat = 10.0,
        lr: NonNegativeFloat | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.recipe = recipe(loss)
        sizes = check_sizes(length, strides, phase_shuffle)
        self.audio_shape, self.sample_rate = (channels, length), sample_rate
        self.generator = Generator(sizes, channels, width, latent_dim, upsampling, batch_norm, post_filter)
        shuffle = PhaseShuffle(phase_shuffle, phase_shuffle_per)
        self.discriminator = Discriminator(sizes, channels, width, batch_norm, shuffle)
        glorot(self)

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit":
            self.recipe.check(self.hparams.batch_norm)

    def prior(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        return 2 * self.drawn(torch.rand, num, self.hparams.latent_dim, generator=generator) - 1

    def forward(self, z: Tensor) -> Tensor:
        """Latents (B, Z) to audio (B, C, T) in [-1, 1]."""
        return self.generator(z)

    def generate(self, batch: AudioBatch) -> Tensor:
        return self(self.prior(len(batch.audio)))

    @property
    def twice_differentiated(self) -> tuple[str, ...]:
        return ("discriminator",) if self.recipe.penalized else ()

    def training_step(self, batch: AudioBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        real, recipe = batch.audio, self.recipe

        with torch.no_grad():
            fake = self.generate(batch)
        with self.toggled_optimizer(optimizer_d):
            loss_d = total = recipe.loss_d(self.discriminator(real), self.discriminator(fake))
            if recipe.penalized:
                penalty = gradient_penalty(self.discriminator, real, fake)
                total = loss_d + self.hparams.penalty_weight * penalty
                self.log("train/penalty", penalty)
            if self.update(optimizer_d, total) and recipe.clip is not None:
                clip_weights(self.discriminator, recipe.clip)
        self.log("train/loss_d", loss_d, prog_bar=True)

        if (self.batches_seen + 1) % self.hparams.n_critic == 0:
            with self.toggled_optimizer(optimizer_g):
                loss_g = recipe.loss_g(self.discriminator(self.generate(batch)))
                self.update(optimizer_g, loss_g)
            self.log("train/loss_g", loss_g, prog_bar=True)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        lr = self.recipe.lr if self.hparams.lr is None else self.hparams.lr
        return [self.recipe.optimizer(network.parameters(), lr=lr) for network in (self.generator, self.discriminator)]
