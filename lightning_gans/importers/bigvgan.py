"""Checkpoints of BigVGAN's authors (https://github.com/NVIDIA/BigVGAN), both versions.

``bigvgan_generator.pt`` or ``g_05000000`` has the generator, ``config.json`` beside it the mel convention, the
architecture and the weights of the losses, and ``bigvgan_discriminator_optimizer.pt`` or ``do_05000000``, where it is
there, both discriminators. A training goes on with fresh optimizers, at the first rate.

The filters of the activations, of the resampling and of the constant-Q transform are made here, and not read; those of
the activations are compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, allclose, ones, zeros

from lightning_gans.audio import MelConfig
from lightning_gans.errors import InputError
from lightning_gans.importers.hifigan import BETAS, MEL
from lightning_gans.importers.imported import Config, Imported, Importer, Opened
from lightning_gans.importers.torch_files import discriminators_beside, fitted, layers
from lightning_gans.models.bigvgan import PRESETS
from lightning_gans.networks.alias_free import low_pass

FIXED: dict[str, Any] = {"resblock": "1", "activation": "snakebeta", "snake_logscale": True}
"""Settings of the generator that all of the authors' models have, and ours too."""
FIXED_D: dict[str, Any] = {
    "mpd_reshapes": [2, 3, 5, 7, 11],
    "resolutions": [[1024, 120, 600], [2048, 240, 1200], [512, 50, 240]],
    "use_spectral_norm": False,
    "use_mbd_instead_of_mrd": False,
    "cqtd_filters_scale": 1,
    "cqtd_dilations": [1, 2, 4],
    "cqtd_hop_lengths": [512, 256, 256],
    "cqtd_n_octaves": [9, 9, 9],
    "cqtd_bins_per_octaves": [24, 36, 48],
    "cqtd_normalize_volume": False,
} | BETAS
"""The same of the discriminators and of the training."""
DISCRIMINATORS = (("^bigvgan_generator", "bigvgan_discriminator_optimizer"), ("^g_", "do_"))
FILTER = re.compile(r".*\.(upsample|downsample\.lowpass)\.filter")
TRANSFORM = re.compile(r".*\.(cqt_transform|resample)\..*")
NETWORKS = {"period_discriminator": "mpd", "spectral_discriminator": "mrd"}
"""From our names to theirs; what they call ``mrd`` is the discriminator of constant-Q spectra in the second version."""


