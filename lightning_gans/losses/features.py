"""Feature matching: what a discriminator sees in the real audio, it should see in the generated one."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from lightning_gans.errors import InputError

Outputs = list[tuple[Tensor, list[Tensor]]]
"""What a discriminator returns: the logits of each of its parts (scales, periods, ...), with the feature maps of the
layers before them."""
Reduction = Literal["sum", "mean", "official"]


def feature_matching(real: Outputs, fake: Outputs, reduction: Reduction = "sum", with_logits: bool = False) -> Tensor:
    """Mean absolute differences of feature maps, in float32 under any precision (Kumar et al. 2019, section 2.3).

    Args:
        real: What the discriminator returns for real audio. No gradient flows into it.
        fake: The same for what was generated, in the same shapes.
        reduction: Over maps and parts: ``sum`` as in the paper; ``mean``, of parts that have as many maps each;
            ``official`` is the sum divided by the number of parts and weighted by 4 over the number of maps but one
            (0.8 / 3 for MelGAN's three scales of six), as https://github.com/descriptinc/melgan-neurips does.
        with_logits: Match the logits too, as HiFi-GAN's authors do.

    Raises:
        InputError: for another reduction, or a discriminator without feature maps.
    """
    if reduction not in ("sum", "mean", "official"):
        raise InputError(f"unknown reduction {reduction!r} of feature matching; expected sum, mean or official")
    gaps = [
        (f.float() - r.detach().float()).abs().mean()
        for (real_logits, of_real), (fake_logits, of_fake) in zip(real, fake, strict=True)
        for r, f in zip([*of_real, *[real_logits] * with_logits], [*of_fake, *[fake_logits] * with_logits], strict=True)
    ]
    if not gaps:
        raise InputError("the discriminator has no feature maps to match; use another, or leave feature matching out")
    total = gaps[0]
    for gap in gaps[1:]:
        total = total + gap
    if reduction == "mean":
        return total / len(gaps)
    return total * 4 / (len(real[0][1]) - 1) / len(real) if reduction == "official" else total
