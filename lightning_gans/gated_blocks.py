"""A gated residual block (van den Oord et al. 2016, section 2.3) piece by piece, each of which stays in the cache.

On CPUs it synthesises almost twice as fast as the same block written with layers, and trains about 1.4 times as fast:
convolutions with few channels run faster when the channels of a sample lie side by side, the elementwise parts find
their inputs in the cache, and the hyperbolic tangent is taken as tanh(a) = 2 sigmoid(2a) - 1, of which the caller
doubles ``a``.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d

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

    - ``x`` (P + T + P, C): input, with P zeros at either end.
    - ``skip`` (T, S): the sum of the skip outputs so far, which is added to in place.
    - ``condition`` (L + R - 1, 2 G): conditioning at the frame rate, with (R - 1) / 2 zeros at either end.
    - ``weight`` (2 G, C, 1, K), ``bias`` (2 G): the dilated convolution.
    - ``output_weight`` (G, S + C), ``output_bias``: both 1x1 convolutions, skip first, the others times sqrt(1/2);
      (G, S) in a last block, which has no residual output.
    - ``kernels`` (N, hop, R): what R frames contribute to the samples of the one in their middle.
    - ``cut``: which frames are worked on together, and with which kernel.

    The first G of 2 G channels (of weight, bias and condition) have to be doubled, see above.

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
        gate, (length, skips) = len(weight) // 2, skip.shape
        margin, reach = (len(x) - length) // 2, weight.shape[-1] // 2 * dilation
        windows = condition.unfold(0, kernels.shape[-1], 1).mT  # (L, R, 2 G)
        needs_grad = any(ctx.needs_input_grad)
        gates = x.new_empty(length, 2 * gate) if needs_grad else None
        following = empty_inside(x, margin) if len(output_bias) > skips else None
        weight = weight.contiguous(memory_format=torch.channels_last)  # as the samples are, or each call copies it
        for first, last, kernel in cut:
            start, end = first * hop, last * hop
            seen = x[margin + start - reach : margin + end + reach]
            h = samples(conv2d(image(seen), weight, bias, dilation=(1, dilation)))
            h.view(-1, hop, 2 * gate).baddbmm_(kernels[kernel].expand(last - first, -1, -1), windows[first:last])
            h.sigmoid_()
            if gates is not None:
                gates[start:end] = h
            y = torch.addmm(output_bias, gated(h), output_weight)
            skip[start:end] += y[:, :skips]
            if following is not None:
                inside = slice(margin + start, margin + end)
                torch.add(y[:, skips:], x[inside], alpha=HALF, out=following[inside])
        if needs_grad:
            ctx.save_for_backward(x, gates, condition, weight, output_weight, kernels)
            ctx.cut, ctx.hop, ctx.dilation = cut, hop, dilation
        ctx.mark_dirty(skip)
        return skip, following

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_skip: Tensor, grad_following: Tensor | None) -> tuple[Tensor | None, ...]:
        x, gates, condition, weight, output_weight, kernels = ctx.saved_tensors
        hop, dilation, (length, width) = ctx.hop, ctx.dilation, gates.shape
        margin, reach = (len(x) - length) // 2, weight.shape[-1] // 2 * dilation
        windows = condition.unfold(0, kernels.shape[-1], 1).mT
        grad_weight, grad_kernels = torch.zeros_like(weight), torch.zeros_like(kernels)
        grad_output, grad_output_bias = torch.zeros_like(output_weight), x.new_zeros(output_weight.shape[1])
        grad_bias, grad_windows = x.new_zeros(width), torch.empty_like(windows)
        grad_h = empty_inside(x.new_empty(length + 2 * reach, width), reach)
        for first, last, kernel in ctx.cut:
            start, end = first * hop, last * hop
            s, dy = gates[start:end], grad_skip[start:end]
            if grad_following is not None:
                dy = torch.cat([dy, grad_following[margin + start : margin + end]], 1)
            grad_output.addmm_(gated(s).T, dy)
            grad_output_bias += dy.sum(0)
            dg = dy @ output_weight.T
            dh = grad_h[reach + start : reach + end]
            torch.mul(dg, s[:, width // 2 :], out=dh[:, : width // 2]).mul_(2)
            torch.mul(dg, s[:, : width // 2].mul(2).sub_(1), out=dh[:, width // 2 :])
            torch.ops.aten.sigmoid_backward.grad_input(dh, s, grad_input=dh)
            grad_bias += dh.sum(0)
            seen = x[margin + start - reach : margin + end + reach]
            grad_weight += torch.nn.grad.conv2d_weight(image(seen), weight.shape, image(dh), dilation=(1, dilation))
            dh = dh.view(-1, hop, width)
            grad_windows[first:last] = kernels[kernel].T @ dh
            grad_kernels[kernel] += torch.bmm(dh, windows[first:last].mT).sum(0)
        grad_condition = torch.zeros_like(condition)
        for i in range(kernels.shape[-1]):
            grad_condition[i : i + len(windows)] += grad_windows[:, i]
        return (
            _grad_of_input(x, grad_h, grad_following, weight, ctx), grad_skip, grad_condition, grad_weight, grad_bias,
            grad_output, grad_output_bias, grad_kernels, None, None, None,
        )  # fmt: skip


def _grad_of_input(x: Tensor, grad_h: Tensor, grad_following: Tensor | None, weight: Tensor, ctx: Any) -> Tensor:
    """The transposed convolution, as a convolution with the taps the other way round, and the way past the gate."""
    reach = weight.shape[-1] // 2 * ctx.dilation
    length = len(grad_h) - 2 * reach
    margin = (len(x) - length) // 2
    turned = weight.transpose(0, 1).flip(-1).contiguous(memory_format=torch.channels_last)
    grad_x = empty_inside(x, margin)
    for first, last, _ in ctx.cut:
        start, end = first * ctx.hop, last * ctx.hop
        inside = slice(margin + start, margin + end)
        dx = samples(conv2d(image(grad_h[start : end + 2 * reach]), turned, dilation=(1, ctx.dilation)))
        if grad_following is None:
            grad_x[inside] = dx
        else:
            torch.add(dx, grad_following[inside], alpha=HALF, out=grad_x[inside])
    return grad_x


def gated(s: Tensor) -> Tensor:
    """The hyperbolic tangent of the first half, weighed by the second, from the sigmoids (T, 2 G) of both."""
    half = s.shape[1] // 2
    return s[:, :half].mul(2).sub_(1).mul_(s[:, half:])


def image(x: Tensor) -> Tensor:
    """(T, C) as (1, C, 1, T), the channels of a sample still side by side."""
    return x.view(1, 1, *x.shape).permute(0, 3, 1, 2)


def samples(x: Tensor) -> Tensor:
    """Back from ``image``."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[-1], -1)


def empty_inside(x: Tensor, margin: int) -> Tensor:
    """A new tensor like (T, C), zero in the first and last ``margin`` rows and not yet filled between them."""
    made = torch.empty_like(x)
    made[:margin] = 0
    made[len(made) - margin :] = 0
    return made
