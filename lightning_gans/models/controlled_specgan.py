"""SpecGAN (Donahue et al. 2019, https://arxiv.org/abs/1802.04208) that speaks what it is asked to.

The networks are those of ``specgan.py``. What was added, of other papers, so that digits come out clear of 20 minutes
of recordings:

- Labels: conditional batch norm in G (Dumoulin et al. 2017, https://arxiv.org/abs/1610.07629), and D's projection
  (Miyato & Koyama 2018, https://arxiv.org/abs/1802.05637).
- The classifier C of ControlGAN (Lee & Seok 2019, https://arxiv.org/abs/1708.00598), whose cross-entropy joins G's
  loss.
- The non-saturating loss with R1 (Mescheder et al. 2018, https://arxiv.org/abs/1801.04406), which is taken every few
  batches with as many times the weight, as in StyleGAN2 (Karras et al. 2020, https://arxiv.org/abs/1912.04958).
- Whatever D and C see is moved in time, real or not (Zhao et al. 2020, https://arxiv.org/abs/2006.10738).

Departures from these papers:

- C learns first, alone, and from recordings only; it then stays as it is, and its weight is constant.
- C sees spectrograms at half their size and with noise of a strength drawn for each, so that G cannot please it with
  textures that nobody hears.
- Clips of 8192 samples with a hop of 64, for recordings at 8 kHz: the picture has as many frames and frequencies as the
  paper's, and none of it is empty.
- 32 iterations of Griffin and Lim's method; frames overlap by three quarters, not by half.
"""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, pad, relu
from torch.optim.lr_scheduler import LinearLR, LRScheduler, StepLR

from lightning_gans.audio.stft import griffin_lim
from lightning_gans.data.batches import AudioBatch
from lightning_gans.losses.adversarial import cross_entropy_d, non_saturating_g
from lightning_gans.losses.penalties import r1_penalty
from lightning_gans.models.controlgan import Classifier
from lightning_gans.models.specgan import BINS, CLIP, KERNEL, LAYERS, N_FFT, STRIDE, Layers, log_magnitude
from lightning_gans.models.wavegan import START
from lightning_gans.networks.conditional_norm import ConditionalBatchNorm
from lightning_gans.networks.tensorflow import SameConvTranspose2d, glorot
from lightning_gans.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Share
from lightning_gans.training.adversarial_module import AdversarialModule
from lightning_gans.training.statistics import training_statistics

LENGTH, HOP_LENGTH, SIDE = 8192, 64, 128
ITERATIONS = 32


class Generator(nn.Module):
    """Latents (B, Z) and label rows (B, K) to spectrograms (B, 1, 128, 128) in [-1, 1], time before frequency."""

    def __init__(self, width: int, latent_dim: int, classes: int) -> None:
        super().__init__()
        c = [width * 2**i for i in reversed(range(LAYERS))]
        self.project = nn.Linear(latent_dim + classes, START * c[0])
        self.up = nn.ModuleList(
            SameConvTranspose2d(c_in, c_out, KERNEL, STRIDE) for c_in, c_out in zip(c, [*c[1:], 1], strict=True)
        )
        self.norm = nn.ModuleList(ConditionalBatchNorm(size, classes, dims=2) for size in c)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        h = self.project(torch.cat([z, label], 1)).unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2)
        for norm, up in zip(self.norm, self.up, strict=True):
            h = up(relu(norm(h, label)))
        return h.tanh()


