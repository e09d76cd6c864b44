"""A gated residual block (van den Oord et al. 2016, section 2.3) as matrix products over pieces that stay in the cache.

On CPUs this takes half the time of the same block written with convolutions: products of this size run faster than
dilated convolutions with few channels, the elementwise parts find their inputs in the cache, and the hyperbolic tangent
is taken as tanh(a) = 2 sigmoid(2a) - 1, of which the caller doubles ``a``.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

HALF = math.sqrt(0.5)
PIECE = 1024
"""Samples to work on at a time, about: 128 channels of them fill half a megabyte."""


class Piece(NamedTuple):
    """Frames ``first`` to ``last - 1``, upsampled by the same kernel."""

    first: int
    last: int
    kernel: int


def pieces(frames: int, hop: int, edge: int, kernels: int) -> list[Piece]:
    """Cut an utterance: ``edge`` single frames at either end with kernels of their own, and a common one between.

    Args:
        frames: L.
        hop: Samples per frame.
        edge: Frames at either end that have kernels of their own.
        kernels: How many kernels there are: ``edge`` for the left end, one or more in the middle, ``edge`` for the
            right end; one for each frame if that is all of them.
    """
    if frames <= kernels:
        return [Piece(i, i + 1, i) for i in range(frames)]
    step = max(1, round(PIECE / hop))
    left = [Piece(i, i + 1, i) for i in range(edge)]
    middle = [Piece(i, min(i + step, frames - edge), kernels // 2) for i in range(edge, frames - edge, step)]
    right = [Piece(frames - i, frames - i + 1, kernels - i) for i in range(edge, 0, -1)]
    return left + middle + right


class GatedBlock(Function):
    """One block on one example, differentiable once.

    ``apply(x, skip, condition, weight, bias, output_weight, output_bias, kernels, cut, hop, dilation)``:

    - ``x`` (C, P + T + P): input, with P zeros at either end.
    - ``skip`` (S, T): the sum of the skip outputs so far, which is added to in place.
    - ``condition`` (2 G, L + R - 1): conditioning at the frame rate, with (R - 1) / 2 zeros at either end.
    - ``weight`` (K, 2 G, C), ``bias`` (2 G): the dilated convolution, tap by tap.
    - ``output_weight`` (S + C, G), ``output_bias``: both 1x1 convolutions, skip first, the others times sqrt(1/2);
      (S, G) in a last block, which has no residual output.
    - ``kernels`` (N, R, hop): what R frames contribute to the samples of the one in their middle.
    - ``cut``: which frames are worked on together, and with which kernel.

    The rows of the first G of 2 G channels (weight, bias and condition) have to be doubled, see above.

    Returns ``skip``, and the next block's ``x`` (None from a last block).
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        skip: Tensor,
        condition: Tensor,
        weight: Tensor,
        bias: Tensor,
        output_weight: Tensor,
        output_bias: Tensor,
        kernels: Tensor,
        cut: list[Piece],
        hop: int,
        dilation: int,
    ) -> tuple[Tensor, Tensor | None]:
        taps, gate = weight.shape[0], weight.shape[1] // 2
        skips, length = skip.shape
        margin = (x.shape[1] - length) // 2
        windows = condition.unfold(1, kernels.shape[1], 1)  # (2 G, L, R)
        needs_grad = any(ctx.needs_input_grad)
        gates = x.new_empty(2 * gate, length) if needs_grad else None
        has_next = len(output_weight) > skips
        following = torch.empty_like(x) if has_next else None
        if following is not None:
            following[:, :margin] = 0
            following[:, margin + length :] = 0
        for first, last, kernel in cut:
            start, end = first * hop, last * hop
            h = bias[:, None].expand(-1, end - start)
            for tap in range(taps):
                at = margin + start + (tap - taps // 2) * dilation
                h = torch.addmm(h, weight[tap], x[:, at : at + end - start], out=None if tap == 0 else h)
            h.view(-1, hop).addmm_(windows[:, first:last].flatten(0, 1), kernels[kernel])
            h.sigmoid_()
            if gates is not None:
                gates[:, start:end] = h
            g = h[:gate].mul_(2).sub_(1).mul_(h[gate:])
            y = torch.addmm(output_bias[:, None], output_weight, g)
            skip[:, start:end] += y[:skips]
            if following is not None:
                inside = slice(margin + start, margin + end)
                torch.add(y[skips:], x[:, inside], alpha=HALF, out=following[:, inside])
        if needs_grad:
            ctx.save_for_backward(x, gates, condition, weight, output_weight, kernels)
            ctx.cut, ctx.hop, ctx.dilation = cut, hop, dilation
        ctx.mark_dirty(skip)
        return skip, following

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_skip: Tensor, grad_following: Tensor | None) -> tuple[Tensor | None, ...]:
        x, gates, condition, weight, output_weight, kernels = ctx.saved_tensors
        hop, dilation = ctx.hop, ctx.dilation
        taps, gate = weight.shape[0], weight.shape[1] // 2
        length = grad_skip.shape[1]
        margin, reach = (x.shape[1] - length) // 2, kernels.shape[1]
        windows = condition.unfold(1, reach, 1)
        frames = windows.shape[1]
        grad_x = torch.zeros_like(x) if grad_following is None else HALF * grad_following
        grad_weight, grad_output = torch.zeros_like(weight), torch.zeros_like(output_weight)
        grad_bias = x.new_zeros(2 * gate)
        grad_output_bias = x.new_zeros(len(output_weight))
        grad_windows = x.new_empty(2 * gate, frames, reach)
        grad_kernels = torch.zeros_like(kernels)
        for first, last, kernel in ctx.cut:
            start, end = first * hop, last * hop
            s = gates[:, start:end]
            tanh = 2 * s[:gate] - 1
            dy = grad_skip[:, start:end]
            if grad_following is not None:
                dy = torch.cat([dy, grad_following[:, margin + start : margin + end]])
            grad_output.addmm_(dy, (tanh * s[gate:]).T)
            grad_output_bias += dy.sum(1)
            dg = output_weight.T @ dy
            dh = torch.cat([2 * dg * s[gate:], dg.mul_(tanh)])
            torch.ops.aten.sigmoid_backward.grad_input(dh, s, grad_input=dh)
            grad_bias += dh.sum(1)
            for tap in range(taps):
                at = margin + start + (tap - taps // 2) * dilation
                grad_weight[tap].addmm_(dh, x[:, at : at + end - start].T)
                grad_x[:, at : at + end - start].addmm_(weight[tap].T, dh)
            rows = dh.view(-1, hop)
            grad_windows[:, first:last] = (rows @ kernels[kernel].T).view(2 * gate, last - first, reach)
            grad_kernels[kernel].addmm_(windows[:, first:last].flatten(0, 1).T, rows)
        grad_condition = torch.zeros_like(condition)
        for i in range(reach):
            grad_condition[:, i : i + frames] += grad_windows[:, :, i]
        return (
            grad_x, grad_skip, grad_condition, grad_weight, grad_bias, grad_output, grad_output_bias, grad_kernels,
            None, None, None,
        )  # fmt: skip
