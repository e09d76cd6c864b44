"""Networks of PyTorch's DCGAN example by the names in its files, and what they compute, in double precision."""

import torch
from torch.nn.functional import batch_norm, conv2d, conv_transpose2d, leaky_relu


def norm_state(index, channels):
    state = {"weight": 1 + 0.1 * torch.randn(channels), "bias": 0.1 * torch.randn(channels)}
    state |= {"running_mean": 0.1 * torch.randn(channels), "running_var": torch.empty(channels).uniform_(0.5, 2)}
    return {f"main.{index}.{leaf}": value for leaf, value in state.items()}


def generator_state(stages=3, latents=5, width=2, channels=3):
    """By the example's key list: every third layer a convolution, behind all but the last a batch norm."""
    c = [latents, *(width * 2**i for i in reversed(range(stages))), channels]
    state = {f"main.{3 * i}.weight": torch.randn(c[i], c[i + 1], 4, 4) / 3 for i in range(stages + 1)}
    for i in range(stages):
        state |= norm_state(3 * i + 1, c[i + 1])
    return state


def discriminator_state(stages=3, width=2, channels=3):
    c = [channels, *(width * 2**i for i in range(stages)), 1]
    indices = [0, *range(2, 3 * stages, 3)]
    state = {f"main.{index}.weight": torch.randn(c[i + 1], c[i], 4, 4) / 3 for i, index in enumerate(indices)}
    for i in range(1, stages):
        state |= norm_state(3 * i, c[i + 1])
    return state


def normalized(state, index, x):
    layer = {leaf: state[f"main.{index}.{leaf}"].double() for leaf in ("running_mean", "running_var", "weight", "bias")}
    return batch_norm(x, *layer.values())


def generated(state, z, stages=3):
    x = z.double()[:, :, None, None]
    for i in range(stages + 1):
        x = conv_transpose2d(x, state[f"main.{3 * i}.weight"].double(), stride=2 if i else 1, padding=1 if i else 0)
        x = normalized(state, 3 * i + 1, x).relu() if i < stages else x.tanh()
    return x


def judged(state, x, stages=3):
    x = leaky_relu(conv2d(x.double(), state["main.0.weight"].double(), stride=2, padding=1), 0.2)
    for i in range(1, stages):
        x = conv2d(x, state[f"main.{3 * i - 1}.weight"].double(), stride=2, padding=1)
        x = leaky_relu(normalized(state, 3 * i, x), 0.2)
    return conv2d(x, state[f"main.{3 * stages - 1}.weight"].double()).flatten(1)
