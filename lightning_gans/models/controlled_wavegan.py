"""WaveGAN (Donahue et al. 2019, https://arxiv.org/abs/1802.04208) that speaks what it is asked to.

The networks are those of ``wavegan.py``, with labels as in ``controlled_specgan.py``: conditional batch norm in G and
D's projection, which is that of ``conditional_wavegan.py``. The training is that of ``controlled_specgan.py`` as well,
whose head names the papers: a classifier C that has learnt from recordings first, the non-saturating loss with R1.

Departures, beside those of ``controlled_specgan.py``:

- SpecGAN's D judges beside WaveGAN's, as HiFi-GAN and others judge sounds by several discriminators: alone, WaveGAN's
  learns too slowly to keep G from bursts of noise that please C.
- It and C are shown samples as SpecGAN's spectrograms of log magnitudes, brought into [-1, 2] in the same way at all
  frequencies.
- All three are shown samples that are moved in time, by any number of samples.
- The penalty's weight is smaller for sounds, whose norms are smaller than those of spectrograms.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, relu
from torch.optim.lr_scheduler import LinearLR, LRScheduler, StepLR

from lightning_gans.data.batches import AudioBatch
from lightning_gans.losses.adversarial import cross_entropy_d, non_saturating_g
from lightning_gans.losses.penalties import r1_penalty
from lightning_gans.models.conditional_wavegan import Discriminator
from lightning_gans.models.controlgan import Classifier
from lightning_gans.models.controlled_specgan import HOP_LENGTH, LENGTH, SIDE
from lightning_gans.models.controlled_specgan import Discriminator as SpectrogramDiscriminator
from lightning_gans.models.specgan import log_magnitude
from lightning_gans.models.wavegan import KERNEL, START, check_sizes
from lightning_gans.networks.conditional_norm import ConditionalBatchNorm
from lightning_gans.networks.phase_shuffle import PhaseShuffle
from lightning_gans.networks.tensorflow import SameConvTranspose1d, glorot
from lightning_gans.ranges import NonNegativeFloat, NonNegativeInt, PositiveInt, Share
from lightning_gans.training.adversarial_module import AdversarialModule

FLOOR = 0.003
"""Added to magnitudes before the logarithm; a sine of full scale has a magnitude of 64."""


class Generator(nn.Module):
    """Latents (B, Z) and label rows (B, K) to audio (B, 1, T) in [-1, 1]."""

    def __init__(self, strides: tuple[int, ...], width: int, latent_dim: int, classes: int) -> None:
        super().__init__()
        c = [width * 2**i for i in reversed(range(len(strides)))]
        self.project = nn.Linear(latent_dim + classes, START * c[0])
        self.up = nn.ModuleList(
            SameConvTranspose1d(c_in, c_out, KERNEL, stride)
            for c_in, c_out, stride in zip(c, [*c[1:], 1], strides, strict=True)
        )
        self.norm = nn.ModuleList(ConditionalBatchNorm(size, classes, dims=1) for size in c)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        h = self.project(torch.cat([z, label], 1)).unflatten(1, (START, -1)).transpose(1, 2)
        for norm, up in zip(self.norm, self.up, strict=True):
            h = up(relu(norm(h, label)))
        return h.tanh()


class ControlledWaveGAN(AdversarialModule):
    """The GAN of raw audio with labels and a classifier: 8192 samples of mono audio.

    The first batches are updates of C. Each one after them is one of D, then one of G.

    Args:
        num_classes: K.
        sample_rate: In Hz; says how to play what is generated.
        width: d, the model dimension; channels of the layers nearest to the samples or the spectrogram, of all
            networks.
        latent_dim: Z, uniform on (-1, 1).
        phase_shuffle: n; 0 leaves it out.
        class_weight: gamma, of C's cross-entropy in G's loss.
        classifier_updates: Of C, before G and D begin; its rate falls to 0 over them.
        noise: Largest deviation of the noise that C's spectrograms get.
        max_shift: Samples by which sounds are delayed at most.
        penalty_weight: Of R1, which is half of its gamma, for sounds and for spectrograms.
        penalty_every: Batches of which one has R1.
        lr: Learning rate of G's and D's Adam.
        lr_c: That of C's, at first.
        lr_decay_steps: Generator updates after which G's and D's rates are halved, again and again.
        betas: Decays of the first and the second moment, for G and D.

    Raises:
        InputError: for a shift of the phase that is longer than the shortest map.
    """

    networks: ClassVar[dict[str, str]] = {"g": "generator", "d": "discriminator", "c": "classifier"}
    linear_labels: ClassVar[bool] = True

    def __init__(
        self,
        num_classes: PositiveInt = 10,
        sample_rate: PositiveInt = 8000,
        width: PositiveInt = 64,
        latent_dim: PositiveInt = 100,
        phase_shuffle: NonNegativeInt = 2,
        class_weight: NonNegativeFloat = 0.5,
        classifier_updates: NonNegativeInt = 1000,
        noise: NonNegativeFloat = 0.3,
        max_shift: NonNegativeInt = 1024,
        penalty_weight: tuple[NonNegativeFloat, NonNegativeFloat] = (0.01, 0.2),
        penalty_every: PositiveInt = 4,
        lr: NonNegativeFloat = 2e-4,
        lr_c: NonNegativeFloat = 1e-3,
        lr_decay_steps: PositiveInt = 10_000,
        betas: tuple[Share, Share] = (0.0, 0.99),
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        strides = check_sizes(LENGTH, None, phase_shuffle)
        self.audio_shape, self.sample_rate, self.num_classes = (1, LENGTH), sample_rate, num_classes
        self.generator = Generator(strides, width, latent_dim, num_classes)
        shuffle = PhaseShuffle(phase_shuffle, "batch")
        self.discriminator = nn.ModuleDict(
            {
                "sound": Discriminator(strides, 1, width, False, shuffle, num_classes, projection=True),
                "spectrogram": SpectrogramDiscriminator(width, num_classes),
            }
        )
        self.classifier = Classifier(SIDE // 2, 1, num_classes, width)
        glorot(self)

    def prior(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        return 2 * self.drawn(torch.rand, num, self.hparams.latent_dim, generator=generator) - 1

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        """Latents (B, Z) and label rows (B, K) to audio (B, 1, T) in [-1, 1]."""
        return self.generator(z, label)

    def generate(self, batch: AudioBatch) -> Tensor:
        return self(self.prior(len(batch.audio)), self.conditions(batch.label))

    @property
    def twice_differentiated(self) -> tuple[str, ...]:
        return ("discriminator",)

    def moved(self, audio: Tensor) -> Tensor:
        """Sounds (B, 1, T), each delayed by its own number of samples."""
        shift = torch.randint(0, self.hparams.max_shift + 1, (len(audio), 1, 1), device=audio.device)
        sample = torch.arange(LENGTH, device=audio.device) - shift
        return torch.where(sample < 0, 0, audio.gather(2, sample.clamp(min=0).expand_as(audio)))

    def spectrogram(self, audio: Tensor) -> Tensor:
        """Sounds (B, 1, T) to log magnitudes (B, 1, 128, 128) in about [-1, 2], time before frequency."""
        return (0.3 * log_magnitude(audio, FLOOR, HOP_LENGTH)[..., :SIDE] + 1).to(self.dtype)

    def classification_loss(self, spectrogram: Tensor, label: Tensor) -> Tensor:
        """Cross-entropy of the classifier, for spectrograms (B, 1, 128, 128)."""
        x = avg_pool2d(spectrogram, 2)
        strength = self.hparams.noise * self.drawn(torch.rand, len(x), 1, 1, 1)
        return cross_entropy(self.classifier(x + strength * torch.randn_like(x)), label)

    def training_step(self, batch: AudioBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d, optimizer_c = self.optimizers()
        scheduler_g, scheduler_d, scheduler_c = cast(list[LRScheduler], self.lr_schedulers())
        h, label, real = self.hparams, self.conditions(batch.label), self.moved(batch.audio)

        if scheduler_c.last_epoch < h.classifier_updates:
            with self.toggled_optimizer(optimizer_c):
                loss_c = self.classification_loss(self.spectrogram(real), label)
                if self.update(optimizer_c, loss_c):
                    scheduler_c.step()
            self.log("train/loss_c", loss_c, prog_bar=True)
            return

        self.classifier.eval()
        losses: dict[str, Tensor] = {}
        fake = self.moved(self.generate(batch))
        reals, fakes = (real, self.spectrogram(real)), (fake, self.spectrogram(fake))
        critics = [partial(discriminator, label=label) for discriminator in self.discriminator.values()]

        with self.toggled_optimizer(optimizer_d):
            pairs = zip(critics, reals, fakes, strict=True)
            terms = [cross_entropy_d(critic(x), critic(y.detach())) for critic, x, y in pairs]
            loss_d = total = torch.stack(terms).sum()
            if self.batches_seen % h.penalty_every == 0:
                penalties = [r1_penalty(critic, x) for critic, x in zip(critics, reals, strict=True)]
                losses |= zip(("train/penalty", "train/penalty_spectrogram"), penalties, strict=True)
                weighted = sum(w * penalty for w, penalty in zip(h.penalty_weight, penalties, strict=True))
                total = loss_d + h.penalty_every * weighted
            if self.update(optimizer_d, total):
                scheduler_d.step()

        with self.toggled_optimizer(optimizer_g):
            terms = [non_saturating_g(critic(y)) for critic, y in zip(critics, fakes, strict=True)]
            loss_g_adversarial = torch.stack(terms).sum()
            loss_g_classes = self.classification_loss(fakes[1], label)
            loss_g = loss_g_adversarial + h.class_weight * loss_g_classes
            if self.update(optimizer_g, loss_g):
                scheduler_g.step()
        losses |= {"train/loss_g_adversarial": loss_g_adversarial, "train/loss_g_classes": loss_g_classes}
        self.log_dict({"train/loss_d": loss_d, "train/loss_g": loss_g}, prog_bar=True)
        self.log_dict(losses)

    def configure_optimizers(self) -> tuple[list[torch.optim.Optimizer], list[LRScheduler]]:
        h = self.hparams
        optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Adam(network.parameters(), lr, betas, fused=True)
            for network, lr, betas in (
                (self.generator, h.lr, h.betas),
                (self.discriminator, h.lr, h.betas),
                (self.classifier, h.lr_c, (0.9, 0.999)),
            )
        ]
        schedulers: list[LRScheduler] = [StepLR(optimizer, h.lr_decay_steps, gamma=0.5) for optimizer in optimizers[:2]]
        return optimizers, [*schedulers, LinearLR(optimizers[2], 1.0, 0.0, max(h.classifier_updates, 1))]
