"""Vocos' generator, faster on CPUs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, gelu

from lightning_gans.cpu.convolutions import runs_eagerly_on_cpu
from lightning_gans.models import vocos as plain

OPERATIONS = torch.ops.mkldnn
"""Those of torch's compiler, without public names: weights that are laid out, and products with what follows them."""
PACKED_FOR = 256
"""Rows of the products that weights are laid out for; with other numbers they are nearly as fast."""
EACH = 1021
"""Of so many weights one is looked at, to see whether they are what they were."""


class Generator(plain.Generator):
    """The channels of a frame side by side in memory, and weights laid out once for all products to come.

    The library lays them out anew at each call, which takes as long as 40 frames do.
    """

    def forward(self, mel: Tensor) -> Tensor:
        if not runs_eagerly_on_cpu(mel):
            return super().forward(mel)
        backbone = self.backbone
        x = backbone.norm(in_frames(backbone.embed, mel.mT))
        is_packed = not torch.is_grad_enabled() and hasattr(OPERATIONS, "_linear_pointwise")
        for block in cast(Iterable[plain.ConvNeXtBlock], backbone.convnext):
            h = block.norm(in_frames(block.dwconv, x))
            if is_packed and h.dtype == torch.float32:
                h = product(block.pwconv2, product(block.pwconv1, h, "gelu"))
            else:
                h = block.pwconv2(gelu(block.pwconv1(h)))
            x = torch.addcmul(x, block.gamma, h)
        return self.head(backbone.final_layer_norm(x))


def in_frames(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """``conv`` of (B, L, C), as of an image of one row."""
    weight = conv.weight[:, :, None].contiguous(memory_format=torch.channels_last)
    image = x.contiguous().mT[:, :, None]
    return conv2d(image, weight, conv.bias, padding=(0, int(conv.padding[0])), groups=conv.groups)[:, :, 0].mT


class Packed(NamedTuple):
    """A weight in the library's layout, and what tells whether it still is that weight's."""

    of: Tensor
    version: int
    some: Tensor
    weight: Tensor


PACKED: WeakKeyDictionary[nn.Linear, Packed] = WeakKeyDictionary()


def packed(layer: nn.Linear) -> Tensor:
    """The layer's weight in the library's layout, made again when it has changed.

    Changes in place are counted by torch, but for those by way of ``.data``, which some of the weights show.
    """
    of, last = layer.weight.detach(), PACKED.get(layer)
    version, some = 0 if of.is_inference() else of._version, of.flatten()[::EACH]
    if last is None or of.data_ptr() != last.of.data_ptr() or version != last.version or not some.equal(last.some):
        weight = OPERATIONS._reorder_linear_weight(of, PACKED_FOR)
        last = PACKED[layer] = Packed(of, version, some.clone(), weight)
    return last.weight


def product(layer: nn.Linear, x: Tensor, activation: str = "none") -> Tensor:
    """``layer`` of (B, L, C), and what follows it."""
    made = OPERATIONS._linear_pointwise(x.flatten(0, 1), packed(layer), layer.bias, activation, [], "none")
    return made.unflatten(0, x.shape[:2])
