"""The discriminators of waveforms, faster on CPUs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_gans.cpu.convolutions import as_image, faster, on_image, runs_eagerly_on_cpu
from lightning_gans.losses.features import Outputs
from lightning_gans.networks import waveform_discriminators as plain

FEW_EXAMPLES = 4
"""With no more of them in float32, gradients of the weights cost more than the rest gains."""


class ScaleDiscriminator(plain.ScaleDiscriminator):
    """Layer by layer, each in the form that is fastest."""

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        if not runs_eagerly_on_cpu(audio):
            return super().forward(audio)
        *hidden, last = self.layers
        maps, h = [], audio
        for layer in hidden:
            h = faster(layer, h)
            maps.append(h)
        return faster(last, h), maps


class SampleDiscriminator(plain.SampleDiscriminator):
    """The channels of a sample side by side in memory."""

    def forward(self, audio: Tensor) -> Outputs:
        gains = len(audio) > FEW_EXAMPLES or torch.is_autocast_enabled(audio.device.type)
        if not (gains and runs_eagerly_on_cpu(audio)):
            return super().forward(audio)
        maps, h = [], as_image(audio)
        for layer in self.conv_layers:
            h = on_image(layer, h)
            if isinstance(layer, nn.LeakyReLU):
                maps.append(h[:, :, 0])
        return [(h[:, :, 0], maps)]
