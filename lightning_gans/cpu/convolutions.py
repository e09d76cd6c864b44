"""Convolutions of sounds in forms that run faster on CPUs: the same functions of the same layers, rounded otherwise.

Ratios are of CPU time in float32 on one core with AVX-512, forward and backward together.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv2d, conv_transpose2d, pad

SIMD = 16
"""Channels that a vector register holds; with fewer in a group, the library has no fast convolution."""
FEW_SAMPLES = 128
MANY_CHANNELS = 512


def runs_eagerly_on_cpu(x: Tensor) -> bool:
    """Whether the forms of this file are to be taken; compilers and exports get plain layers, which they know best."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling() and not torch.jit.is_tracing()


# ---- networks with few channels: those of a sample lie side by side in memory


def as_image(x: Tensor) -> Tensor:
    """(B, C, T) as (B, C, 1, T), the channels of a sample side by side."""
    return x[:, :, None].contiguous(memory_format=torch.channels_last)


def on_image(layer: nn.Module, x: Tensor) -> Tensor:
    """``layer``, whose convolutions have one group, on what ``as_image`` returns; 1.3 times as fast in MelGAN."""
    if isinstance(layer, nn.Sequential):
        for part in layer:
            x = on_image(part, x)
        return x
    if isinstance(layer, nn.ReflectionPad1d):
        return pad(x, (*layer.padding, 0, 0), mode="reflect")
    if not isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
        return layer(x)
    # The weight is laid out as the samples are, or each call copies it.
    weight = layer.weight[:, :, None].contiguous(memory_format=torch.channels_last)
    kernel, stride, padding, dilation = numbers(layer)
    if isinstance(layer, nn.ConvTranspose1d):
        output_padding = (0, layer.output_padding[0])
        return conv_transpose2d(x, weight, layer.bias, (1, stride), (0, padding), output_padding)
    # A dilation means nothing to a kernel of one sample, but with it one thread gets the library that is twice as fast.
    dilation = max(dilation, 2) if kernel == 1 else dilation
    return conv2d(x, weight, layer.bias, (1, stride), (0, padding), (1, dilation))


def numbers(conv: nn.Conv1d | nn.ConvTranspose1d) -> tuple[int, int, int, int]:
    """Kernel, stride, padding and dilation."""
    return conv.kernel_size[0], conv.stride[0], int(conv.padding[0]), conv.dilation[0]


# ---- layers that the library is slow at, on (B, C, T) as it is


def faster(layer: nn.Module, x: Tensor) -> Tensor:
    """``layer(x)``, by way of one of the forms below where it pays."""
    if isinstance(layer, nn.Sequential):
        for part in layer:
            x = faster(part, x)
        return x
    if not isinstance(layer, nn.Conv1d) or layer.dilation != (1,) or layer.padding_mode != "zeros":
        return layer(x)
    if layer.groups > 1:
        return in_phases(layer, x) if layer.out_channels // layer.groups >= SIMD and layer.stride != (1,) else layer(x)
    wide = min(layer.in_channels, layer.out_channels) >= MANY_CHANNELS
    if wide and layer.stride == (1,) and len(x) > 1 and x.shape[-1] <= FEW_SAMPLES:
        return in_a_row(layer, x)
    return layer(x)


def in_phases(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """A grouped convolution with a stride: each of so many samples becomes a channel of its group, and the stride 1.

    1.8 times as fast with 4 channels in a group, 16 out of it, a stride of 4 and a kernel of 41.
    """
    kernel, stride, padding, _ = numbers(conv)
    batch, channels, samples = x.shape
    taps = -(-kernel // stride)
    length = (samples + 2 * padding - kernel) // stride + taps
    x = pad(x, (padding, length * stride - samples - padding)).unflatten(2, (length, stride))
    x = x.transpose(2, 3).reshape(batch, channels * stride, length)
    weight = pad(conv.weight, (0, taps * stride - kernel)).unflatten(2, (taps, stride))
    weight = weight.transpose(2, 3).flatten(1, 2)
    return conv1d(x, weight, conv.bias, groups=conv.groups)


def in_a_row(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution of stride 1 with the examples one behind the other and zeros between them.

    1.4 times as fast with 1024 channels, whose weights outnumber the samples: the product gets longer rows.
    """
    kernel, _, padding, _ = numbers(conv)
    (batch, channels, samples), between = x.shape, max(2 * padding, kernel - 1)
    row = pad(x, (padding, between - padding)).transpose(0, 1).reshape(1, channels, -1)
    row = pad(conv1d(row, conv.weight, conv.bias), (0, kernel - 1))
    out = row.view(conv.out_channels, batch, -1)[..., : samples + 2 * padding - kernel + 1]
    return out.transpose(0, 1)
