"""Adversarial Audio Synthesis, Donahue, McAuley & Puckette 2019, https://arxiv.org/abs/1802.04208.

This file is WaveGAN, which makes samples; SpecGAN, of the same paper, is in ``specgan.py``.

Not stated in the paper: taken from the authors' code (https://github.com/chrisdonahue/wavegan): TensorFlow's SAME
padding, Glorot initialisation with zero biases, one phase shift for the whole batch and for each call, four layers with
phase shuffle at every length, the optimizers of the three other losses, and five critic updates for every loss.

Departures from the paper:

- Other lengths than 16384, 32768 and 65536: any that is 16 times the product of ``strides``.
- ``num_classes`` makes it conditional, for which the paper has no figures.
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
from torch.nn.functional import interpolate, leaky_relu, pad, relu

from lightning_gans.data.batches import AudioBatch
from lightning_gans.errors import InputError
from lightning_gans.losses import ADVERSARIAL_LOSSES, AdversarialLoss, gradient_penalty
from lightning_gans.losses.adversarial import cross_entropy_d, least_squares_d, non_saturating_g
from lightning_gans.networks.tensorflow import TensorFlowRMSprop
from lightning_gans.training.adversarial_module import AdversarialModule

START = 16
"""Steps of the map that latents are projected to."""
KERNEL = 25
POST_TAPS = 512
SHUFFLED_LAYERS = 4

LossName = Literal["wgan_gp", "wgan", "lsgan", "dcgan"]


def lsgan_g(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """(D(G(z)) - 1)^2, without the half that Mao et al. 2017 have."""
    return (fake - 1).square().mean()


def dcgan_d(real: Tensor, fake: Tensor) -> Tensor:
    """The mean of the two cross-entropies, where other papers have their sum."""
    return cross_entropy_d(real, fake) / 2


class Recipe(NamedTuple):
    """A loss with the optimizer that the authors' code trains it with."""

    loss: AdversarialLoss
    optimizer: Callable[..., torch.optim.Optimizer]
    lr: float
    penalized: bool = False
    clip: float | None = None


WASSERSTEIN = ADVERSARIAL_LOSSES["wasserstein"]
RECIPES: dict[str, Recipe] = {
    "wgan_gp": Recipe(WASSERSTEIN, partial(torch.optim.Adam, betas=(0.5, 0.9), fused=True), 1e-4, penalized=True),
    "wgan": Recipe(WASSERSTEIN, TensorFlowRMSprop, 5e-5, clip=0.01),
    "lsgan": Recipe(AdversarialLoss(least_squares_d, lsgan_g), TensorFlowRMSprop, 1e-4),
    "dcgan": Recipe(
        AdversarialLoss(dcgan_d, non_saturating_g), partial(torch.optim.Adam, betas=(0.5, 0.999), fused=True), 2e-4
    ),
}


def recipe(name: str) -> Recipe:
    """Look up a loss.

    Raises:
        InputError: for an unknown name.
    """
    if name not in RECIPES:
        raise InputError(f"unknown loss {name!r}; expected {', '.join(RECIPES)}")
    return RECIPES[name]


