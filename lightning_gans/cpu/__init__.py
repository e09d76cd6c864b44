"""Faster forms of networks on CPUs, which are put in place of the plain ones from outside.

A form is a subclass that computes the same function of the same parameters in another way. It does so on CPUs only:
on other devices, in compilers, traces and exports it runs the plain ``forward``. Networks keep their parameters, their
names in checkpoints, and can be copied. Without this folder everything works as well, slower.
"""

from __future__ import annotations

from torch import nn

from lightning_gans import models
from lightning_gans.cpu import bigvgan, discriminators, hifigan, melgan, parallel_wavegan, vocos
from lightning_gans.networks import waveform_discriminators

FORMS: dict[type[nn.Module], type[nn.Module]] = {
    waveform_discriminators.ScaleDiscriminator: discriminators.ScaleDiscriminator,
    waveform_discriminators.SampleDiscriminator: discriminators.SampleDiscriminator,
    models.bigvgan.Generator: bigvgan.Generator,
    models.hifigan.Generator: hifigan.Generator,
    models.melgan.Generator: melgan.Generator,
    models.parallel_wavegan.Generator: parallel_wavegan.Generator,
    models.vocos.Generator: vocos.Generator,
}
"""The table: class of the plain network to that of its faster form."""


def put_in_place(module: nn.Module) -> None:
    """Let each network inside of a module that has a faster form take it."""
    for network in module.modules():
        network.__class__ = FORMS.get(type(network), type(network))


def take_off(module: nn.Module) -> None:
    """Undo ``put_in_place``."""
    plain = {form: network for network, form in FORMS.items()}
    for network in module.modules():
        network.__class__ = plain.get(type(network), type(network))
