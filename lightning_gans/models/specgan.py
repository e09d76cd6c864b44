"""Adversarial Audio Synthesis, Donahue, McAuley & Puckette 2019, https://arxiv.org/abs/1802.04208.

This file is SpecGAN, which makes spectrograms and inverts them; WaveGAN, of the same paper, is in ``wavegan.py``.

Not stated in the paper: taken from the authors' code (https://github.com/chrisdonahue/wavegan): TensorFlow's SAME
padding, Glorot initialization with zero biases, (time, frequency) as the order of the axes, 16 iterations of Griffin
and Lim's method from a phase of zero, the three other losses with their optimizers.

Departures from the paper:

- ``inversion`` is ``normalized`` by default: the authors' inverse transform leaves the sum of the windows in, which
  makes the gain swing between 0.5 and 1 every 128 samples. ``official`` does the same as theirs.
- ``floor`` may be raised for recordings that digital silence follows, whose logarithms lie so far below all else that
  they use up the features' range.
- The statistics of the features are computed when training begins and kept with the weights.
- ``batch_norm`` with ``wgan_gp`` is refused in training: the penalty is per example, and batch norm joins the examples.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad, relu

from lightning_gans.audio.stft import griffin_lim, stft
from lightning_gans.data.batches import AudioBatch
from lightning_gans.errors import check_choice
from lightning_gans.losses.penalties import gradient_penalty
from lightning_gans.models.wavegan import START, LossName, clip_weights, recipe
from lightning_gans.networks.tensorflow import ResizeConv2d, SameConv2d, SameConvTranspose2d, glorot
from lightning_gans.ranges import NonNegativeFloat, PositiveFloat, PositiveInt
from lightning_gans.training.adversarial_module import AdversarialModule
from lightning_gans.training.statistics import training_statistics

LENGTH = 16384
N_FFT, HOP_LENGTH = 256, 128
SIDE = LENGTH // HOP_LENGTH
BINS = N_FFT // 2 + 1
CLIP = 3.0
"""Standard deviations that become 1."""
KERNEL, STRIDE, LAYERS = 5, 2, 5

MODES = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}


class Generator(nn.Module):
    """Latents (B, Z) to spectrograms (B, 1, 128, 128) in [-1, 1], time before frequency."""

    def __init__(self, width: int, latent_dim: int, upsampling: str, batch_norm: bool) -> None:
        super().__init__()
        c = [width * 2**i for i in reversed(range(LAYERS))]
        up = partial(ResizeConv2d, mode=MODES[upsampling]) if upsampling in MODES else SameConvTranspose2d
        self.project = nn.Linear(latent_dim, START * c[0])
        self.up = nn.ModuleList(up(*size, KERNEL, STRIDE) for size in zip(c, [*c[1:], 1], strict=True))
        self.norm = nn.ModuleList(nn.BatchNorm2d(size, eps=1e-3, momentum=0.01) for size in c if batch_norm)

    def forward(self, z: Tensor) -> Tensor:
        h = self.project(z).unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2)  # TensorFlow's order of the units
        for i, up in enumerate(self.up):
            h = up(relu(self.norm[i](h) if self.norm else h))
        return h.tanh()


class Layers(nn.Module):
    """Those of D, up to the last feature map, and from there on."""

    def __init__(self, width: int, batch_norm: bool) -> None:
        super().__init__()
        c = [1, *(width * 2**i for i in range(LAYERS))]
        self.down = nn.ModuleList(SameConv2d(c[i], c[i + 1], KERNEL, STRIDE) for i in range(LAYERS))
        self.norm = nn.ModuleDict(
            {
                str(i): nn.BatchNorm2d(c[i + 1], eps=1e-3, track_running_stats=False)
                for i in range(1, LAYERS)
                if batch_norm
            }
        )
        self.output = nn.Linear(START * c[-1], 1)

    def features(self, x: Tensor) -> Tensor:
        """Spectrograms (B, 1, 128, 128) to the last feature map (B, C, 4, 4)."""
        h = x
        for i, down in enumerate(self.down):
            h = down(h)
            h = leaky_relu(self.norm[str(i)](h) if str(i) in self.norm else h, 0.2)
        return h

    def logits(self, h: Tensor) -> Tensor:
        """The last feature map (B, C, 4, 4) to logits (B, 1)."""
        return self.output(h.permute(0, 2, 3, 1).flatten(1))  # TensorFlow's order of the units


class Discriminator(Layers):
    """Spectrograms (B, 1, 128, 128) to logits (B, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(self.features(x))


class SpecGAN(AdversarialModule):
    """The GAN of spectrograms: 16384 samples of mono audio as an image of 128 frames and 128 frequencies.

    A batch is a critic update; every ``n_critic`` batches a generator update follows.

    Args:
        sample_rate: In Hz; says how to play what is generated.
        width: d, the model dimension; channels of the layers nearest to the spectrogram.
        latent_dim: Z, uniform on (-1, 1).
        upsampling: ``zeros`` is transposed convolution; the others interpolate before a convolution.
        batch_norm: In both networks. Not with ``wgan_gp``.
        loss: ``wgan_gp``, ``wgan`` (with clipped weights), ``lsgan`` or ``dcgan``.
        n_critic: Critic updates per generator update.
        penalty_weight: lambda of ``wgan_gp``.
        lr: Learning rate of both networks; that of the loss when not given.
        inversion: Of spectrograms to samples; see the head of this file.
        floor: Added to magnitudes before the logarithm; a sine of full scale has a magnitude of 64.
    """

    mean: Tensor
    std: Tensor
    unfit_for_onnx = "16 iterations of Griffin-Lim make plain differences of another runtime's rounding"

    def __init__(
        self,
        sample_rate: PositiveInt = 16000,
        width: PositiveInt = 64,
        latent_dim: PositiveInt = 100,
        upsampling: Literal["zeros", "nearest", "linear", "cubic"] = "zeros",
        batch_norm: bool = False,
        loss: LossName = "wgan_gp",
        n_critic: PositiveInt = 5,
        penalty_weight: NonNegativeFloat = 10.0,
        lr: NonNegativeFloat | None = None,
        inversion: Literal["normalized", "official"] = "normalized",
        floor: PositiveFloat = 1e-6,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.recipe = recipe(loss)
        check_choice("upsampling", upsampling, ("zeros", *MODES))
        check_choice("inversion", inversion, ("normalized", "official"))
        self.audio_shape, self.sample_rate, self.floor = (1, LENGTH), sample_rate, floor
        self.generator = Generator(width, latent_dim, upsampling, batch_norm)
        self.discriminator = Discriminator(width, batch_norm)
        # Per frequency, of the logarithm of the magnitudes in the training set; a deviation of 0 is not yet known.
        self.register_buffer("mean", torch.zeros(BINS))
        self.register_buffer("std", torch.zeros(BINS))
        glorot(self)

    # ---- features

    def features(self, audio: Tensor) -> Tensor:
        """Audio (B, 1, T) to normalized log magnitudes (B, 1, 128, 128) in [-1, 1], time before frequency."""
        x = (log_magnitude(audio, self.floor) - self.mean) / self.std / CLIP
        return x[..., : BINS - 1].clamp(-1, 1).to(self.dtype)

    def invert(self, x: Tensor) -> Tensor:
        """Spectrograms (B, 1, 128, 128) to audio (B, 1, T) by 16 iterations; the highest frequency is at its mean."""
        log = pad(x.float(), (0, 1)) * CLIP * self.std + self.mean
        magnitude, official = log.exp().transpose(-1, -2), self.hparams.inversion == "official"
        if not official:
            magnitude = (magnitude - self.floor).clamp(min=0)
        return griffin_lim(magnitude, N_FFT, HOP_LENGTH, LENGTH, normalized=not official)

    def on_fit_start(self) -> None:
        """Compute the statistics of the features, unless they came with the weights."""
        super().on_fit_start()
        if self.std.count_nonzero() == 0:
            mean, std = training_statistics(self, lambda batch: log_magnitude(batch.audio, self.floor).flatten(0, -2))
            self.mean.copy_(mean)
            self.std.copy_(std)

    # ---- the GAN

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit":
            self.recipe.check(self.hparams.batch_norm)

    def prior(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        return 2 * self.drawn(torch.rand, num, self.hparams.latent_dim, generator=generator) - 1

    def forward(self, z: Tensor) -> Tensor:
        """Latents (B, Z) to audio (B, 1, T)."""
        return self.invert(self.generator(z))

    def generate(self, batch: AudioBatch) -> Tensor:
        return self(self.prior(len(batch.audio)))

    @property
    def twice_differentiated(self) -> tuple[str, ...]:
        return ("discriminator",) if self.recipe.penalized else ()

    def training_step(self, batch: AudioBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        real, recipe = self.features(batch.audio), self.recipe

        with torch.no_grad():
            fake = self.generator(self.prior(len(real)))
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
                loss_g = recipe.loss_g(self.discriminator(self.generator(self.prior(len(real)))))
                self.update(optimizer_g, loss_g)
            self.log("train/loss_g", loss_g, prog_bar=True)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        lr = self.recipe.lr if self.hparams.lr is None else self.hparams.lr
        return [self.recipe.optimizer(network.parameters(), lr=lr) for network in (self.generator, self.discriminator)]


def log_magnitude(audio: Tensor, floor: float = 1e-6, hop_length: int = HOP_LENGTH) -> Tensor:
    """Audio (..., T) to the natural logarithm of its magnitudes (..., L, F), to which the floor is added."""
    return (stft(audio, N_FFT, hop_length).abs() + floor).log().transpose(-1, -2)