def strides_for(length: int) -> tuple[int, ...]:
    """The authors' strides for their three lengths; for others as many fours as go, then twos, threes and fives.

    Raises:
        InputError: for a length that is not 16 times such a product, with the nearest that are.
    """
    strides, rest = [], length // START
    for stride in (4, 2, 3, 5):
        while rest % stride == 0 and rest > 1:
            strides, rest = [*strides, stride], rest // stride
    if rest != 1 or length % START or not strides:
        near = [n for n in range(length // 2, 2 * length + 3 * START) if _divides(n) and n != length]
        closest = sorted({*[n for n in near if n < length][-1:], *[n for n in near if n > length][:2]})[:2]
        raise InputError(
            f"length {length} is not {START} times a product of the strides 2 to 5; use"
            f" {' or '.join(map(str, closest))}, or give strides"
        )
    return tuple(strides)


def _divides(length: int) -> bool:
    """Whether the length is 16 times a product of 2, 3 and 5, and more than 16."""
    rest = length // START
    for prime in (2, 3, 5):
        while rest and rest % prime == 0:
            rest //= prime
    return length % START == 0 and length > START and rest == 1


def same_padding(kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding (left, right) for an input whose length is a multiple of the stride."""
    total = kernel - stride
    return total // 2, total - total // 2


class SameConv1d(nn.Conv1d):
    """Convolution (B, C, L) to (B, C', L / stride) with SAME padding."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(pad(x, same_padding(self.kernel_size[0], self.stride[0])))


class SameConvTranspose1d(nn.ConvTranspose1d):
    """Transposed convolution (B, C, L) to (B, C', L * stride), the gradient of a SAME convolution."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int) -> None:
        super().__init__(c_in, c_out, kernel, stride, padding=(kernel - stride) // 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., : x.shape[-1] * self.stride[0]]


class NearestConv1d(SameConv1d):
    """Each step repeated, then a SAME convolution: (B, C, L) to (B, C', L * factor)."""

    def __init__(self, c_in: int, c_out: int, kernel: int, factor: int) -> None:
        super().__init__(c_in, c_out, kernel)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(interpolate(x, scale_factor=float(self.factor)))


class PhaseShuffle(nn.Module):
    """Shifts (B, C, L) by a number of steps drawn anew from -n to n, the gap filled by reflection (section 3.3).

    Args:
        n: Largest shift, less than L; 0 leaves the input as it is.
        per: One shift for the whole batch, or one for each example.
    """

    def __init__(self, n: int, per: Literal["batch", "example"]) -> None:
        super().__init__()
        self.n, self.per = n, per

    def forward(self, x: Tensor) -> Tensor:
        if self.n == 0:
            return x
        if self.per == "example":
            return shifted(x, torch.randint(-self.n, self.n + 1, (len(x), 1), device=x.device))
        shift = int(torch.randint(-self.n, self.n + 1, ()))  # drawn on the host: no wait for the device
        if shift >= 0:
            return pad(x, (shift, 0), mode="reflect")[..., : x.shape[-1]]
        return pad(x, (0, -shift), mode="reflect")[..., -shift:]


def shifted(x: Tensor, shift: Tensor) -> Tensor:
    """Shift each example of (B, C, L) to the right by its own (B, 1) whole number of steps, filled by reflection."""
    last = x.shape[-1] - 1
    index = last - (last - (torch.arange(last + 1, device=x.device) - shift).abs()).abs()  # (B, L)
    return x.gather(2, index[:, None].expand_as(x))


class Generator(nn.Module):
    """Latents (B, Z), with label rows (B, K) in conditional models, to audio (B, C, T) in [-1, 1]."""

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
        c = [width * 2**i for i in reversed(range(len(strides)))]
        up = {"zeros": SameConvTranspose1d, "nearest": NearestConv1d}[upsampling]
        self.project = nn.Linear(latent_dim, START * c[0])
        self.up = nn.ModuleList(
            up(c_in, c_out, KERNEL, stride) for c_in, c_out, stride in zip(c, [*c[1:], channels], strides, strict=True)
        )
        self.norm = nn.ModuleList(nn.BatchNorm1d(size, eps=1e-3, momentum=0.01) for size in c if batch_norm)
        if post_filter:
            self.post_filter = SameConv1d(channels, channels, POST_TAPS, groups=channels, bias=False)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        h = self.project(z if label is None else torch.cat([z, label], 1))
        h = h.unflatten(1, (START, -1)).transpose(1, 2)  # (B, C, 16): TensorFlow's order of the units
        for i, up in enumerate(self.up):
            h = up(relu(self.norm[i](h) if self.norm else h))
        audio = h.tanh()
        return self.post_filter(audio) if hasattr(self, "post_filter") else audio


class Discriminator(nn.Module):
    """Audio (B, C, T), with label rows (B, K) in conditional models, to logits (B, 1).

    ``classes`` of ``concat`` become as many constant channels of the input; with ``projection`` the label's embedding
    is multiplied with the last feature map's mean over time (Miyato & Koyama 2018).
    """

    def __init__(
        self,
        strides: tuple[int, ...],
        channels: int,
        width: int,
        batch_norm: bool,
        shuffle: PhaseShuffle,
        classes: int = 0,
        conditioning: str = "concat",
    ) -> None:
        super().__init__()
        self.shuffle = shuffle
        self.shuffled = min(SHUFFLED_LAYERS, len(strides) - 1)
        projected = classes and conditioning == "projection"
        c = [width * 2**i for i in range(len(strides))]
        c_in = [channels if projected else channels + classes, *c[:-1]]
        self.down = nn.ModuleList(
            SameConv1d(*size, KERNEL, stride) for *size, stride in zip(c_in, c, strides, strict=True)
        )
        self.norm = nn.ModuleDict(
            {str(i): nn.BatchNorm1d(c[i], eps=1e-3, track_running_stats=False) for i in range(1, len(c)) if batch_norm}
        )
        self.output = nn.Linear(START * c[-1], 1)
        if projected:
            self.embedding = nn.Linear(classes, c[-1], bias=False)

    def forward(self, audio: Tensor, label: Tensor | None = None) -> Tensor:
        projected = hasattr(self, "embedding")
        h = audio
        if label is not None and not projected:
            h = torch.cat([audio, label[:, :, None].to(audio).expand(-1, -1, audio.shape[-1])], 1)
        for i, down in enumerate(self.down):
            h = down(h)
            h = leaky_relu(self.norm[str(i)](h) if str(i) in self.norm else h, 0.2)
            if i < self.shuffled:
                h = self.shuffle(h)
        logits = self.output(h.transpose(1, 2).flatten(1))  # TensorFlow's order of the units
        if projected:
            logits = logits + (self.embedding(label.to(h)) * h.mean(2)).sum(1, keepdim=True)
        return logits


def initialize(network: nn.Module) -> None:
    """Glorot uniform weights, zero biases: what TensorFlow's layers begin with."""
    for layer in network.modules():
        if isinstance(layer, (nn.Linear, nn.modules.conv._ConvNd)):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


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
        post_filter: Learned filter of 512 taps behind G (section 3.3). Its output may leave [-1, 1].
        phase_shuffle: n; 0 leaves it out.
        phase_shuffle_per: One shift for the whole batch, or one for each example.
        loss: ``wgan_gp``, ``wgan`` (with clipped weights), ``lsgan`` or ``dcgan``.
        n_critic: Critic updates per generator update.
        penalty_weight: lambda of ``wgan_gp``.
        lr: Learning rate of both networks; that of the loss when not given.
        num_classes: K, for a conditional model: the label joins the latents ...
        conditioning: ... and, in D, the samples as constant channels (``concat``) or the last features
            (``projection``).
    """

    def __init__(
        self,
        length: int = 16384,
        channels: int = 1,
        sample_rate: int = 16000,
        width: int = 64,
        latent_dim: int = 100,
        strides: tuple[int, ...] | None = None,
        upsampling: Literal["zeros", "nearest"] = "zeros",
        batch_norm: bool = False,
        post_filter: bool = False,
        phase_shuffle: int = 2,
        phase_shuffle_per: Literal["batch", "example"] = "batch",
        loss: LossName = "wgan_gp",
        n_critic: int = 5,
        penalty_weight: float = 10.0,
        lr: float | None = None,
        num_classes: int | None = None,
        conditioning: Literal["concat", "projection"] = "concat",
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.recipe = recipe(loss)
        for name, value, known in (
            ("upsampling", upsampling, ("zeros", "nearest")),
            ("phase_shuffle_per", phase_shuffle_per, ("batch", "example")),
            ("conditioning", conditioning, ("concat", "projection")),
        ):
            if value not in known:
                raise InputError(f"unknown {name} {value!r}; expected {' or '.join(known)}")
        strides = tuple(strides) if strides else strides_for(length)
        if START * math.prod(strides) != length or not all(1 < stride <= KERNEL for stride in strides):
            raise InputError(
                f"length is {length}, and strides {','.join(map(str, strides))} make"
                f" {START} x {math.prod(strides)} = {START * math.prod(strides)}; give the length that they make, and"
                f" strides of 2 to {KERNEL}"
            )
        least = START * strides[-1]
        if not 0 <= phase_shuffle < least:
            raise InputError(f"phase_shuffle is {phase_shuffle}; expected 0 to {least - 1}, less than the shortest map")
        self.audio_shape, self.sample_rate, self.num_classes = (channels, length), sample_rate, num_classes
        classes = num_classes or 0
        self.generator = Generator(strides, channels, width, latent_dim + classes, upsampling, batch_norm, post_filter)
        self.discriminator = Discriminator(
            strides, channels, width, batch_norm, PhaseShuffle(phase_shuffle, phase_shuffle_per), classes, conditioning
        )
        initialize(self)

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit" and self.hparams.batch_norm and self.recipe.penalized:
            raise InputError(
                "batch_norm does not go with loss wgan_gp, whose penalty is per example; leave it out, or use wgan,"
                " lsgan or dcgan"
            )

    def prior(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        device = generator.device if generator else self.device
        return 2 * torch.rand(num, self.hparams.latent_dim, generator=generator, device=device) - 1

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents (B, Z) and label rows (B, K) to audio (B, C, T) in [-1, 1]."""
        return self.generator(z, label)

    def generate(self, batch: AudioBatch) -> Tensor:
        return self(self.prior(len(batch.audio)), self.condition(batch))

    def condition(self, batch: AudioBatch) -> Tensor | None:
        """Label rows (B, K) of a batch; None in a model without labels."""
        return self.conditions(batch.label) if self.num_classes else None

    @property
    def twice_differentiated(self) -> tuple[str, ...]:
        return ("discriminator",) if self.recipe.penalized else ()

    def training_step(self, batch: AudioBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        real, label, loss = batch.audio, self.condition(batch), self.recipe.loss

        with torch.no_grad():
            fake = self.generate(batch)
        with self.toggled_optimizer(optimizer_d):
            loss_d = loss.discriminator(self.discriminator(real, label), self.discriminator(fake, label))
            penalty = 0.0
            if self.recipe.penalized:
                penalty = gradient_penalty(lambda x: self.discriminator(x, label), real, fake)
                self.log("train/penalty", penalty)
            moved = self.update(optimizer_d, loss_d + self.hparams.penalty_weight * penalty)
            if moved and self.recipe.clip:
                clip_weights(self.discriminator, self.recipe.clip)
        self.log("train/loss_d", loss_d, prog_bar=True)

        if (self.batches_seen + 1) % self.hparams.n_critic == 0:
            with self.toggled_optimizer(optimizer_g):
                loss_g = loss.generator(self.discriminator(self.generate(batch), label))
                self.update(optimizer_g, loss_g)
            self.log("train/loss_g", loss_g, prog_bar=True)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        lr = self.hparams.lr or self.recipe.lr
        return [self.recipe.optimizer(network.parameters(), lr=lr) for network in (self.generator, self.discriminator)]
