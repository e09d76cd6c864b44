"""Papers with networks that train in milliseconds, their data, and runs that leave nothing behind."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from helpers.tiny_mels import (
    FRAMES,
    sounds,
    tiny_bigvgan,
    tiny_hifigan,
    tiny_melgan,
    tiny_multi_scale,
    tiny_parallel_wavegan,
    tiny_stft_melgan,
    tiny_vocos,
)
from lightning import Callback, LightningDataModule, Trainer
from lightning.pytorch.loggers.logger import Logger
from torch import Tensor, nn

from lightning_gans.data.audio.folder import AudioFolder
from lightning_gans.data.audio.slicing import AudioClips
from lightning_gans.data.audio.sounds import Sounds
from lightning_gans.data.images.base import ImageDataModule
from lightning_gans.data.loading import ImagesInMemory
from lightning_gans.data.mels.folder import MelFolder
from lightning_gans.models import (
    CGAN,
    DCGAN,
    GAN,
    R3GAN,
    WGANGP,
    ConditionalWaveGAN,
    ControlGAN,
    ControlledSpecGAN,
    ControlledWaveGAN,
    LogitControlGAN,
    SpecGAN,
    WaveGAN,
)
from lightning_gans.training.adversarial_module import AdversarialModule
from lightning_gans.training.vocoder import Vocoder

SIZE, CLASSES = 32, 3
_gan = dict(image_shape=(1, SIZE, SIZE), latent_dim=4)
_control = dict(image_size=SIZE, channels=1, num_classes=CLASSES, labels="class", latent_dim=4, width=4)
_dcgan = dict(image_size=SIZE, channels=1, latent_dim=4, width=4)
_wavegan = dict(length=256, latent_dim=4, width=4)
# the loss of a batch is the mean of its examples', and the first steps of RAdam move something
_parallel = dict(stft_reduction="example", lr_g=1e-2, lr_d=1e-2)

PAPERS: dict[str, Callable[[], AdversarialModule]] = {
    "gan": lambda: GAN(**_gan, hidden=32, units=6, pieces=2),
    "cgan": lambda: CGAN(**_gan, num_classes=CLASSES),
    "controlgan": lambda: ControlGAN(**_control),
    "controlgan_logit": lambda: LogitControlGAN(**_control),
    "dcgan_paper": lambda: DCGAN("paper", **_dcgan),
    "dcgan_torch": lambda: DCGAN("torch", **_dcgan),
    "wgan_gp": lambda: WGANGP(**_dcgan, n_critic=2),
    "r3gan": lambda: R3GAN(SIZE, 1, CLASSES, latent_dim=4, widths=(8,) * 4, group_size=4, blocks=1, lr=(1e-2, 1e-2)),
    "wavegan": lambda: WaveGAN(**_wavegan, n_critic=2),
    "wavegan_wgan": lambda: WaveGAN(**_wavegan, n_critic=2, loss="wgan"),
    "wavegan_labels": lambda: ConditionalWaveGAN(
        CLASSES, **_wavegan, n_critic=2, loss="lsgan", batch_norm=True, post_filter=True
    ),
    "specgan": lambda: SpecGAN(latent_dim=4, width=1, n_critic=2),
    "specgan_controlled": lambda: ControlledSpecGAN(
        CLASSES, sample_rate=16000, latent_dim=4, width=1, classifier_updates=1, penalty_every=2
    ),
    "wavegan_controlled": lambda: ControlledWaveGAN(
        CLASSES, sample_rate=16000, latent_dim=4, width=1, classifier_updates=1, penalty_every=2
    ),
    "melgan": tiny_melgan,
    "melgan_stft": tiny_stft_melgan,
    "parallel_wavegan": lambda: tiny_parallel_wavegan(**_parallel),
    "parallel_wavegan_features": lambda: tiny_multi_scale(**_parallel, recompute_fake=False),
    "hifigan": tiny_hifigan,
    "bigvgan": tiny_bigvgan,
    "bigvgan_v2": lambda: tiny_bigvgan("v2_22khz_80band_256x"),
    "vocos": tiny_vocos,
    "controlgan_gp": lambda: LogitControlGAN(**_control, loss="wasserstein", penalty_weight=10.0),
}
WITHOUT_NOISE = [name for name in PAPERS if name.startswith(("melgan", "hifigan", "bigvgan", "vocos"))]
VOCODERS = [*WITHOUT_NOISE, *(name for name in PAPERS if name.startswith("parallel_wavegan"))]
G_UPDATES = {"dcgan_paper": (1, 1, 2, 2, 3)} | dict.fromkeys(("specgan_controlled", "wavegan_controlled"), (0, 1, 2, 3))
G_UPDATES |= dict.fromkeys(
    ("wgan_gp", "r3gan", "wavegan", "wavegan_wgan", "wavegan_labels", "specgan"), (0, 1, 1, 2, 2, 3)
)
"""Generator updates after each batch, until there are three; one per batch with the others."""


def build(name: str, seed: int = 0) -> AdversarialModule:
    torch.manual_seed(seed)
    return PAPERS[name]()


class TinyImages(ImageDataModule):
    """Noise whose brightness is the class, as uint8; the same at each call."""

    num_classes = CLASSES

    def __init__(
        self, batch_size: int = 4, count: int = 16, size: int = SIZE, channels: int = 1, attributes: bool = False
    ) -> None:
        super().__init__(batch_size=batch_size, eval_batch_size=4, image_size=size)
        generator = torch.Generator().manual_seed(0)
        label = torch.arange(count) % CLASSES
        brightness = (60 * label + 40)[:, None, None, None]
        image = brightness + torch.randint(0, 60, (count, channels, size, size), generator=generator)
        if attributes:
            label = torch.randint(0, 2, (count, CLASSES), generator=generator)
        data = ImagesInMemory(image.byte(), label)
        self.image_shape = (channels, size, size)
        self.splits = {"train": data, "val": data.part(0, 8), "test": data.part(0, 8)}


class TinyClips(AudioFolder):
    """Noise whose loudness is the class; the same at each call."""

    num_classes = CLASSES

    def __init__(self, batch_size: int = 4, count: int = 16, length: int = 256) -> None:
        super().__init__(batch_size=batch_size, eval_batch_size=4, length=length)
        generator = np.random.default_rng(0)
        label = np.arange(count) % CLASSES
        loudness = (6000 * label + 4000)[:, None]
        samples = (loudness * generator.uniform(-1, 1, (count, length))).astype(np.int16)
        names, start = [str(i) for i in range(count)], length * np.arange(count)
        sounds = Sounds(names, samples.ravel(), start, np.full(count, length), 1, 16000, {16000: count}, {})
        rows = {"train": slice(None), "val": slice(0, 8), "test": slice(0, 8)}
        self.splits = {
            split: AudioClips(sounds, np.arange(count)[part], torch.from_numpy(label[part]), length)
            for split, part in rows.items()
        }

    def prepare_data(self) -> None:
        """There are no files."""


class TinySpeech(MelFolder):
    """Tones with noise, a few frames longer than a crop; the same at each call."""

    def __init__(self, module: Vocoder, batch_size: int = 4, count: int = 16) -> None:
        hop = module.mel_config.hop_length
        crops = dict(crop=FRAMES * hop, gain=(0.5, 1.0), batch_size=batch_size)
        super().__init__(mel=module.hparams.mel, context=module.context, **crops)
        self.hparams.pop("module")  # which no checkpoint should hold
        samples = (sounds(count, FRAMES + 8, hop).numpy() * 30000).astype(np.int16)
        length = samples.shape[-1]
        names, start = [str(i) for i in range(count)], length * np.arange(count)
        made = Sounds(names, samples.ravel(), start, np.full(count, length), 1, self.sample_rate, {}, {})
        rows = {"train": np.arange(count), "val": np.arange(2), "test": np.arange(2, 4)}
        self.splits = self._split({split: (made, of_split) for split, of_split in rows.items()})

    def prepare_data(self) -> None:
        """There are no files."""


def data_for(module: AdversarialModule, **options: int) -> LightningDataModule:
    """Images, clips of the module's length, or its mels."""
    if isinstance(module, Vocoder):
        return TinySpeech(module, **options)
    if hasattr(module, "audio_shape"):
        return TinyClips(length=module.audio_shape[1], **options)
    return TinyImages(**options)


