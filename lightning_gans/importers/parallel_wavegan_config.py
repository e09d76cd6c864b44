"""The settings of a training with https://github.com/kan-bayashi/ParallelWaveGAN, as arguments of our classes.

Where a setting is left out, that project's default stands in; what its mels are has none. An architecture that ours
cannot be is refused. Of the recipe, all that our training step has is set, so that a run goes on as it began; what a
config has besides is named in a warning. The step of ``STFTMelGAN`` differs always: Adam at one constant rate, and D
before G.
"""

from __future__ import annotations

from typing import Any

from lightning.pytorch.utilities import rank_zero_warn

from lightning_gans.errors import InputError

ARGUMENTS = {
    "ParallelWaveGANGenerator": {
        "kernel_size": "kernel",
        "aux_context_window": "aux_context",
        **{name: name for name in ("layers", "stacks", "residual_channels", "gate_channels", "skip_channels")},
    },
    "MelGANGenerator": {"stacks": "blocks", "upsample_scales": "ratios"},
}
"""By ``generator_type``: our arguments by the names of theirs."""
LEAKY = {"nonlinear_activation": "LeakyReLU", "nonlinear_activation_params": {"negative_slope": 0.2}}
MONO = {"in_channels": 1, "out_channels": 1, "bias": True}
REFLECTING = {"pad": "ReflectionPad1d", "pad_params": {}}
POOLING = {"kernel_size": 4, "stride": 2, "padding": 1, "count_include_pad": False}
FIXED: dict[str, dict[str, Any]] = {
    "ParallelWaveGANGenerator": MONO
    | {"dropout": 0.0, "use_causal_conv": False, "upsample_conditional_features": True}
    | {"upsample_net": "ConvInUpsampleNetwork"},
    "upsample_params": {"nonlinear_activation": None, "nonlinear_activation_params": {}, "use_causal_conv": False}
    | {"interpolate_mode": "nearest", "freq_axis_kernel_size": 1},
    "MelGANGenerator": MONO
    | LEAKY
    | REFLECTING
    | {"kernel_size": 7, "stack_kernel_size": 3, "use_final_nonlinear_activation": True, "use_causal_conv": False},
    "ParallelWaveGANDiscriminator": MONO
    | LEAKY
    | {"kernel_size": 3, "layers": 10, "conv_channels": 64, "dilation_factor": 1},
    "MelGANMultiScaleDiscriminator": MONO
    | LEAKY
    | REFLECTING
    | {"scales": 3, "downsample_pooling": "AvgPool1d", "downsample_pooling_params": POOLING}
    | {"kernel_sizes": [5, 3], "channels": 16, "max_downsample_channels": 1024, "downsample_scales": [4, 4, 4, 4]},
}
"""Of each network, and of the generator's ``upsample_params``, what our networks have no argument for."""
FEATURES = dict.fromkeys(("sampling_rate", "fft_size", "hop_size", "num_mels"), True)
FEATURES |= dict.fromkeys(("win_length", "fmin", "fmax"), False)
"""What mels are made with, for which there is no default; whether null is none either."""
MULTI_SCALE = "MelGANMultiScaleDiscriminator"
SCALES, MAPS = 3, 18
"""Of the multi-scale discriminator: its scales, and the feature maps of all of them."""
OF_BOTH_NETWORKS = {
    "optimizer_type": "RAdam",
    "optimizer_params.eps": 1e-6,
    "optimizer_params.weight_decay": 0.0,
    "scheduler_type": "StepLR",
    "scheduler_params.gamma": 0.5,
    "adv_loss_params.average_by_discriminators": True,
}
RECIPE = {
    **{f"{network}_{key}": v for key, v in OF_BOTH_NETWORKS.items() for network in ("generator", "discriminator")},
    "generator_adv_loss_params.loss_type": "mse",
    "generator_train_start_steps": 0,
    "lambda_aux": 1.0,
    "use_stft_loss": True,
    "use_subband_stft_loss": False,
    "use_mel_loss": False,
    "stft_loss_params.fft_sizes": [1024, 2048, 512],
    "stft_loss_params.hop_sizes": [120, 240, 50],
    "stft_loss_params.win_lengths": [600, 1200, 240],
    "feat_match_loss_params.average_by_layers": True,
    "feat_match_loss_params.average_by_discriminators": True,
    "feat_match_loss_params.include_final_outputs": False,
}
"""What our training steps cannot do otherwise."""


