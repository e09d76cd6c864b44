"""Files of HiFi-GAN's authors with random weights, and their networks written out from the description."""

import json

import torch
from helpers.vocoder_layers import conv, draw, weight
from torch.nn.functional import avg_pool1d, conv1d, conv2d, conv_transpose1d, leaky_relu, normalize, pad

CONFIG = {
    "resblock": "1",
    "num_gpus": 0,
    "batch_size": 16,
    "learning_rate": 0.0002,
    "adam_b1": 0.8,
    "adam_b2": 0.99,
    "lr_decay": 0.999,
    "seed": 1234,
    "upsample_rates": [8, 8, 2, 2],
    "upsample_kernel_sizes": [16, 16, 4, 4],
    "upsample_initial_channel": 512,
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "segment_size": 8192,
    "num_mels": 80,
    "num_freq": 1025,
    "n_fft": 1024,
    "hop_size": 256,
    "win_size": 1024,
    "sampling_rate": 22050,
    "fmin": 0,
    "fmax": 8000,
    "fmax_for_loss": None,
    "num_workers": 4,
    "dist_config": {"dist_backend": "nccl", "dist_url": "tcp://localhost:54321", "world_size": 1},
}
"""``config_v1.json``."""
SMALL = {"upsample_initial_channel": 16, "num_mels": 6}
V3 = {
    "resblock": "2",
    "upsample_rates": [8, 8, 4],
    "upsample_kernel_sizes": [16, 16, 8],
    "upsample_initial_channel": 256,
    "resblock_kernel_sizes": [3, 5, 7],
    "resblock_dilation_sizes": [[1, 2], [2, 6], [3, 12]],
}
GROUPS, STRIDES = (1, 4, 16, 16, 16, 16, 1), (1, 2, 2, 4, 4, 1, 1)
SCALE = ((128, 1, 15), (128, 32, 41), (256, 8, 41), (512, 16, 41), (1024, 32, 41), (1024, 64, 41), (1024, 1024, 5))
PERIOD = ((32, 1), (128, 32), (512, 128), (1024, 512), (1024, 1024))
PERIODS = (2, 3, 5, 7, 11)


