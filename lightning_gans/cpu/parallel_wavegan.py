"""Parallel WaveGAN's generator, faster on CPUs."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import linear, pad

from lightning_gans.cpu.convolutions import runs_eagerly_on_cpu
from lightning_gans.cpu.gated_block import GatedBlock, pieces
from lightning_gans.models import parallel_wavegan as plain
from lightning_gans.networks.upsampling import Upsample


class Generator(plain.Generator):
    """Block by block in pieces that stay in the cache."""

    def forward(self, noise: Tensor, mel: Tensor) -> Tensor:
        if not prefers_pieces(mel):
            return super().forward(noise, mel)
        dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else mel.dtype
        with torch.autocast("cpu", enabled=False):
            skip = self.in_pieces(noise, mel, dtype)
        return self.last_conv_layers(skip * math.sqrt(1 / len(self.conv_layers)))

    def in_pieces(self, noise: Tensor, mel: Tensor, dtype: torch.dtype) -> Tensor:
        """The sum (B, S, T) of the skip outputs, the blocks' products in ``dtype``.

        The conditioning's 1x1 convolutions run at the frame rate, as they commute with the upsampling, which acts
        alike on each channel.
        """
        upsample, layers = self.upsample_net.upsample, cast(list[plain.ResidualBlock], list(self.conv_layers))
        c = self.upsample_net.conv_in(mel).mT  # (B, L, M)
        kernels, hop, edge = upsampling_kernels(upsample, c), upsample.hop, edge_frames(upsample)
        cut = pieces(c.shape[1], hop)
        gate = layers[0].conv.out_channels // 2
        doubled = c.new_ones(2 * gate)
        doubled[:gate] = 2  # what GatedBlock takes of the half that goes through the tangent
        aux = torch.stack([layer.conv1x1_aux.weight[..., 0] for layer in layers]) * doubled[:, None]  # (N, 2 G, M)
        conditions = pad(c[:, None] @ aux.mT, (0, 0, edge, edge)).unbind(1)  # N of (B, L + 2 edge, 2 G)
        x = linear(noise.mT, self.first_conv.weight[..., 0], self.first_conv.bias)  # (B, T, C)
        margin = max(layer.conv.padding[0] for layer in layers)
        xs = pad(x, (0, 0, margin, margin)).unbind()
        skips = tuple(x.new_zeros(x.shape[1], layers[0].conv1x1_skip.out_channels) for _ in xs)
        for layer, condition in zip(layers, conditions, strict=True):
            weight = (layer.conv.weight * doubled[:, None, None])[:, :, None]
            output, output_bias = layer.conv1x1_skip.weight[..., 0], layer.conv1x1_skip.bias
            if layer is not layers[-1]:
                output = torch.cat([output, layer.conv1x1_out.weight[..., 0] * math.sqrt(0.5)])
                output_bias = torch.cat([output_bias, layer.conv1x1_out.bias * math.sqrt(0.5)])
            fixed = (weight, layer.conv.bias * doubled, output, output_bias, kernels, cut, hop, layer.dilation, dtype)
            done = [GatedBlock.apply(*inputs, *fixed) for inputs in zip(xs, skips, condition, strict=True)]
            skips, xs = zip(*done, strict=True)
        return torch.stack(skips).mT


def prefers_pieces(x: Tensor) -> bool:
    """Whether ``GatedBlock`` is faster here, and knows the precision."""
    known = not torch.is_autocast_enabled("cpu") or torch.get_autocast_dtype("cpu") == torch.bfloat16
    return known and runs_eagerly_on_cpu(x)


def edge_frames(upsample: Upsample) -> int:
    """Frames on either side that a frame's samples depend on."""
    return -(-upsample.faded // upsample.hop)


def upsampling_kernels(upsample: Upsample, c: Tensor) -> Tensor:
    """The upsampling of (B, L, M) as matrices, which its linearity allows: (L, hop, 2 * edge + 1).

    ``kernels[l, p, r]`` is what the frame ``l + r - edge`` contributes to sample p of frame l. In the middle they are
    equal, so that of many frames only those at the ends and one in the middle are computed.
    """
    edge, frames = edge_frames(upsample), c.shape[1]
    count = min(frames, 4 * edge + 1)
    answers = upsample(torch.eye(count, dtype=c.dtype, device=c.device)[None])[0]  # (N, N * hop)
    answers = pad(answers.unflatten(1, (count, upsample.hop)), (0, 0, 0, 0, edge, edge))  # from frame, to frame, sample
    kernels = torch.stack([answers[i : i + 2 * edge + 1, i].T for i in range(count)])
    frame, last = torch.arange(frames, device=c.device), max(frames - 1 - 2 * edge, 2 * edge)
    return kernels[frame.clamp(max=2 * edge) + (frame - last).clamp(min=0)]