def translated(source: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Our class and its arguments.

    Args:
        source: What messages call the config.
        config: Its values.

    Raises:
        InputError: for a network that there is no module for, and for arguments of one that ours does not have.
    """
    try:
        return _translated(source, config)
    except InputError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{source}: a value is of another kind than in ParallelWaveGAN's configs ({error})") from None


def _translated(source: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    generator = at(config, "generator_type", "ParallelWaveGANGenerator")
    discriminator = at(config, "discriminator_type", "ParallelWaveGANDiscriminator")
    for kind, network in (("Generator", generator), ("Discriminator", discriminator)):
        if network not in (known := [name for name in FIXED if name.endswith(kind)]):
            named = f"{kind.lower()}_type is {network}, which is not read"
            raise InputError(f"{source}: {named}; known: {', '.join(known)}")
    multi_scale, features = discriminator == MULTI_SCALE, feature_weight(config)
    if features and not multi_scale:
        raise InputError(f"{source}: use_feat_match_loss is set, and {discriminator} has no features; correct it")
    params, fixed = dict(at(config, "generator_params", {})), FIXED[generator]
    hparams: dict[str, Any] = {"mel": translated_mel(source, config)}
    hparams |= {ours: plain(params.pop(name)) for name, ours in ARGUMENTS[generator].items() if name in params}
    if generator == "MelGANGenerator":
        model, bands, ratios = "STFTMelGAN", params.pop("in_channels", 80), hparams.get("ratios", (8, 8, 2, 2))
        hparams["width"], rest = divmod(params.pop("channels", 512), 2 ** len(ratios))
        if rest:
            raise InputError(f"{source}: generator_params.channels cannot be halved {len(ratios)} times; correct it")
        kernels = [2 * ratio for ratio in ratios]
        fixed = fixed | {"upsample_kernel_sizes": kernels, "upsample_kernal_sizes": kernels}  # as old configs spell it
        hparams |= melgan_recipe(config, multi_scale)
    else:
        model, bands = "ParallelWaveGAN", params.pop("aux_channels", 80)
        upsampling = dict(params.pop("upsample_params", None) or {})
        hparams["upsample_scales"] = plain(upsampling.pop("upsample_scales", (4, 4, 4, 4)))
        same(source, "generator_params.upsample_params", upsampling, FIXED["upsample_params"])
        hparams |= parallel_wavegan_recipe(config)
        if multi_scale:
            model, hparams = "MultiScaleParallelWaveGAN", {"kernel": 3, **hparams, "feature_weight": features}
        else:
            hparams["preset"] = "ljspeech"
    same(source, "generator_params", params, fixed)
    same(source, "discriminator_params", at(config, "discriminator_params", {}), FIXED[discriminator])
    n_mels = hparams["mel"]["n_mels"]
    if bands != n_mels:
        raise InputError(f"{source}: num_mels is {n_mels}, and the generator takes {bands}; correct it")
    recipe = RECIPE | {"discriminator_scheduler_params.step_size": at(config, "generator_scheduler_params.step_size")}
    others = [f"{key}={at(config, key)!r}" for key, usual in recipe.items() if at(config, key, usual) != usual]
    if others:
        rank_zero_warn(f"{source}: a training of {model} goes on without {', '.join(others)}, which it does not have")
    return model, hparams


def plain(value: Any) -> Any:
    """Lists as tuples, as our arguments are."""
    return tuple(value) if isinstance(value, list) else value


def same(source: str, section: str, given: dict[str, Any], expected: dict[str, Any]) -> None:
    """Refuse what our networks cannot be. Weight norm may be folded, which is no other network."""
    for name, value in given.items():
        if name == "use_weight_norm":
            continue
        if name not in expected:
            raise InputError(f"{source}: {section} has {name}={value!r}, which is not known; expected the usual ones")
        if plain(value) != plain(expected[name]):
            raise InputError(
                f"{source}: {section} has {name}={value!r}, where the networks here have {expected[name]!r} alone;"
                " choose a checkpoint of such a network"
            )


def translated_mel(source: str, config: dict[str, Any]) -> dict[str, Any]:
    """The convention, as ``MelConfig.of`` takes it."""
    if absent := [key for key, fixed in FEATURES.items() if key not in config or (fixed and config[key] is None)]:
        raise InputError(f"{source} lacks {', '.join(absent)}; give the one of the training, with what its mels are")
    rate, n_fft = config["sampling_rate"], config["fft_size"]
    expected = {"window": "hann", "sampling_rate_for_feats": rate}
    same(source, "the part on features", {key: at(config, key, usual) for key, usual in expected.items()}, expected)
    base = config.get("log_base", 10)  # null is a value of its own
    if base not in (10, None):
        raise InputError(f"{source}: log_base is {base}; the mels here have 10, or null for e")
    return {
        "name": "parallel_wavegan",
        "sample_rate": rate,
        "n_fft": n_fft,
        "hop_length": config["hop_size"],
        "win_length": at(config, "win_length", n_fft),
        "n_mels": config["num_mels"],
        "f_min": at(config, "fmin", 0.0),
        "f_max": at(config, "fmax"),
        "log": "ln" if base is None else "log10",
    }


def at(config: dict[str, Any], key: str, default: Any = None) -> Any:
    """The value of ``section.name``, or of ``name``; the default where it is left out or null."""
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return default if value is None else value


def feature_weight(config: dict[str, Any]) -> float:
    """Of feature matching; 0 without it."""
    return float(at(config, "lambda_feat_match", 25.0)) * bool(at(config, "use_feat_match_loss"))


def parallel_wavegan_recipe(config: dict[str, Any]) -> dict[str, Any]:
    """Arguments of either class that concern its training."""
    return {
        "stft_reduction": "batch",
        "adversarial_weight": float(at(config, "lambda_adv", 4.0)),
        "discriminator_start": int(at(config, "discriminator_train_start_steps", 100_000)),
        "recompute_fake": bool(at(config, "update_prediction_after_generator_update", True)),
        "lr_g": float(at(config, "generator_optimizer_params.lr", 1e-4)),
        "lr_d": float(at(config, "discriminator_optimizer_params.lr", 5e-5)),
        "lr_decay_steps": int(at(config, "generator_scheduler_params.step_size", 200_000)),
        # there, what is not above 0 does not clip
        "clip_norm_g": max(0.0, float(at(config, "generator_grad_norm", 10))),
        "clip_norm_d": max(0.0, float(at(config, "discriminator_grad_norm", 1))),
    }


def melgan_recipe(config: dict[str, Any], multi_scale: bool) -> dict[str, Any]:
    """Arguments of STFTMelGAN that concern its training; there, means over scales and maps are weighed, here, sums."""
    adversarial = float(at(config, "lambda_adv", 4.0))
    return {
        "multi_scale": multi_scale,
        "adversarial_weight": adversarial / SCALES if multi_scale else adversarial,
        "feature_weight": adversarial * feature_weight(config) / MAPS,
        "discriminator_start": int(at(config, "discriminator_train_start_steps", 100_000)),
        "lr": float(at(config, "generator_optimizer_params.lr", 1e-4)),
    }
