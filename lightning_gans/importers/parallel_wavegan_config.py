"""The settings of a training with https://github.com/kan-bayashi/ParallelWaveGAN, as arguments of our classes.

Where a setting is left out, that project's default stands in. An architecture that ours cannot be is refused. Of the
recipe, all that our training step has is set, so that a run goes on as it began; what a config has besides is named in
a warning. The step of ``STFTMelGAN`` differs always: Adam at one constant rate, and D before G.
"""

from __future__ import annotations

from typing import Any

from lightning.pytorch.utilities import rank_zero_warn

from lightning_gans.errors import InputError

ACTIVATION = {"nonlinear_activation": "LeakyReLU", "nonlinear_activation_params": {"negative_slope": 0.2}}
GENERATORS: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "ParallelWaveGANGenerator": (
        "ParallelWaveGAN",
        {
            "kernel_size": "kernel",
            "layers": "layers",
            "stacks": "stacks",
            "residual_channels": "residual_channels",
            "gate_channels": "gate_channels",
            "skip_channels": "skip_channels",
            "aux_context_window": "aux_context",
        },
        {
            "in_channels": 1,
            "out_channels": 1,
            "dropout": 0.0,
            "bias": True,
            "use_causal_conv": False,
            "upsample_conditional_features": True,
            "upsample_net": "ConvInUpsampleNetwork",
        },
    ),
    "MelGANGenerator": (
        "STFTMelGAN",
        {"stacks": "blocks", "upsample_scales": "ratios"},
        {
            "out_channels": 1,
            "kernel_size": 7,
            "bias": True,
            "stack_kernel_size": 3,
            **ACTIVATION,
            "pad": "ReflectionPad1d",
            "pad_params": {},
            "use_final_nonlinear_activation": True,
            "use_causal_conv": False,
        },
    ),
}
"""By ``generator_type``: our class, its arguments by the names of theirs, and what ours has no argument for."""
UPSAMPLING = {
    "nonlinear_activation": None,
    "nonlinear_activation_params": {},
    "interpolate_mode": "nearest",
    "freq_axis_kernel_size": 1,
    "use_causal_conv": False,
}
"""Of ``upsample_params``, what our generator has no argument for."""
DISCRIMINATORS: dict[str, tuple[bool, dict[str, Any]]] = {
    "ParallelWaveGANDiscriminator": (
        False,
        {
            "in_channels": 1,
            "out_channels": 1,
            "kernel_size": 3,
            "layers": 10,
            "conv_channels": 64,
            "dilation_factor": 1,
            "bias": True,
            **ACTIVATION,
        },
    ),
    "MelGANMultiScaleDiscriminator": (
        True,
        {
            "in_channels": 1,
            "out_channels": 1,
            "scales": 3,
            "downsample_pooling": "AvgPool1d",
            "downsample_pooling_params": {"kernel_size": 4, "stride": 2, "padding": 1, "count_include_pad": False},
            "kernel_sizes": [5, 3],
            "channels": 16,
            "max_downsample_channels": 1024,
            "bias": True,
            "downsample_scales": [4, 4, 4, 4],
            **ACTIVATION,
            "pad": "ReflectionPad1d",
            "pad_params": {},
        },
    ),
}
"""By ``discriminator_type``: whether it has several scales, and what our discriminator has no argument for."""
SCALES, MAPS = 3, 18
"""Of the multi-scale discriminator: its scales, and the feature maps of all of them."""
RECIPE = {
    "generator_optimizer_type": "RAdam",
    "discriminator_optimizer_type": "RAdam",
    "generator_optimizer_params.eps": 1e-6,
    "discriminator_optimizer_params.eps": 1e-6,
    "generator_optimizer_params.weight_decay": 0.0,
    "discriminator_optimizer_params.weight_decay": 0.0,
    "generator_scheduler_type": "StepLR",
    "discriminator_scheduler_type": "StepLR",
    "generator_scheduler_params.gamma": 0.5,
    "discriminator_scheduler_params.gamma": 0.5,
    "generator_train_start_steps": 0,
    "lambda_aux": 1.0,
    "use_stft_loss": True,
    "use_subband_stft_loss": False,
    "use_mel_loss": False,
    "stft_loss_params.fft_sizes": [1024, 2048, 512],
    "stft_loss_params.hop_sizes": [120, 240, 50],
    "stft_loss_params.win_lengths": [600, 1200, 240],
    "generator_adv_loss_params.loss_type": "mse",
    "generator_adv_loss_params.average_by_discriminators": True,
    "discriminator_adv_loss_params.average_by_discriminators": True,
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
    generator = known(source, config, "generator_type", "ParallelWaveGANGenerator", list(GENERATORS))
    discriminator = known(source, config, "discriminator_type", "ParallelWaveGANDiscriminator", list(DISCRIMINATORS))
    model, arguments, fixed = GENERATORS[generator]
    multi_scale, fixed_judge = DISCRIMINATORS[discriminator]
    hparams: dict[str, Any] = {"mel": translated_mel(source, config)}
    params = dict(config.get("generator_params") or {})
    hparams |= {ours: plain(params.pop(name)) for name, ours in arguments.items() if name in params}
    if model == "STFTMelGAN":
        bands, ratios = params.pop("in_channels", 80), hparams.get("ratios", (8, 8, 2, 2))
        hparams["width"], rest = divmod(params.pop("channels", 512), 2 ** len(ratios))
        if rest:
            raise InputError(f"{source}: generator_params.channels cannot be halved {len(ratios)} times; correct it")
        # Old configs have the second spelling.
        fixed = fixed | {key: [2 * r for r in ratios] for key in ("upsample_kernel_sizes", "upsample_kernal_sizes")}
        hparams |= melgan_recipe(config, multi_scale)
    else:
        bands, upsampling = params.pop("aux_channels", 80), dict(params.pop("upsample_params", None) or {})
        hparams["upsample_scales"] = plain(upsampling.pop("upsample_scales", (4, 4, 4, 4)))
        same(source, "generator_params.upsample_params", upsampling, UPSAMPLING)
        hparams |= parallel_wavegan_recipe(config)
        if multi_scale:
            model, hparams = "MultiScaleParallelWaveGAN", {"kernel": 3, **hparams, "feature_weight": features(config)}
        else:
            hparams["preset"] = "ljspeech"
    if features(config) and not multi_scale:
        raise InputError(f"{source}: use_feat_match_loss is set, and {discriminator} has no features; correct it")
    same(source, "generator_params", params, fixed)
    same(source, "discriminator_params", dict(config.get("discriminator_params") or {}), fixed_judge)
    if bands != hparams["mel"]["n_mels"]:
        raise InputError(
            f"{source}: num_mels is {hparams['mel']['n_mels']}, and the generator takes {bands}; correct it"
        )
    recipe = RECIPE | {"discriminator_scheduler_params.step_size": at(config, "generator_scheduler_params.step_size")}
    others = [f"{key}={at(config, key)!r}" for key, usual in recipe.items() if at(config, key, usual) != usual]
    if others:
        rank_zero_warn(f"{source}: a training of {model} goes on without {', '.join(others)}, which it does not have")
    return model, hparams


def known(source: str, config: dict[str, Any], key: str, default: str, choices: list[str]) -> str:
    """A type, if it is one that there is a module for."""
    value = config.get(key, default)
    if value not in choices:
        raise InputError(f"{source}: {key} is {value}, which is not read; known: {', '.join(choices)}")
    return value


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
    features = {key: config[key] for key in ("window", "sampling_rate_for_feats") if config.get(key) is not None}
    rate, n_fft = config.get("sampling_rate", 22050), config.get("fft_size", 1024)
    same(source, "the part on features", features, {"window": "hann", "sampling_rate_for_feats": rate})
    base = config.get("log_base", 10)
    if base not in (10, None):
        raise InputError(f"{source}: log_base is {base}; the mels here have 10, or null for e")
    return {
        "name": "parallel_wavegan",
        "sample_rate": rate,
        "n_fft": n_fft,
        "hop_length": config.get("hop_size", 256),
        "win_length": config.get("win_length") or n_fft,
        "n_mels": config.get("num_mels", 80),
        "f_min": config.get("fmin") or 0.0,
        "f_max": config.get("fmax"),
        "log": "ln" if base is None else "log10",
    }


def at(config: dict[str, Any], key: str, default: Any = None) -> Any:
    """The value of ``section.name``, or of ``name``."""
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
        if config is None:
            return default
    return config


def features(config: dict[str, Any]) -> float:
    """Weight of feature matching."""
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
        # There, what is not above 0 does not clip.
        "clip_norm_g": max(0.0, float(at(config, "generator_grad_norm", 10))),
        "clip_norm_d": max(0.0, float(at(config, "discriminator_grad_norm", 1))),
    }


def melgan_recipe(config: dict[str, Any], multi_scale: bool) -> dict[str, Any]:
    """Arguments of STFTMelGAN that concern its training; there, means over scales and maps are weighed, here, sums."""
    adversarial = float(at(config, "lambda_adv", 4.0))
    return {
        "multi_scale": multi_scale,
        "adversarial_weight": adversarial / SCALES if multi_scale else adversarial,
        "feature_weight": adversarial * features(config) / MAPS,
        "discriminator_start": int(at(config, "discriminator_train_start_steps", 100_000)),
        "lr": float(at(config, "generator_optimizer_params.lr", 1e-4)),
    }
