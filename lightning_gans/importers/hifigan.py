"""Checkpoints of HiFi-GAN's authors (https://github.com/jik876/hifi-gan), and of others in their layout.

``generator_v1`` or ``g_02500000`` has the generator, ``config.json`` beside it the mel convention, the architecture and
the rates, and ``do_02500000``, where it is there, both discriminators. A generator alone in a file is read as well.

A training goes on with fresh optimizers, at the rate of the first epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, ones, zeros

from lightning_gans.errors import InputError
from lightning_gans.importers.imported import Config, Imported, Importer, Opened
from lightning_gans.importers.torch_files import discriminators_beside, fitted, layers, with_spectral_norms
from lightning_gans.models.hifigan import PRESETS, Preset

DISCRIMINATORS = (("^g_", "do_"),)
BETAS = {"adam_b1": 0.8, "adam_b2": 0.99}
"""What our training step cannot do otherwise."""
MEL = {
    "sampling_rate": "sample_rate",
    "n_fft": "n_fft",
    "hop_size": "hop_length",
    "win_size": "win_length",
    "num_mels": "n_mels",
    "fmin": "f_min",
    "fmax": "f_max",
}
"""From the names of their settings to ours."""


def recognizes(content: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """A generator with its first and last layer and an upsampling, alone or under its name."""
    return {"conv_pre", "ups.0", "conv_post"} <= layers(content.get("generator", content))


def read(files: Opened, *, config: Config) -> Imported:
    """Read a generator, with its discriminators where those are beside it.

    Args:
        files: A generator. The discriminators are in the file beside ``g_...`` whose name begins with ``do_``.
        config: Its ``config.json``.

    Raises:
        InputError: as ``Importer``.
    """
    generator = files.content.get("generator", files.content)
    hparams = arguments(config)
    states = {"generator": generator} | discriminators(files.path)
    state = fitted(str(files.path), f"the HiFi-GAN of {config.path}", "HiFiGAN", hparams, states, their_name)
    bands = state["generator.conv_pre.parametrizations.weight.original1"].shape[1]
    return Imported("HiFiGAN", hparams, tuple(states), state | {"mel_mean": zeros(bands), "mel_scale": ones(bands)})


def arguments(config: Config) -> dict[str, Any]:
    """``HiFiGAN``'s arguments.

    Raises:
        InputError: for a setting that is missing or of another kind than theirs.
    """
    source, values = f"--config {config.path}", config.values
    try:
        mel = {"name": "hifigan"} | {ours: values[theirs] for theirs, ours in MEL.items()}
        size = Preset(
            int(values["upsample_initial_channel"]),
            tuple(values["upsample_rates"]),
            1 if str(values["resblock"]) == "1" else 2,
            tuple(values["resblock_kernel_sizes"]),
            tuple(map(tuple, values["resblock_dilation_sizes"])),
        )
        kernels = tuple(values["upsample_kernel_sizes"])
        odd = [(k, r) for k, r in zip(kernels, size.upsample_rates, strict=True) if (k - r) % 2]
        rates = {
            ours: float(values[theirs]) for theirs, ours in {"learning_rate": "lr", "lr_decay": "lr_decay"}.items()
        }
    except KeyError as error:
        raise InputError(f"{source} lacks {error.args[0]}; give the config.json of the training") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{source}: a value is of another kind than in HiFi-GAN's config.json ({error})") from None
    if odd:
        raise InputError(
            f"{source}: a kernel of {odd[0][0]} at a rate of {odd[0][1]} makes one sample too many there, and not here;"
            " choose a checkpoint with kernels that differ from the rates by an even number"
        )
    if others := [f"{name}={values[name]}" for name, usual in BETAS.items() if values.get(name, usual) != usual]:
        rank_zero_warn(f"{source}: a training of HiFiGAN goes on without {', '.join(others)}, which it does not have")
    preset = next((name for name, other in PRESETS.items() if other == size), "v1")
    loss_mel = mel | {"f_max": values.get("fmax_for_loss")}
    return {"preset": preset, "mel": mel, "loss_mel": loss_mel, **size._asdict(), "upsample_kernels": kernels, **rates}


def discriminators(generator: Path) -> dict[str, dict[str, Tensor]]:
    """The state of both as one network, from the file beside the generator's; none where it is not there."""
    parts = ("mpd", "msd")
    content = discriminators_beside(generator, DISCRIMINATORS, parts)
    states = {part: with_spectral_norms(content[part]) for part in parts if content}
    state = {f"{part}.{key}": value for part in states for key, value in states[part].items()}
    return {"discriminator": state} if state else {}


def their_name(layer: str) -> str:
    """Within the network, their names are ours."""
    return layer.partition(".")[2]


IMPORTER = Importer(
    "hifigan",
    "HiFi-GAN's authors, jik876/hifi-gan: generator_v1 or g_*, config.json, do_*",
    ("g_*", "generator_v[123]*", "generator*"),
    recognizes,
    read,
    discriminators=DISCRIMINATORS,
)
