"""Files of a training with ParallelWaveGAN, as its recipes for LJSpeech write them, and small ones."""

import numpy as np
import torch
import yaml
from helpers import vocoder_layers as layers

from lightning_gans import zoo

SCHEDULE = {"step_size": 200_000, "gamma": 0.5}
RECIPE = {
    "sampling_rate": 22050,
    "fft_size": 1024,
    "hop_size": 256,
    "win_length": None,
    "window": "hann",
    "num_mels": 80,
    "fmin": 80,
    "fmax": 7600,
    "global_gain_scale": 1.0,
    "trim_silence": True,
    "format": "hdf5",
    "stft_loss_params": {
        "fft_sizes": [1024, 2048, 512],
        "hop_sizes": [120, 240, 50],
        "win_lengths": [600, 1200, 240],
        "window": "hann_window",
    },
    "lambda_adv": 4.0,
    "batch_size": 6,
    "batch_max_steps": 25600,
    "generator_optimizer_params": {"lr": 0.0001, "eps": 1.0e-6, "weight_decay": 0.0},
    "generator_scheduler_params": SCHEDULE,
    "generator_grad_norm": 10,
    "discriminator_optimizer_params": {"lr": 0.00005, "eps": 1.0e-6, "weight_decay": 0.0},
    "discriminator_scheduler_params": SCHEDULE,
    "discriminator_grad_norm": 1,
    "discriminator_train_start_steps": 100_000,
    "train_max_steps": 400_000,
    "outdir": "exp/train_nodev_ljspeech_parallel_wavegan.v1",
    "version": "0.4.1",
}
LEAKY = {"nonlinear_activation": "LeakyReLU", "nonlinear_activation_params": {"negative_slope": 0.2}}
PWG_D = {
    "in_channels": 1,
    "out_channels": 1,
    "kernel_size": 3,
    "layers": 10,
    "conv_channels": 64,
    "bias": True,
    "use_weight_norm": True,
    **LEAKY,
}
SCALES_D = {
    "in_channels": 1,
    "out_channels": 1,
    "scales": 3,
    "downsample_pooling": "AvgPool1d",
    "downsample_pooling_params": {"kernel_size": 4, "stride": 2, "padding": 1, "count_include_pad": False},
    "kernel_sizes": [5, 3],
    "channels": 16,
    "max_downsample_channels": 1024,
    "downsample_scales": [4, 4, 4, 4],
    "use_weight_norm": True,
    **LEAKY,
}
MULTI_SCALE = {"discriminator_type": "MelGANMultiScaleDiscriminator", "discriminator_params": SCALES_D}
MATCHING = {"use_feat_match_loss": True, "lambda_feat_match": 25.0}
SMALL = {"hop_size": 8, "fft_size": 64, "num_mels": 6, "fmin": 0, "fmax": None}


def pwg_config(bands=80, scales=(4, 4, 4, 4), layers=30, stacks=3, kernel=3, width=64, **changes):
    params = {
        "in_channels": 1,
        "out_channels": 1,
        "kernel_size": kernel,
        "layers": layers,
        "stacks": stacks,
        "residual_channels": width,
        "gate_channels": 2 * width,
        "skip_channels": width,
        "aux_channels": bands,
        "aux_context_window": 2,
        "dropout": 0.0,
        "use_weight_norm": True,
        "upsample_net": "ConvInUpsampleNetwork",
        "upsample_params": {"upsample_scales": list(scales)},
    }
    return RECIPE | {"generator_params": params, "discriminator_params": PWG_D} | changes


def small_config(**changes):
    return pwg_config(6, (4, 2), 4, 2, 3, 8, **SMALL, **changes)


def small_state():
    return layers.pwg_state(6, (4, 2), 4, 3, 8, 16, 8)


def melgan_config(bands=80, channels=512, **changes):
    params = {
        "in_channels": bands,
        "out_channels": 1,
        "kernel_size": 7,
        "channels": channels,
        "upsample_scales": [8, 8, 2, 2],
        "stack_kernel_size": 3,
        "stacks": 3,
        "use_weight_norm": True,
        "use_causal_conv": False,
    }
    return RECIPE | {"generator_type": "MelGANGenerator", "generator_params": params} | changes


def written(tmp_path, config, generator, discriminator=None, stats=True, bands=None):
    """The three files of a training; those of the config and the statistics have the names that are looked for."""
    networks = {"generator": generator} | ({"discriminator": discriminator} if discriminator else {})
    optimizer = {"state": {0: {"step": 7, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    path = tmp_path / "checkpoint-400000steps.pkl"
    torch.save({"model": networks, "optimizer": {"generator": optimizer}, "steps": 400_000, "epochs": 9}, path)
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    if stats:
        bands = bands or config["num_mels"]
        np.save(tmp_path / "stats.npy", np.stack([np.linspace(-4, -2, bands), np.linspace(0.5, 1, bands)]))
    return path


def imported(path, **options):
    return zoo.import_checkpoint(path, format="parallel_wavegan", **options)