def fit(
    module: AdversarialModule,
    data: LightningDataModule | None = None,
    callbacks: Sequence[Callback] = (),
    resume: Any = None,
    **options: Any,
) -> Trainer:
    defaults = dict(
        accelerator="cpu",
        devices=1,
        max_steps=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        log_every_n_steps=1,
    )
    trainer = Trainer(**defaults | options, callbacks=list(callbacks))
    trainer.fit(module, data or data_for(module), ckpt_path=resume, weights_only=True)
    return trainer


def weights(module: nn.Module) -> dict[str, Tensor]:
    """A copy of the parameters."""
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def state(module: nn.Module) -> dict[str, Tensor]:
    """A copy of the parameters and the saved buffers."""
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


class Log(Logger):
    """What was logged, line by line."""

    name, version = "log", 0

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, float]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.lines.append(metrics)

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        pass


class Latents(Callback):
    """The latents that were drawn, training and validation apart; of vocoders, the noise that G was given."""

    def __init__(self) -> None:
        self.train: list[Tensor] = []
        self.val: list[Tensor] = []

    def setup(self, trainer: Trainer, module: AdversarialModule, stage: str) -> None:
        if isinstance(module, Vocoder):
            module.generator.register_forward_pre_hook(self.note)
            return
        prior = module.prior

        def noting(num: int, generator: torch.Generator | None = None) -> Tensor:
            z = prior(num, generator)
            (self.train if trainer.training else self.val).append(z)
            return z

        module.prior = noting

    def note(self, generator: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if torch.is_grad_enabled() and len(inputs) == 2:  # else a second pass with the same noise, or no noise
            self.train.append(inputs[0])


class Gradients(Callback):
    """The largest gradient of each parameter, over all its updates."""

    def __init__(self) -> None:
        self.largest: dict[str, float] = {}

    def on_before_optimizer_step(
        self, trainer: Trainer, module: AdversarialModule, optimizer: torch.optim.Optimizer
    ) -> None:
        of_optimizer = {id(p) for group in optimizer.param_groups for p in group["params"]}
        for name, parameter in module.named_parameters():
            if id(parameter) in of_optimizer and parameter.grad is not None:
                assert parameter.grad.isfinite().all(), name
                self.largest[name] = max(self.largest.get(name, 0.0), parameter.grad.abs().max().item())


class SaveAfter(Callback):
    """A checkpoint in the end hook of one batch, counted from 1 over all epochs."""

    def __init__(self, path: Path, batches: int) -> None:
        self.path, self.batches = path, batches

    def on_train_batch_end(self, trainer: Trainer, module: AdversarialModule, *_: Any) -> None:
        if module.batches_seen + 1 == self.batches:
            trainer.save_checkpoint(self.path)


def without_batch_norm(module: nn.Module) -> nn.Module:
    """Batch norm sees a process's share of the batch only, so it stands in the way of comparing."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, (nn.BatchNorm1d, nn.BatchNorm2d)):
                setattr(parent, name, nn.Identity())
    return module


class LatentsOfData(Callback):
    """Latents as a function of the real examples, so that a batch has the same ones however it is parted."""

    def on_train_batch_start(
        self, trainer: Trainer, module: AdversarialModule, batch: NamedTuple, batch_idx: int
    ) -> None:
        if isinstance(module, Vocoder):
            return
        pixels = batch[0].flatten(1)
        directions = torch.randn(pixels.shape[1], module.hparams.latent_dim, generator=torch.Generator().manual_seed(1))
        z = pixels @ directions / pixels.shape[1] ** 0.5
        masks = sum(getattr(module.generator, "hidden", ()))  # of cGAN's G: nothing is dropped
        z = torch.nn.functional.pad(z, (0, masks), value=1.0)
        module.prior = lambda num, generator=None: z
