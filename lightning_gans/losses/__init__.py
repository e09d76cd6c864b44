"""Loss functions of logits, of features and of spectra, and the penalties that go with them."""

from lightning_gans.losses.adversarial import ADVERSARIAL_LOSSES, AdversarialLoss, adversarial_loss
from lightning_gans.losses.features import feature_matching
from lightning_gans.losses.penalties import gradient_penalty, r1_penalty, r2_penalty
from lightning_gans.losses.spectral import MultiResolutionSTFTLoss

__all__ = [
    "ADVERSARIAL_LOSSES",
    "AdversarialLoss",
    "MultiResolutionSTFTLoss",
    "adversarial_loss",
    "feature_matching",
    "gradient_penalty",
    "r1_penalty",
    "r2_penalty",
]
