"""Vocos, Siuzdak 2024, https://arxiv.org/abs/2306.00814.

"Vocos: Closing the gap between time-domain and Fourier-based neural vocoders for high-quality audio synthesis". The
paper's model of mels, ``charactr/vocos-mel-24khz``. Its other one starts from the tokens of EnCodec, which are no mels,
and so is not here.

Where the paper and the authors' code (https://github.com/gemelo-ai/vocos) differ, the values are the code's, from which
the released weights come: AdamW with a rate of 5e-4 and betas of 0.8 and 0.9, a hinge for G that is cut off at 1,
features summed over layers, and since October 2023 the discriminators of spectra in bands in place of UnivNet's.

Departures from both:

- ``center`` makes the last hop too, from the tails of the frames before it: L frames make L hops.
- G runs once a batch, not twice: nothing changes it between D's update and its own.
- The loss's mels are those of the input, up to half the sample rate. The code has the 100 bands of the published model
  there for inputs of other kinds too.
- The rate of D does not fall while D waits for the end of ``pretrain_mel_steps``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, l1_loss
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from lightning_gans.audio import MelConfig, log_mel
from lightning_gans.data.batches import MelBatch
from lightning_gans.errors import InputError, check_choice
from lightning_gans.losses.adversarial import hinge_d, hinge_g
from lightning_gans.losses.features import Outputs, feature_matching
from lightning_gans.losses.spectral import MultiResolutionSTFTLoss
from lightning_gans.networks.inverse_stft import InverseSTFT, Padding
from lightning_gans.networks.multi_band_stft_discriminator import MultiBandSTFTDiscriminator
from lightning_gans.networks.multi_period_discriminator import MultiPeriodDiscriminator
from lightning_gans.networks.waveform_discriminators import in_one_pass
from lightning_gans.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from lightning_gans.training.vocoder import Vocoder

PRESETS = {"mel_24khz": "vocos"}
"""The mels of the published models; their sizes are the defaults."""
KERNEL = 7
"""Of every convolution, in frames."""
LARGEST_MAGNITUDE = 100.0


class ConvNeXtBlock(nn.Module):
    """A depthwise convolution, then a network of one hidden layer for each frame, scaled: (B, H, L) to (B, H, L)."""

    def __init__(self, dim: int, intermediate_dim: int, scale: float) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(dim, dim, KERNEL, padding=KERNEL // 2, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, intermediate_dim)
        self.pwconv2 = nn.Linear(intermediate_dim, dim)
        self.gamma = nn.Parameter(torch.full((dim,), scale))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.dwconv(x).mT)  # (B, L, H)
        return x + (self.gamma * self.pwconv2(gelu(self.pwconv1(h)))).mT


class Backbone(nn.Module):
    """Features (B, M, L) to (B, L, H), at one rate throughout."""

    def __init__(self, n_mels: int, dim: int, intermediate_dim: int, num_layers: int) -> None:
        super().__init__()
        self.embed = nn.Conv1d(n_mels, dim, KERNEL, padding=KERNEL // 2)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.convnext = nn.ModuleList(ConvNeXtBlock(dim, intermediate_dim, 1 / num_layers) for _ in range(num_layers))
        self.final_layer_norm = nn.LayerNorm(dim, eps=1e-6)
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                nn.init.normal_(module.weight, std=0.02)  # the code cuts it off at 100 deviations
                nn.init.zeros_(cast(Tensor, module.bias))

    def forward(self, mel: Tensor) -> Tensor:
        x = self.norm(self.embed(mel).mT).mT
        for block in self.convnext:
            x = block(x)
        return self.final_layer_norm(x.mT)


class ISTFTHead(nn.Module):
    """Hidden frames (B, L, H) to magnitudes and phases, and those to audio (B, 1, T), which nothing bounds."""

    def __init__(self, dim: int, n_fft: int, hop_length: int, padding: Padding) -> None:
        super().__init__()
        self.out = nn.Linear(dim, n_fft + 2)
        self.istft = InverseSTFT(n_fft, hop_length, padding)

    def forward(self, x: Tensor) -> Tensor:
        h = self.out(x).mT
        with torch.autocast(h.device.type, enabled=False):  # no half precision has the range of exp, or an FFT
            log_magnitude, phase = h.to(torch.promote_types(h.dtype, torch.float32)).chunk(2, 1)  # (B, F, L)
            magnitude = log_magnitude.exp().clamp(max=LARGEST_MAGNITUDE)
            return self.istft(magnitude * phase.cos(), magnitude * phase.sin())[:, None]


class Generator(nn.Module):
    """Log-mel (B, M, L) to audio (B, 1, T).

    Args:
        n_mels: M.
        dim: H, channels.
        intermediate_dim: Of the blocks' hidden layers.
        num_layers: Blocks.
        n_fft: Of the inverse STFT.
        hop_length: Samples per frame.
        padding: See ``InverseSTFT``.
    """

    def __init__(
        self,
        n_mels: int,
        dim: int,
        intermediate_dim: int,
        num_layers: int,
        n_fft: int,
        hop_length: int,
        padding: Padding,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(n_mels, dim, intermediate_dim, num_layers)
        self.head = ISTFTHead(dim, n_fft, hop_length, padding)

    def forward(self, mel: Tensor) -> Tensor:
        return self.head(self.backbone(mel))

    @property
    def reach(self) -> int:
        """Frames on either side that a frame's samples depend on."""
        return KERNEL // 2 * (len(self.backbone.convnext) + 1) + self.head.istft.reach