def generator_state(config):
    state, c = {}, config["upsample_initial_channel"]
    draw(state, "conv_pre", c, config["num_mels"], 7)
    kernels, block = config["resblock_kernel_sizes"], 0
    for i, kernel in enumerate(config["upsample_kernel_sizes"]):
        draw(state, f"ups.{i}", c, c // 2, kernel, outputs=c // 2)
        c //= 2
        for size, dilations in zip(kernels, config["resblock_dilation_sizes"], strict=True):
            for kind in ("convs1", "convs2") if config["resblock"] == "1" else ("convs",):
                for j in range(len(dilations)):
                    draw(state, f"resblocks.{block}.{kind}.{j}", c, c, size)
            block += 1
    draw(state, "conv_post", 1, c, 7)
    return state


def generator(state, config, mel):
    x, block = conv(state, "conv_pre", mel.double(), padding=3), 0
    for i, rate in enumerate(config["upsample_rates"]):
        matrix, bias = weight(state, f"ups.{i}"), state[f"ups.{i}.bias"].double()
        x = conv_transpose1d(leaky_relu(x, 0.1), matrix, bias, rate, (matrix.shape[-1] - rate) // 2)
        outputs = []
        for kernel, dilations in zip(config["resblock_kernel_sizes"], config["resblock_dilation_sizes"], strict=True):
            h, name = x, f"resblocks.{block}"
            for j, dilation in enumerate(dilations):
                first = "convs1" if config["resblock"] == "1" else "convs"
                options = dict(padding=kernel // 2 * dilation, dilation=dilation)
                y = conv(state, f"{name}.{first}.{j}", leaky_relu(h, 0.1), **options)
                if config["resblock"] == "1":
                    y = conv(state, f"{name}.convs2.{j}", leaky_relu(y, 0.1), padding=kernel // 2)
                h = h + y
            outputs.append(h)
            block += 1
        x = sum(outputs) / len(outputs)
    return conv(state, "conv_post", leaky_relu(x, 0.01), padding=3).tanh()


def draw_spectral(state, name, *shape):
    """As torch's older spectral norm stores it; the vectors are those of the largest singular value."""
    state[f"{name}.bias"] = 0.1 * torch.randn(shape[0])
    state[f"{name}.weight_orig"] = torch.randn(shape)
    matrix, v = state[f"{name}.weight_orig"].flatten(1), torch.randn(shape[1] * shape[2])
    for _ in range(3):
        u = normalize(matrix @ v, dim=0)
        v = normalize(matrix.T @ u, dim=0)
    state[f"{name}.weight_u"], state[f"{name}.weight_v"] = u, v


def discriminator_states(last_kernel=3):
    """``mpd`` and ``msd``, of the size that they always have there."""
    mpd, msd = {}, {}
    for i in range(len(PERIODS)):
        for j, (c_out, c_in) in enumerate(PERIOD):
            draw(mpd, f"discriminators.{i}.convs.{j}", c_out, c_in, 5, 1)
        draw(mpd, f"discriminators.{i}.conv_post", 1, 1024, last_kernel, 1)
    for i, drawing in enumerate((draw_spectral, draw, draw)):
        for j, shape in enumerate(SCALE):
            drawing(msd, f"discriminators.{i}.convs.{j}", *shape)
        drawing(msd, f"discriminators.{i}.conv_post", 1, 1024, 3)
    return {"mpd": mpd, "msd": msd}


def period_outputs(state, i, audio):
    """Five maps and the logits of one period."""
    period, prefix = PERIODS[i], f"discriminators.{i}"
    audio = pad(audio.double(), (0, -audio.shape[-1] % period), mode="reflect")
    maps, h = [], audio.view(len(audio), 1, -1, period)
    for j, stride in enumerate((3, 3, 3, 3, 1)):
        name = f"{prefix}.convs.{j}"
        h = conv2d(h, weight(state, name), state[f"{name}.bias"].double(), (stride, 1), (2, 0))
        h = leaky_relu(h, 0.1)
        maps.append(h)
    name = f"{prefix}.conv_post"
    return [*maps, conv2d(h, weight(state, name), state[f"{name}.bias"].double(), padding=(1, 0))]


def scale_outputs(state, i, audio, strides=STRIDES):
    """Seven maps and the logits of one scale, in evaluation: the spectral norm's vectors are those of the file."""
    audio = audio.double()
    for _ in range(i):
        audio = avg_pool1d(audio, 4, 2, padding=2)
    names = [*(f"discriminators.{i}.convs.{j}" for j in range(7)), f"discriminators.{i}.conv_post"]
    maps, h = [], audio
    for name, groups, stride in zip(names, (*GROUPS, 1), (*strides, 1), strict=True):
        if f"{name}.weight_orig" in state:
            matrix, u, v = (state[f"{name}.weight_{end}"].double() for end in ("orig", "u", "v"))
            matrix = matrix / (u @ matrix.flatten(1) @ v)
        else:
            matrix = weight(state, name)
        h = conv1d(h, matrix, state[f"{name}.bias"].double(), stride, matrix.shape[-1] // 2, groups=groups)
        maps.append(leaky_relu(h, 0.1))
        h = maps[-1]
    return [*maps[:-1], conv1d(maps[-2], matrix, state[f"{name}.bias"].double(), padding=1)]


def written(folder, config, generator, discriminators=None, name="g_00000700"):
    """A generator's file with its config, and the discriminators' beside it."""
    (folder / "config.json").write_text(json.dumps(config))
    torch.save({"generator": generator}, folder / name)
    if discriminators:
        optimizer = {
            "state": {0: {"step": 7, "exp_avg": torch.zeros(2)}},
            "param_groups": [{"lr": 1e-4, "params": [0]}],
        }
        content = {**discriminators, "optim_g": optimizer, "optim_d": optimizer, "steps": 700, "epoch": 3}
        torch.save(content, folder / name.replace("g_", "do_"))
    return folder / name
