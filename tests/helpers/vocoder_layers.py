"""The published vocoders written out from their descriptions, and random weights under the names of their files."""

import torch
from torch.nn.functional import avg_pool1d, conv1d, conv2d, conv_transpose1d, leaky_relu, pad

RATIOS = (8, 8, 2, 2)
FLAT = {"first": 1, "ups": (3, 8, 13, 18), "blocks": ((4, 5, 6), (9, 10, 11), (14, 15, 16), (19, 20, 21)), "last": 24}
PARTS = {"melgan_neurips": ("block.2", "block.4", "shortcut"), "parallel_wavegan": ("stack.2", "stack.4", "skip_layer")}
PREFIXES = {"melgan_neurips": "model", "parallel_wavegan": "melgan"}


def melgan_names(project):
    """Of the first layer, the four transposed convolutions, three parts of each of twelve blocks, the last layer."""
    if project == "melgan_seungwonpark":
        parts = [(f"blocks.{j}.2", f"blocks.{j}.4", f"shortcuts.{j}") for j in range(3)]
        blocks = [[[f"generator.{i}.{part}" for part in block] for block in parts] for i in (4, 7, 10, 13)]
        return "generator.1", [f"generator.{i}" for i in (3, 6, 9, 12)], blocks, "generator.16"
    prefix = PREFIXES[project]
    blocks = [[[f"{prefix}.{i}.{part}" for part in PARTS[project]] for i in stage] for stage in FLAT["blocks"]]
    return f"{prefix}.{FLAT['first']}", [f"{prefix}.{i}" for i in FLAT["ups"]], blocks, f"{prefix}.{FLAT['last']}"


def scale_names(project, scale):
    pattern = {
        "melgan_neurips": "model.disc_{}.model.layer_{}",
        "melgan_seungwonpark": "discriminators.{}.discriminator.{}",
        "parallel_wavegan": "discriminators.{}.layers.{}",
    }[project]
    return [pattern.format(scale, layer) for layer in ("0.1", "1.0", "2.0", "3.0", "4.0", "5.0", "6")]


# ---- weights


def draw(state, name, *shape, bias=True, outputs=None):
    state[f"{name}.weight_g"] = torch.empty(shape[0], *[1] * (len(shape) - 1)).uniform_(0.7, 1.2)
    state[f"{name}.weight_v"] = torch.randn(shape)
    if bias:
        state[f"{name}.bias"] = 0.1 * torch.randn(outputs or shape[0])


