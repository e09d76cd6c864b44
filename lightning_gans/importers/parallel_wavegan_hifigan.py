"""HiFi-GAN as it is trained with https://github.com/kan-bayashi/ParallelWaveGAN: its settings and names as ours.

As in ``parallel_wavegan_config``: where a setting is left out, that project's default stands in, an architecture that
ours cannot be is refused, and what our training step does otherwise is named in a warning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn

from lightning_gans.errors import InputError
from lightning_gans.importers.parallel_wavegan_config import MONO, at, plain, same, translated_mel
from lightning_gans.importers.torch_files import with_spectral_norms
from lightning_gans.models.hifigan import PRESETS

GENERATOR, DISCRIMINATOR = "HiFiGANGenerator", "HiFiGANMultiScaleMultiPeriodDiscriminator"
LEAKY = {"nonlinear_activation": "LeakyReLU", "nonlinear_activation_params": {"negative_slope": 0.1}}
DILATIONS = [(1, 3, 5)] * 3
FIXED: dict[str, dict[str, Any]] = {
    "generator_params": MONO | LEAKY | {"kernel_size": 7, "use_causal_conv": False},
    "discriminator_params": {
        "scales": 3,
        "scale_downsample_pooling": "AvgPool1d",
        "scale_downsample_pooling_params": {"kernel_size": 4, "stride": 2, "padding": 2},
    },
    "discriminator_params.scale_discriminator_params": MONO
    | LEAKY
    | {"kernel_sizes": [15, 41, 5, 3], "channels": 128, "max_downsample_channels": 1024, "max_groups": 16},
    "discriminator_params.period_discriminator_params": MONO
    | LEAKY
    | {"kernel_sizes": [5, 3], "channels": 32, "downsample_scales": [3, 3, 3, 3, 1], "max_downsample_channels": 1024},
}
"""Of each section, what our networks have no argument for."""
IGNORED = ("use_weight_norm", "use_spectral_norm")
"""The files tell."""
MEL_LOSS = {"fs": 22050, "fft_size": 1024, "hop_size": 256, "win_length": None, "num_mels": 80, "fmin": 80}
MEL_LOSS |= {"fmax": 7600, "log_base": 10}
"""That project's mel loss, where ``mel_loss_params`` leaves something out."""
OF_BOTH_NETWORKS = {
    "optimizer_type": ("RAdam", "AdamW"),
    "optimizer_params.betas": ((0.9, 0.999), (0.8, 0.99)),
    "optimizer_params.weight_decay": (0.01, 0.01),
    "scheduler_type": ("StepLR", None),  # there, each counts updates
    "grad_norm": (10, -1),
    "adv_loss_params.average_by_discriminators": (True, False),
}
RECIPE = {
    **{f"{network}_{key}": v for key, v in OF_BOTH_NETWORKS.items() for network in ("generator", "discriminator")},
    "generator_adv_loss_params.loss_type": ("mse", "mse"),
    "lambda_adv": (4.0, 1.0),
    "use_stft_loss": (True, False),
    "use_mel_loss": (False, True),
    "use_feat_match_loss": (False, True),
    "feat_match_loss_params.average_by_layers": (True, False),
    "feat_match_loss_params.average_by_discriminators": (True, False),
    "feat_match_loss_params.include_final_outputs": (False, True),
    "discriminator_train_start_steps": (100_000, 0),
}
"""Where a setting is left out, what it is there; what our training step does."""


def translated_hifigan(source: str, config: dict[str, Any]) -> dict[str, Any]:
    """``HiFiGAN``'s arguments.

    Args:
        source: What messages call the config.
        config: Its values.

    Raises:
        InputError: for networks that ours cannot be.
    """
    try:
        return _translated(source, config)
    except InputError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{source}: a value is of another kind than in ParallelWaveGAN's configs ({error})") from None


