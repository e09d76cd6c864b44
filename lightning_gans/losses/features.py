"""Feature matching: what a discriminator sees in the real audio, it should see in the generated one."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from lightning_gans.errors import InputError

Scale = Literal["official", "paper"]


def feature_matching(real: list[list[Tensor]], fake: list[list[Tensor]], scale: Scale = "official") -> Tensor:
    """Mean absolute differences of feature maps, summed over layers and scales (Kumar et al. 2019, MelGAN, eq. 4).

    Args:
        real: Activations of each scale's layers; the last one of each is its score map and is left out. No gradient
            flows into them.
        fake: Those of what was generated, in the same shapes.
        scale: ``official`` divides the sum by the number of scales and weighs it by 4 over the number of layers but
            the first and the last (0.8 / 3 for MelGAN's three scales of seven), as
            https://github.com/descriptinc/melgan-neurips does; ``paper`` is the bare sum.
    """
    if scale not in ("official", "paper"):
        raise InputError(f"unknown scale {scale!r} of feature matching; expected official or paper")
    total = sum(
        (f.float() - r.detach().float()).abs().mean()
        for of_real, of_fake in zip(real, fake, strict=True)
        for r, f in zip(of_real[:-1], of_fake[:-1], strict=True)
    )
    return total * 4 / (len(real[0]) - 2) / len(real) if scale == "official" else total