def melgan_state(project, bands=80, width=32):
    first, ups, blocks, last = melgan_names(project)
    state, c = {}, 16 * width
    draw(state, first, c, bands, 7)
    for ratio, up, stage in zip(RATIOS, ups, blocks, strict=True):
        draw(state, up, c, c // 2, 2 * ratio, outputs=c // 2)
        c //= 2
        for dilated, pointwise, shortcut in stage:
            draw(state, dilated, c, c, 3)
            draw(state, pointwise, c, c, 1)
            draw(state, shortcut, c, c, 1)
    draw(state, last, 1, c, 7)
    return state


def scales_state(project):
    state = {}
    for scale in range(3):
        shapes = (16, 1, 15), (64, 4, 41), (256, 4, 41), (1024, 4, 41), (1024, 4, 41), (1024, 1024, 5), (1, 1024, 3)
        for name, shape in zip(scale_names(project, scale), shapes, strict=True):
            draw(state, name, *shape)
    return state


def pwg_state(bands=80, scales=(4, 4, 4, 4), layers=30, kernel=3, residual=64, gate=128, skip=64, context=2):
    state = {}
    draw(state, "first_conv", residual, 1, 1)
    draw(state, "upsample_net.conv_in", bands, bands, 2 * context + 1, bias=False)
    for i, scale in enumerate(scales):
        draw(state, f"upsample_net.upsample.up_layers.{2 * i + 1}", 1, 1, 1, 2 * scale + 1, bias=False)
    for i in range(layers):
        draw(state, f"conv_layers.{i}.conv", gate, residual, kernel)
        draw(state, f"conv_layers.{i}.conv1x1_aux", gate, bands, 1, bias=False)
        draw(state, f"conv_layers.{i}.conv1x1_out", residual, gate // 2, 1)
        draw(state, f"conv_layers.{i}.conv1x1_skip", skip, gate // 2, 1)
    draw(state, "last_conv_layers.1", skip, skip, 1)
    draw(state, "last_conv_layers.3", 1, skip, 1)
    return state


def pwg_judge_state():
    state = {}
    for i in range(10):
        draw(state, f"conv_layers.{2 * i}", 1 if i == 9 else 64, 1 if i == 0 else 64, 3)
    return state


def folded(state):
    """What is left when weight norm is removed."""
    weights = {key[:-2]: weight(state, key[:-9]).float() for key in state if key.endswith(".weight_g")}
    return weights | {key: value for key, value in state.items() if key.endswith(".bias")}


def respelled(state):
    """As today's torch writes weight norm."""
    ends = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    return {f"{key.rpartition('.')[0]}.{ends.get(end := key.rpartition('.')[2], end)}": state[key] for key in state}


# ---- networks, in float64


def weight(state, name):
    if f"{name}.weight" in state:
        return state[f"{name}.weight"].double()
    g, v = state[f"{name}.weight_g"].double(), state[f"{name}.weight_v"].double()
    return v * g / v.flatten(1).norm(dim=1).view_as(g)


def conv(state, name, x, **options):
    bias = state.get(f"{name}.bias")
    return conv1d(x, weight(state, name), None if bias is None else bias.double(), **options)


def rectified(x):
    return leaky_relu(x, 0.2)


def melgan(state, project, mel):
    first, ups, blocks, last = melgan_names(project)
    x = conv(state, first, pad(mel.double(), (3, 3), mode="reflect"))
    for ratio, up, stage in zip(RATIOS, ups, blocks, strict=True):
        bias = state[f"{up}.bias"].double()
        x = conv_transpose1d(rectified(x), weight(state, up), bias, stride=ratio, padding=ratio // 2)
        for dilation, (dilated, pointwise, shortcut) in zip((1, 3, 9), stage, strict=True):
            h = conv(state, dilated, pad(rectified(x), (dilation, dilation), mode="reflect"), dilation=dilation)
            x = conv(state, shortcut, x) + conv(state, pointwise, rectified(h))
    return conv(state, last, pad(rectified(x), (3, 3), mode="reflect")).tanh()


def scale_outputs(state, project, audio):
    """Seven activations for each of three scales."""
    outputs, audio = [], audio.double()
    for scale in range(3):
        names = scale_names(project, scale)
        maps = [rectified(conv(state, names[0], pad(audio, (7, 7), mode="reflect")))]
        for name, groups in zip(names[1:5], (4, 16, 64, 256), strict=True):
            maps.append(rectified(conv(state, name, maps[-1], stride=4, padding=20, groups=groups)))
        maps.append(rectified(conv(state, names[5], maps[-1], padding=2)))
        outputs.append([*maps, conv(state, names[6], maps[-1], padding=1)])
        audio = avg_pool1d(audio, 4, 2, padding=1, count_include_pad=False)
    return outputs


def pwg(state, noise, mel, scales=(4, 4, 4, 4), layers=30, stacks=3, kernel=3):
    c = conv(state, "upsample_net.conv_in", mel.double())[:, None]
    for i, scale in enumerate(scales):
        smoothing = weight(state, f"upsample_net.upsample.up_layers.{2 * i + 1}")
        c = conv2d(c.repeat_interleave(scale, 3), smoothing, padding=(0, scale))
    x, skips = conv(state, "first_conv", noise.double()), 0.0
    for i in range(layers):
        dilation, name = 2 ** (i % (layers // stacks)), f"conv_layers.{i}"
        h = conv(state, f"{name}.conv", x, dilation=dilation, padding=(kernel - 1) // 2 * dilation)
        a, b = (h + conv(state, f"{name}.conv1x1_aux", c[:, 0])).chunk(2, 1)
        gated = a.tanh() * b.sigmoid()
        skips = skips + conv(state, f"{name}.conv1x1_skip", gated)
        x = (conv(state, f"{name}.conv1x1_out", gated) + x) * 0.5**0.5
    x = conv(state, "last_conv_layers.1", (skips / layers**0.5).relu())
    return conv(state, "last_conv_layers.3", x.relu())


def pwg_judge(state, x):
    x = x.double()
    for i, dilation in enumerate((1, 1, 2, 3, 4, 5, 6, 7, 8, 1)):
        x = conv(state, f"conv_layers.{2 * i}", x, padding=dilation, dilation=dilation)
        x = rectified(x) if i < 9 else x
    return x
