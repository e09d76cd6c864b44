"""Loss functions of logits, and the penalties that go with them."""

from lightning_gans.losses.adversarial import (
    ADVERSARIAL_LOSSES,
    AdversarialLoss,
    AdversarialLossName,
    adversarial_loss,
)
from lightning_gans.losses.penalties import gradient_penalty, r1_penalty, r2_penalty

__all__ = [
    "ADVERSARIAL_LOSSES",
    "AdversarialLoss",
    "AdversarialLossName",
    "adversarial_loss",
    "gradient_penalty",
    "r1_penalty",
    "r2_penalty",
]