def recognizes(content: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """A generator whose upsamplings are a level deeper than HiFi-GAN's, and whose last activation is learned."""
    return {"conv_pre", "ups.0.0", "activation_post.act"} <= layers(content.get("generator", content))


def read(files: Opened, *, config: Config) -> Imported:
    """Read a generator, with its discriminators where those are beside it.

    Args:
        files: A generator, with weight norm or without. The discriminators are in the file beside it, see above.
        config: Its ``config.json``.

    Raises:
        InputError: as ``Importer``; for another architecture, with the setting that differs.
    """
    source, generator = str(files.path), files.content.get("generator", files.content)
    hparams = arguments(config)
    states = {"generator": without_filters(source, generator)} | discriminators(files.path)
    others = [name for name, usual in FIXED_D.items() if config.values.get(name, usual) != usual]
    if others:
        differing = ", ".join(f"{name}={config.values[name]}" for name in others)
        if len(states) > 1:
            raise InputError(
                f"--config {config.path} has {differing}, which the discriminators here do not have; take their file"
                " away to read the generator alone"
            )
        rank_zero_warn(f"--config {config.path}: a training of BigVGAN goes on without {differing}")
    state = fitted(source, f"the BigVGAN of {config.path}", "BigVGAN", hparams, states, their_name)
    bands = hparams["mel"]["n_mels"]
    return Imported("BigVGAN", hparams, tuple(states), state | {"mel_mean": zeros(bands), "mel_scale": ones(bands)})


def arguments(config: Config) -> dict[str, Any]:
    """``BigVGAN``'s arguments.

    Raises:
        InputError: for a setting that is missing, of another kind than theirs, or of an architecture that is not ours.
    """
    source, values = f"--config {config.path}", config.values
    try:
        mel = {"name": "bigvgan"} | {ours: values[theirs] for theirs, ours in MEL.items()}
        rates, kernels = (tuple(values[name]) for name in ("upsample_rates", "upsample_kernel_sizes"))
        differing = [name for name, usual in FIXED.items() if str(values[name]) != str(usual)]
        if kernels != tuple(2 * rate for rate in rates):
            differing.append("upsample_kernel_sizes")
        cqt = bool(values.get("use_cqtd_instead_of_mrd", False))
        factor = float(values.get("discriminator_channel_mult", 1))
        hparams = {
            "width": int(values["upsample_initial_channel"]),
            "upsample_rates": rates,
            "resblock_kernels": tuple(values["resblock_kernel_sizes"]),
            "resblock_dilations": tuple(map(tuple, values["resblock_dilation_sizes"])),
            "final": "tanh" if values.get("use_tanh_at_final", True) else "clamp",
            "final_bias": bool(values.get("use_bias_at_final", True)),
            "spectra": "cqt" if cqt else "magnitude",
            "spectra_width": int(values.get("cqtd_filters", 32) if cqt else 32 * factor),
            "period_width": factor,
            "mel_loss": "multi_scale" if values.get("use_multiscale_melloss", False) else "single",
            "mel_weight": float(values.get("lambda_melloss", 45)),
            "clip_norm": float(values.get("clip_grad_norm", 1000)),
            "lr": float(values["learning_rate"]),
            "lr_decay": float(values["lr_decay"]),
        }
    except KeyError as error:
        raise InputError(f"{source} lacks {error.args[0]}; give the config.json of the training") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{source}: a value is of another kind than in BigVGAN's config.json ({error})") from None
    if differing:
        raise InputError(
            f"{source} has {', '.join(f'{name}={values[name]}' for name in differing)}; the generator here has"
            f" {', '.join(f'{name}={FIXED.get(name, [2 * rate for rate in rates])}' for name in differing)}; choose"
            " another checkpoint"
        )
    return {"preset": preset_of(mel, hparams), "mel": mel, **hparams}


def preset_of(mel: dict[str, Any], hparams: Mapping[str, Any]) -> str:
    """The authors' model of this size; the first where it is none of them, as nothing else is taken from it."""
    for name, preset in PRESETS.items():
        same = [preset.width == hparams["width"], preset.upsample_rates == hparams["upsample_rates"]]
        if (
            all(same)
            and preset.version["spectra"] == hparams["spectra"]
            and MelConfig.of(preset.mel) == MelConfig.of(mel)
        ):
            return name
    return next(iter(PRESETS))


def without_filters(source: str, generator: Mapping[str, Any]) -> dict[str, Any]:
    """A generator's state without the filters of its activations, which have to be ours.

    Raises:
        InputError: for another filter.
    """
    taps = low_pass()
    for key, value in generator.items():
        if FILTER.fullmatch(str(key)) and not (
            isinstance(value, Tensor)
            and value.numel() == len(taps)
            and allclose(value.flatten().float(), taps, 0, 1e-4)
        ):
            raise InputError(f"{source}: {key} is another filter than BigVGAN's; choose another checkpoint")
    return {key: value for key, value in generator.items() if not FILTER.fullmatch(str(key))}


def discriminators(generator: Path) -> dict[str, dict[str, Any]]:
    """The states of both, from the file beside the generator's; none where it is not there."""
    content = discriminators_beside(generator, DISCRIMINATORS, NETWORKS.values())
    return {
        ours: {key: value for key, value in content[theirs].items() if not TRANSFORM.fullmatch(str(key))}
        for ours, theirs in NETWORKS.items()
        if content
    }


def their_name(layer: str) -> str:
    """Within the network, their names are ours, but for the upsamplings, which are a level deeper."""
    return re.sub(r"^ups\.(\d+)", r"ups.\1.0", layer.partition(".")[2])


IMPORTER = Importer(
    "bigvgan",
    "BigVGAN's authors, NVIDIA/BigVGAN: bigvgan_generator*.pt or g_*, config.json, the discriminators",
    ("bigvgan_generator.pt", "bigvgan_generator*.pt", "g_*"),
    recognizes,
    read,
    discriminators=DISCRIMINATORS,
)