def _translated(source: str, config: dict[str, Any]) -> dict[str, Any]:
    if (named := at(config, "discriminator_type", DISCRIMINATOR)) != DISCRIMINATOR:
        raise InputError(f"{source}: discriminator_type is {named}, which is not read with {GENERATOR}")
    given = {name: dict(at(config, name, {})) for name in FIXED}
    params, judge = given["generator_params"], given["discriminator_params"]
    mel = translated_mel(source, config)
    rates = plain(params.pop("upsample_scales", (8, 8, 2, 2)))
    kernels = params.pop("upsample_kernal_sizes", None) or params.pop("upsample_kernel_sizes", None)  # as old ones say
    hparams = {
        "mel": mel,
        "loss_mel": mel_of_the_loss(source, config, mel),
        "width": int(params.pop("channels", 512)),
        "upsample_rates": rates,
        "upsample_kernels": tuple(kernels or [2 * rate for rate in rates]),
        "resblock": 1 if params.pop("use_additional_convs", True) else 2,
        "resblock_kernels": plain(params.pop("resblock_kernel_sizes", (3, 7, 11))),
        "resblock_dilations": tuple(map(tuple, params.pop("resblock_dilations", DILATIONS))),
        "periods": plain(judge.pop("periods", (2, 3, 5, 7, 11))),
        "period_last_kernel": 2,
        "scale_strides": plain(
            given["discriminator_params.scale_discriminator_params"].pop("downsample_scales", (2, 2, 4, 4, 1))
        ),
        "feature_weight": float(at(config, "lambda_feat_match", 2.0)) * bool(at(config, "use_feat_match_loss", False)),
        "mel_weight": float(at(config, "lambda_aux", 1.0)) * bool(at(config, "use_mel_loss", False)),
        "lr": float(at(config, "generator_optimizer_params.lr", 2e-4)),
    }
    if (bands := params.pop("in_channels", 80)) != mel["n_mels"]:
        raise InputError(f"{source}: num_mels is {mel['n_mels']}, and the generator takes {bands}; correct it")
    for name in ("follow_official_norm", "scale_discriminator_params", "period_discriminator_params"):
        judge.pop(name, None)
    for section, values in given.items():
        same(source, section, {key: value for key, value in values.items() if key not in IGNORED}, FIXED[section])
    values = {key: at(config, key, default) for key, (default, _) in RECIPE.items()}
    values["discriminator_optimizer_params.lr"] = at(config, "discriminator_optimizer_params.lr", hparams["lr"])
    expected = {key: ours for key, (_, ours) in RECIPE.items()} | {"discriminator_optimizer_params.lr": hparams["lr"]}
    if others := [f"{key}={values[key]!r}" for key in values if plain(values[key]) != expected[key]]:
        rank_zero_warn(f"{source}: a training of HiFiGAN goes on without {', '.join(others)}, which it does not have")
    size = {key: hparams[key] for key in ("width", "upsample_rates", "resblock", "resblock_kernels")}
    preset = (name for name, values in PRESETS.items() if size.items() <= values._asdict().items())
    return {"preset": next(preset, "v1"), **hparams}


def mel_of_the_loss(source: str, config: dict[str, Any], mel: dict[str, Any]) -> dict[str, Any]:
    """The convention of the mel loss: that of the input, with the logarithm to 10, or what ``mel_loss_params`` has."""
    given = at(config, "mel_loss_params")
    if given is None:
        return mel | {"log": "log10"}
    values = MEL_LOSS | given
    return translated_mel(source, values | {"sampling_rate": values["fs"]})


def hifigan_states(source: str, states: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The networks' states, with spectral norms under today's names.

    Discriminators from before version 0.6 have other norms, whatever their config says: they are left out, with a
    warning.
    """
    result = dict(states)
    if judge := result.pop("discriminator", None):
        if any(str(key).startswith("msd.discriminators.0.") and str(key).endswith("weight_orig") for key in judge):
            result["discriminator"] = with_spectral_norms(judge)
        else:
            rank_zero_warn(
                f"{source}: the discriminator of the first scale has no spectral norm, as before version 0.6; both"
                " discriminators are left out, and begin anew in a training"
            )
    return result


def hifigan_name(layer: str) -> str:
    """From ``generator.resblocks.0.convs1.2`` or ``discriminator.msd.discriminators.0.convs.1`` to the project's."""
    network, _, name = layer.partition(".")
    if network == "generator":
        name = re.sub(r"^conv_pre", "input_conv", name)
        name = re.sub(r"^conv_post", "output_conv.1", name)
        name = re.sub(r"^ups\.(\d+)", r"upsamples.\1.1", name)
        name = re.sub(r"^resblocks\.(\d+)\.convs\.", r"resblocks.\1.convs1.", name)
        return re.sub(r"^resblocks\.(\d+)\.(convs[12])\.(\d+)", r"blocks.\1.\2.\3.1", name)
    name = re.sub(r"^(mpd\.discriminators\.\d+)\.convs\.(\d+)", r"\1.convs.\2.0", name)
    name = re.sub(r"^(mpd\.discriminators\.\d+)\.conv_post", r"\1.output_conv", name)
    name = re.sub(r"^(msd\.discriminators\.\d+)\.convs\.(\d+)", r"\1.layers.\2.0", name)
    return re.sub(r"^(msd\.discriminators\.\d+)\.conv_post", r"\1.layers.7", name)
