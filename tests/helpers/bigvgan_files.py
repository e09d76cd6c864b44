"""Files of BigVGAN's authors with random weights, and their networks written out from the description."""

import json

import torch
from helpers import hifigan_files
from helpers.vocoder_layers import conv, draw, weight
from torch.nn.functional import conv1d, conv2d, conv_transpose1d, leaky_relu, pad

from lightning_gans.audio.cqt import constant_q, octaves_of
from lightning_gans.audio.resampling import resample

RESOLUTIONS = [[1024, 120, 600], [2048, 240, 1200], [512, 50, 240]]
CONFIG = hifigan_files.CONFIG | {
    "batch_size": 4,
    "learning_rate": 0.0001,
    "lr_decay": 0.9999996,
    "activation": "snakebeta",
    "snake_logscale": True,
    "resolutions": RESOLUTIONS,
    "mpd_reshapes": [2, 3, 5, 7, 11],
    "use_spectral_norm": False,
    "discriminator_channel_mult": 1,
}
"""``bigvgan_base_22khz_80band``."""
V2 = {
    "use_tanh_at_final": False,
    "use_bias_at_final": False,
    "use_cqtd_instead_of_mrd": True,
    "cqtd_filters": 128,
    "cqtd_max_filters": 1024,
    "cqtd_filters_scale": 1,
    "cqtd_dilations": [1, 2, 4],
    "cqtd_hop_lengths": [512, 256, 256],
    "cqtd_n_octaves": [9, 9, 9],
    "cqtd_bins_per_octaves": [24, 36, 48],
    "use_multiscale_melloss": True,
    "lambda_melloss": 15,
    "clip_grad_norm": 500,
    "fmax": None,
}
"""What the second version's files have besides."""
SMALL = {"upsample_initial_channel": 16, "num_mels": 6, "discriminator_channel_mult": 1 / 32}
SMALL_V2 = V2 | SMALL | {"cqtd_filters": 2}
PERIOD = ((1, 1), (4, 1), (16, 4), (32, 16), (32, 32))
"""Output and input channels at a 32nd of their number."""
TAPS = (0.00202896, 0.00938947, -0.02554346, -0.05765738, 0.12857258, 0.44320980)


def taps():
    return torch.tensor([*TAPS, *TAPS[::-1]])


def generator_state(config):
    plain = hifigan_files.generator_state(config)
    state = {f"ups.{key[4]}.0{key[5:]}" if key.startswith("ups.") else key: value for key, value in plain.items()}
    c = config["upsample_initial_channel"]
    for i in range(len(config["upsample_rates"])):
        c //= 2
        for j, dilations in enumerate(config["resblock_dilation_sizes"]):
            for n in range(2 * len(dilations)):
                draw_activation(state, f"resblocks.{i * len(config['resblock_kernel_sizes']) + j}.activations.{n}", c)
    draw_activation(state, "activation_post", c)
    state["conv_post.weight_g"] *= 0.02  # what would be above 1 is cut off
    if not config.get("use_bias_at_final", True):
        del state["conv_post.bias"]
    return state


def draw_activation(state, name, channels):
    state[f"{name}.act.alpha"], state[f"{name}.act.beta"] = 0.3 * torch.randn(2, channels)
    state[f"{name}.upsample.filter"] = state[f"{name}.downsample.lowpass.filter"] = taps()[None, None]


def activated(state, name, x):
    f = taps().double().expand(x.shape[1], 1, 12)
    y = 2 * conv_transpose1d(pad(x, (5, 5), mode="replicate"), f, stride=2, groups=len(f))[..., 15:-15]
    alpha, beta = (state[f"{name}.act.{key}"].double().exp()[:, None] for key in ("alpha", "beta"))
    y = y + (alpha * y).sin() ** 2 / (beta + 1e-9)
    return conv1d(pad(y, (5, 6), mode="replicate"), f, stride=2, groups=len(f))