class Discriminator(nn.Module):
    """HiFi-GAN's periods without their first maps, then spectra in bands: (B, 1, T) to ``losses.features.Outputs``."""

    def __init__(self, period_width: float, band_width: int) -> None:
        super().__init__()
        self.periods = MultiPeriodDiscriminator(width=period_width)
        self.bands = MultiBandSTFTDiscriminator(width=band_width)

    def forward(self, audio: Tensor) -> Outputs:
        return [(logits, maps[1:]) for logits, maps in self.periods(audio)] + self.bands(audio)

    def weights(self, of_bands: float) -> list[float]:
        """Of each part's losses: a mean over the periods, and one over the resolutions times ``of_bands``."""
        periods, bands = len(self.periods.discriminators), len(self.bands.discriminators)
        return [1 / periods] * periods + [of_bands / bands] * bands


class Vocos(Vocoder):
    """The vocoder that makes spectra, frame by frame, and leaves the samples to an inverse Fourier transform.

    A batch is an update of D, then of G, from one pass of G. The rates fall along half a cosine to 0 at the end of the
    training, step by step.

    Args:
        preset: The published model, which gives the mel where that is None.
        mel: The convention of the features, see ``MelConfig.of``. Its ``n_fft`` and ``hop_length`` are the head's too.
        dim: H, channels of G.
        intermediate_dim: Of G's hidden layers.
        num_layers: Blocks of G.
        padding: Where a frame lies in the sound, see ``InverseSTFT``; when not given, where the mel has it: ``center``
            for framing center, ``same`` for framing hop.
        mel_weight: lambda_mel, of the distance of log-mels, which reach up to half the sample rate.
        stft_weight: Of the multi-resolution STFT loss (https://arxiv.org/abs/1910.11480), which neither paper nor code
            has; it helps where data are few.
        adversarial_weight: Of D's judgement in G's loss.
        feature_weight: Of matching D's feature maps.
        mrd_loss_coeff: Of the discriminators of bands beside those of periods, in all three losses.
        pretrain_mel_steps: Generator updates before D joins.
        period_width: Factor of the channels of the discriminators of periods.
        band_width: Channels of those of bands.
        lr: Learning rate of both networks.
        warmup_steps: Updates over which it rises to that.
    """

    def __init__(
        self,
        preset: Literal["mel_24khz"] = "mel_24khz",
        mel: str | dict[str, Any] | None = None,
        dim: PositiveInt = 512,
        intermediate_dim: PositiveInt = 1536,
        num_layers: PositiveInt = 8,
        padding: Padding | None = None,
        mel_weight: NonNegativeFloat = 45.0,
        stft_weight: NonNegativeFloat = 0.0,
        adversarial_weight: NonNegativeFloat = 1.0,
        feature_weight: NonNegativeFloat = 1.0,
        mrd_loss_coeff: NonNegativeFloat = 0.1,
        pretrain_mel_steps: NonNegativeInt = 0,
        period_width: PositiveFloat = 1.0,
        band_width: PositiveInt = 32,
        lr: NonNegativeFloat = 5e-4,
        warmup_steps: NonNegativeInt = 0,
    ) -> None:
        check_choice("preset", preset, PRESETS)
        config = MelConfig.of(PRESETS[preset] if mel is None else mel)
        padding = ("center" if config.framing == "center" else "same") if padding is None else padding
        mel = config.hparams()  # a checkpoint names every field
        super().__init__(mel)
        self.save_hyperparameters()
        self.loss_mel = MelConfig.of(mel | {"f_max": None})
        self.generator = Generator(
            config.n_mels, dim, intermediate_dim, num_layers, config.n_fft, config.hop_length, padding
        )
        self.discriminator = Discriminator(period_width, band_width)
        self.stft_loss = MultiResolutionSTFTLoss()
        self.receptive_frames = self.generator.reach

    @classmethod
    def data_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        return {"mel": PRESETS[options["preset"]] if options["mel"] is None else options["mel"], "context": cls.context}

    def forward(self, mel: Tensor) -> Tensor:
        """Log-mel (B, M, L) to audio (B, 1, T)."""
        return self.generator(self.normalized(mel))

    def training_step(self, batch: MelBatch, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        scheduler_g, scheduler_d = cast(list[LRScheduler], self.lr_schedulers())
        h, real, fake = self.hparams, batch.audio, self(batch.mel)
        d_trains = self.global_step >= h.pretrain_mel_steps
        weights = self.discriminator.weights(h.mrd_loss_coeff)
        losses: dict[str, Tensor] = {}

        if d_trains:
            with self.toggled_optimizer(optimizer_d):
                of_real, of_fake = in_one_pass(self.discriminator, real, fake.detach())
                hinges = [w * hinge_d(r, f) for w, (r, _), (f, _) in zip(weights, of_real, of_fake, strict=True)]
                losses["train/loss_d"] = torch.stack(hinges).sum()
                if self.update(optimizer_d, losses["train/loss_d"]):
                    scheduler_d.step()

        with self.toggled_optimizer(optimizer_g):
            losses["train/loss_g_mel"] = l1_loss(log_mel(fake, self.loss_mel), log_mel(real, self.loss_mel))
            loss_g = h.mel_weight * losses["train/loss_g_mel"]
            if h.stft_weight:
                losses["train/loss_g_stft"] = torch.stack(self.stft_loss(fake, real)).sum()
                loss_g = loss_g + h.stft_weight * losses["train/loss_g_stft"]
            if d_trains:  # as it has just been updated
                with torch.no_grad():
                    of_real = self.discriminator(real)
                of_fake = self.discriminator(fake)
                hinges = [w * hinge_g(logits) for w, (logits, _) in zip(weights, of_fake, strict=True)]
                gaps = [
                    w * feature_matching([r], [f], with_logits=True)
                    for w, r, f in zip(weights, of_real, of_fake, strict=True)
                ]
                losses["train/loss_g_adversarial"] = torch.stack(hinges).sum()
                losses["train/loss_g_features"] = torch.stack(gaps).sum()
                loss_g = loss_g + h.adversarial_weight * losses["train/loss_g_adversarial"]
                loss_g = loss_g + h.feature_weight * losses["train/loss_g_features"]
            if self.update(optimizer_g, loss_g):
                scheduler_g.step()
        losses["train/loss_g"] = loss_g
        self.log_dict(losses, prog_bar=True)

    def configure_optimizers(self) -> tuple[list[torch.optim.Optimizer], list[LRScheduler]]:
        h, trainer = self.hparams, self.trainer
        if trainer.max_steps == trainer.max_epochs == -1:
            raise InputError("the learning rate of Vocos falls until the training ends; give --trainer.max_steps")
        optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(network.parameters(), h.lr, (0.8, 0.9), fused=True)
            for network in (self.generator, self.discriminator)
        ]
        return optimizers, [
            LambdaLR(optimizers[0], lambda step: half_cosine(step, self.planned_updates, h.warmup_steps)),
            LambdaLR(
                optimizers[1],
                lambda step: half_cosine(step, self.planned_updates - h.pretrain_mel_steps, h.warmup_steps),
            ),
        ]

    @property
    def planned_updates(self) -> float:
        """Of G in the whole training; infinite where epochs bound it and their length is not known yet."""
        trainer = self.trainer
        of_epochs = trainer.num_training_batches * (trainer.max_epochs or 0) / self.accumulation["g"].batches
        return min(n for n in (trainer.max_steps, of_epochs) if n > 0)


def half_cosine(step: int, steps: float, warmup_steps: int) -> float:
    """Factor of the learning rate: a line from 0 to 1, then half a cosine, which is 0 after ``steps``."""
    if step < warmup_steps:
        return step / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup_steps) / max(1.0, steps - warmup_steps))))