class Discriminator(Layers):
    """Spectrograms (B, 1, 128, 128) and label rows (B, K) to logits (B, 1)."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__(width, batch_norm=False)
        self.embedding = nn.Linear(classes, width * 2 ** (LAYERS - 1), bias=False)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        h = self.features(x)
        return self.logits(h) + (self.embedding(label.to(h)) * h.mean((2, 3))).sum(1, keepdim=True)


class ControlledSpecGAN(AdversarialModule):
    """The GAN of spectrograms with labels and a classifier: 8192 samples of mono audio, 128 frames, 128 frequencies.

    The first batches are updates of C. Each one after them is one of D, then one of G.

    Args:
        num_classes: K.
        sample_rate: In Hz; says how to play what is generated.
        width: d, the model dimension; channels of the layers nearest to the spectrogram, of all three networks.
        latent_dim: Z, uniform on (-1, 1).
        floor: Added to magnitudes before the logarithm; a sine of full scale has a magnitude of 64.
        class_weight: gamma, of C's cross-entropy in G's loss.
        classifier_updates: Of C, before G and D begin; its rate falls to 0 over them.
        noise: Largest deviation of the noise that C's spectrograms get.
        max_shift: Frames by which spectrograms are delayed at most.
        penalty_weight: Of R1, which is half of its gamma.
        penalty_every: Batches of which one has R1.
        lr: Learning rate of G's and D's Adam.
        lr_c: That of C's, at first.
        lr_decay_steps: Generator updates after which G's and D's rates are halved, again and again.
        betas: Decays of the first and the second moment, for G and D.

    Raises:
        InputError: for a floor of 0 and below.
    """

    networks: ClassVar[dict[str, str]] = {"g": "generator", "d": "discriminator", "c": "classifier"}
    linear_labels: ClassVar[bool] = True
    unfit_for_onnx = "32 iterations of Griffin-Lim make plain differences of another runtime's rounding"
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        num_classes: PositiveInt = 10,
        sample_rate: PositiveInt = 8000,
        width: PositiveInt = 64,
        latent_dim: PositiveInt = 100,
        floor: PositiveFloat = 0.003,
        class_weight: NonNegativeFloat = 0.5,
        classifier_updates: NonNegativeInt = 1000,
        noise: NonNegativeFloat = 0.3,
        max_shift: NonNegativeInt = 16,
        penalty_weight: NonNegativeFloat = 0.2,
        penalty_every: PositiveInt = 4,
        lr: NonNegativeFloat = 2e-4,
        lr_c: NonNegativeFloat = 1e-3,
        lr_decay_steps: PositiveInt = 10_000,
        betas: tuple[Share, Share] = (0.0, 0.99),
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.audio_shape, self.sample_rate, self.num_classes = (1, LENGTH), sample_rate, num_classes
        self.generator = Generator(width, latent_dim, num_classes)
        self.discriminator = Discriminator(width, num_classes)
        self.classifier = Classifier(SIDE // 2, 1, num_classes, width)
        # Per frequency, of the logarithm of the magnitudes in the training set; a deviation of 0 is not yet known.
        self.register_buffer("mean", torch.zeros(BINS))
        self.register_buffer("std", torch.zeros(BINS))
        glorot(self)

    # ---- features

    def features(self, audio: Tensor) -> Tensor:
        """Audio (B, 1, T) to normalized log magnitudes (B, 1, 128, 128) in [-1, 1], time before frequency."""
        return self.normalized(log_magnitude(audio, self.hparams.floor, HOP_LENGTH))

    def normalized(self, log: Tensor) -> Tensor:
        """Log magnitudes (..., F) to those of all frequencies but the highest, in [-1, 1]."""
        return ((log - self.mean) / self.std / CLIP)[..., : BINS - 1].clamp(-1, 1).to(self.dtype)

    def invert(self, x: Tensor) -> Tensor:
        """Spectrograms (B, 1, 128, 128) to audio (B, 1, T); the highest frequency is at its mean."""
        log = pad(x.float(), (0, 1)) * CLIP * self.std + self.mean
        magnitude = (log.exp() - self.hparams.floor).clamp(min=0).transpose(-1, -2)
        return griffin_lim(magnitude, N_FFT, HOP_LENGTH, LENGTH, ITERATIONS)

    def on_fit_start(self) -> None:
        """Compute the statistics of the features, unless they came with the weights."""
        super().on_fit_start()
        if self.std.count_nonzero() == 0:
            frames = lambda batch: log_magnitude(batch.audio, self.hparams.floor, HOP_LENGTH).flatten(0, -2)  # noqa: E731
            mean, std = training_statistics(self, frames)
            self.mean.copy_(mean)
            self.std.copy_(std)

    def moved(self, x: Tensor) -> Tensor:
        """Spectrograms (B, 1, 128, 128), each delayed by its own number of frames; silence goes before."""
        shift = torch.randint(0, self.hparams.max_shift + 1, (len(x), 1, 1, 1), device=x.device)
        frame = torch.arange(SIDE, device=x.device)[:, None] - shift
        silence = self.normalized(torch.full_like(self.mean, self.hparams.floor).log())
        return torch.where(frame < 0, silence.to(x), x.gather(2, frame.clamp(min=0).expand_as(x)))

    # ---- the GAN

    def prior(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        return 2 * self.drawn(torch.rand, num, self.hparams.latent_dim, generator=generator) - 1

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        """Latents (B, Z) and label rows (B, K) to audio (B, 1, T)."""
        return self.invert(self.generator(z, label))

    def generate(self, batch: AudioBatch) -> Tensor:
        return self(self.prior(len(batch.audio)), self.conditions(batch.label))

    @property
    def twice_differentiated(self) -> tuple[str, ...]:
        return ("discriminator",)

    def classification_loss(self, x: Tensor, label: Tensor) -> Tensor:
        """Cross-entropy of the classifier, for spectrograms (B, 1, 128, 128)."""
        x = avg_pool2d(x, 2)
        strength = self.hparams.noise * self.drawn(torch.rand, len(x), 1, 1, 1)
        return cross_entropy(self.classifier(x + strength * torch.randn_like(x)), label)

    def training_step(self, batch: AudioBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d, optimizer_c = self.optimizers()
        scheduler_g, scheduler_d, scheduler_c = cast(list[LRScheduler], self.lr_schedulers())
        h, label, real = self.hparams, self.conditions(batch.label), self.moved(self.features(batch.audio))

        if scheduler_c.last_epoch < h.classifier_updates:
            with self.toggled_optimizer(optimizer_c):
                loss_c = self.classification_loss(real, label)
                if self.update(optimizer_c, loss_c):
                    scheduler_c.step()
            self.log("train/loss_c", loss_c, prog_bar=True)
            return

        self.classifier.eval()
        losses: dict[str, Tensor] = {}
        fake = self.moved(self.generator(self.prior(len(real)), label))

        with self.toggled_optimizer(optimizer_d):
            loss_d = total = cross_entropy_d(self.discriminator(real, label), self.discriminator(fake.detach(), label))
            if self.batches_seen % h.penalty_every == 0:
                losses["train/penalty"] = r1_penalty(lambda x: self.discriminator(x, label), real)
                total = loss_d + h.penalty_every * h.penalty_weight * losses["train/penalty"]
            if self.update(optimizer_d, total):
                scheduler_d.step()

        with self.toggled_optimizer(optimizer_g):
            loss_g_adversarial = losses["train/loss_g_adversarial"] = non_saturating_g(self.discriminator(fake, label))
            loss_g_classes = losses["train/loss_g_classes"] = self.classification_loss(fake, label)
            loss_g = loss_g_adversarial + h.class_weight * loss_g_classes
            if self.update(optimizer_g, loss_g):
                scheduler_g.step()
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