def generator(state, config, mel):
    x, block = conv(state, "conv_pre", mel.double(), padding=3), 0
    for i, rate in enumerate(config["upsample_rates"]):
        x = conv_transpose1d(x, weight(state, f"ups.{i}.0"), state[f"ups.{i}.0.bias"].double(), rate, rate // 2)
        outputs = []
        for kernel, dilations in zip(config["resblock_kernel_sizes"], config["resblock_dilation_sizes"], strict=True):
            h, name = x, f"resblocks.{block}"
            for j, dilation in enumerate(dilations):
                options = dict(padding=kernel // 2 * dilation, dilation=dilation)
                y = conv(state, f"{name}.convs1.{j}", activated(state, f"{name}.activations.{2 * j}", h), **options)
                y = activated(state, f"{name}.activations.{2 * j + 1}", y)
                h = h + conv(state, f"{name}.convs2.{j}", y, padding=kernel // 2)
            outputs.append(h)
            block += 1
        x = sum(outputs) / len(outputs)
    x = conv(state, "conv_post", activated(state, "activation_post", x), padding=3)
    return x.tanh() if config.get("use_tanh_at_final", True) else x.clamp(-1, 1)


def draw_plain(state, name, *shape):
    """A layer without weight norm."""
    state[f"{name}.bias"], state[f"{name}.weight"] = 0.1 * torch.randn(shape[0]), 0.3 * torch.randn(shape)


def discriminator_states(config):
    """``mpd`` at a 32nd of its channels, and ``mrd``, of magnitudes with one channel or of constant-Q spectra."""
    mpd, mrd, cqt = {}, {}, config.get("use_cqtd_instead_of_mrd", False)
    for i in range(5):
        for j, (c_out, c_in) in enumerate(PERIOD):
            draw(mpd, f"discriminators.{i}.convs.{j}", c_out, c_in, 5, 1)
        draw(mpd, f"discriminators.{i}.conv_post", 1, 32, 3, 1)
    width = config["cqtd_filters"] if cqt else 1
    for i in range(3):
        name = f"discriminators.{i}"
        for octave in range(9 if cqt else 0):
            draw_plain(mrd, f"{name}.conv_pres.{octave}", 2, 2, 3, 9)
        drawing, c_in = (draw_plain, 2) if cqt else (draw, 1)
        drawing(mrd, f"{name}.convs.0", width, c_in, 3, 9)
        for j, kernel in enumerate((9, 9, 9, 3), 1):
            draw(mrd, f"{name}.convs.{j}", width, width, 3, kernel)
        draw(mrd, f"{name}.conv_post", 1, width, 3, 3)
        if cqt:  # what is made and not learned, of any value
            for tensor in ("lowpass_filter", "lenghts", "cqt_kernels_real", "cqt_kernels_imag"):
                mrd[f"{name}.cqt_transform.{tensor}"] = torch.zeros(3)
            mrd[f"{name}.resample.kernel"] = torch.zeros(2, 1, 15)
    return {"mpd": mpd, "mrd": mrd}


def spectral_outputs(state, config, i, audio):
    """Five maps and the logits of one discriminator of spectra."""
    name, cqt = f"discriminators.{i}", config.get("use_cqtd_instead_of_mrd", False)

    def layer(part, x, **options):
        return conv2d(x, weight(state, f"{name}.{part}"), state[f"{name}.{part}.bias"].double(), **options)

    if cqt:
        rate, bins = 2 * config["sampling_rate"], config["cqtd_bins_per_octaves"][i]
        octaves = octaves_of(resample(audio.float(), rate // 2, rate), 9)
        spectrum = constant_q(octaves, rate, config["cqtd_hop_lengths"][i], bins).mT.double()
        parts = enumerate(spectrum.split(bins, -1))
        h = torch.cat([layer(f"conv_pres.{octave}", part, padding=(1, 4)) for octave, part in parts], -1)
    else:
        n_fft, hop, win = config["resolutions"][i]
        audio, window = pad(audio.double(), ((n_fft - hop) // 2,) * 2, mode="reflect")[:, 0], torch.ones(win).double()
        h = torch.stft(audio, n_fft, hop, win, window, center=False, return_complex=True).abs()[:, None]
    maps = []
    for j, stride in enumerate((1, 2, 2, 2, 1)):
        dilation = 2 ** (j - 1) if cqt and 0 < j < 4 else 1
        options = dict(stride=(1, stride), padding=(dilation, 1 if j == 4 else 4), dilation=(dilation, 1))
        h = leaky_relu(layer(f"convs.{j}", h, **options), 0.1)
        maps.append(h)
    return [*maps, layer("conv_post", h, padding=1)]


def written(folder, config, generator, discriminators=None, name="bigvgan_generator.pt"):
    """A generator's file with its config, and the discriminators' beside it."""
    (folder / "config.json").write_text(json.dumps(config))
    torch.save({"generator": generator}, folder / name)
    if discriminators:
        beside = name.replace("bigvgan_generator", "bigvgan_discriminator_optimizer").replace("g_", "do_")
        optimizer = {"state": {0: {"step": 7}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
        content = {**discriminators, "optim_g": optimizer, "optim_d": optimizer, "steps": 700, "epoch": 3}
        torch.save(content, folder / beside)
    return folder / name
