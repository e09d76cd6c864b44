"""Conditional WaveGAN, Lee, Toffy, Jung & Han 2018, https://arxiv.org/abs/1809.10636.

WaveGAN (``wavegan.py``) with labels: one-hot rows join the latents and, as constant channels, the samples that D sees.

Departures from the paper:

- Its clips of 8192 samples have a stride of 2 nearest to the samples in both networks; here D has it last.
- ``projection`` multiplies the label's embedding with D's last features instead (Miyato & Koyama 2018,
  https://arxiv.org/abs/1802.05637); there are no published results of it.
- Of the paper's two ways to condition, the other (scaling activations by the label's number) is left out.

All else is as in ``wavegan.py``.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from lightning_gans.data.batches import AudioBatch
from lightning_gans.losses.penalties import gradient_penalty
from lightning_gans.models.wavegan import Generator, Layers, LossName, check_sizes, clip_weights, recipe
from lightning_gans.networks.phase_shuffle import PhaseShuffle
from lightning_gans.networks.tensorflow import glorot
from lightning_gans.ranges import NonNegativeFloat, NonNegativeInt, PositiveInt
from lightning_gans.training.adversarial_module import AdversarialModule


class Discriminator(Layers):
    """Audio (B, C, T) and label rows (B, K) to logits (B, 1)."""

    def __init__(
        self,
        strides: tuple[int, ...],
        channels: int,
        width: int,
        batch_norm: bool,
        shuffle: PhaseShuffle,
        classes: int,
        projection: bool,
    ) -> None:
        super().__init__(strides, channels if projection else channels + classes, width, batch_norm, shuffle)
        if projection:
            self.embedding = nn.Linear(classes, width * 2 ** (len(strides) - 1), bias=False)

    def forward(self, audio: Tensor, label: Tensor) -> Tensor:
        if not hasattr(self, "embedding"):
            rows = label[:, :, None].to(audio).expand(-1, -1, audio.shape[-1])
            return self.logits(self.features(torch.cat([audio, rows], 1)))
        h = self.features(audio)
        return self.logits(h) + (self.embedding(label.to(h)) * h.mean(2)).sum(1, keepdim=True)


class ConditionalWaveGAN(AdversarialModule):
    """The GAN of raw audio with labels.

    A batch is a critic update; every ``n_critic`` batches a generator update follows.

    Args:
        num_classes: K.
        projection: The label joins D's last features; the samples that D sees when False.
        length: T, samples of a clip; 16 times the product of the strides.
        channels: C; 1 is mono, 2 stereo.
        sample_rate: In Hz; says how to play what is generated.
        width: d, the model dimension; channels of the layers nearest to the samples.
        latent_dim: Z, uniform on (-1, 1).
        strides: Of G's layers from the latents on, and of D's from the samples on; see ``networks.upsampling``.
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
        num_classes: PositiveInt = 10,
        projection: bool = False,
        length: PositiveInt = 8192,
        channels: PositiveInt = 1,
        sample_rate: PositiveInt = 16000,
        width: PositiveInt = 64,
        latent_dim: PositiveInt = 90,
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
        self.audio_shape, self.sample_rate, self.num_classes = (channels, length), sample_rate, num_classes
        inputs = latent_dim + num_classes
        self.generator = Generator(sizes, channels, width, inputs, upsampling, batch_norm, post_filter)
        shuffle = PhaseShuffle(phase_shuffle, phase_shuffle_per)
        self.discriminator = Discriminator(sizes, channels, width, batch_norm, shuffle, num_classes, projection)
        glorot(self)

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit":
            self.recipe.check(self.hparams.batch_norm)

    def prior(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        return 2 * self.drawn(torch.rand, num, self.hparams.latent_dim, generator=generator) - 1

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        """Latents (B, Z) and label rows (B, K) to audio (B, C, T) in [-1, 1]."""
        return self.generator(torch.cat([z, label], 1))

    def generate(self, batch: AudioBatch) -> Tensor:
        return self(self.prior(len(batch.audio)), self.conditions(batch.label))

    @property
    def twice_differentiated(self) -> tuple[str, ...]:
        return ("discriminator",) if self.recipe.penalized else ()

    def training_step(self, batch: AudioBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        real, label, recipe = batch.audio, self.conditions(batch.label), self.recipe

        with torch.no_grad():
            fake = self.generate(batch)
        with self.toggled_optimizer(optimizer_d):
            loss_d = total = recipe.loss_d(self.discriminator(real, label), self.discriminator(fake, label))
            if recipe.penalized:
                penalty = gradient_penalty(lambda x: self.discriminator(x, label), real, fake)
                total = loss_d + self.hparams.penalty_weight * penalty
                self.log("train/penalty", penalty)
            if self.update(optimizer_d, total) and recipe.clip is not None:
                clip_weights(self.discriminator, recipe.clip)
        self.log("train/loss_d", loss_d, prog_bar=True)

        if (self.batches_seen + 1) % self.hparams.n_critic == 0:
            with self.toggled_optimizer(optimizer_g):
                loss_g = recipe.loss_g(self.discriminator(self.generate(batch), label))
                self.update(optimizer_g, loss_g)
            self.log("train/loss_g", loss_g, prog_bar=True)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        lr = self.recipe.lr if self.hparams.lr is None else self.hparams.lr
        return [self.recipe.optimizer(network.parameters(), lr=lr) for network in (self.generator, self.discriminator)]
