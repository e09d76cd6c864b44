"""Adversarial losses as pure functions of logits.

Every discriminator of the package returns raw logits (no sigmoid), so each loss is a pair of functions: one of the
real and the fake logits for the discriminator, one of the fake logits (and, for the relativistic loss, the real ones)
for the generator. All are means over every element of the logits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from torch import Tensor
from torch.nn.functional import relu, softplus

from lightning_gans.errors import InputError, closest

AdversarialLossName = Literal[
    "minimax", "non_saturating", "least_squares", "hinge", "wasserstein", "relativistic_pairing"
]


def cross_entropy_d(real: Tensor, fake: Tensor) -> Tensor:
    """Binary cross-entropy of the discriminator: -log D(x) - log(1 - D(G(z))) (Goodfellow et al. 2014, eq. 1).

    At the optimum, where D is 1/2 everywhere, it is log 4 = 1.3863.
    """
    return softplus(-real).mean() + softplus(fake).mean()


def minimax_g(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """Saturating generator loss: log(1 - D(G(z))) (Goodfellow et al. 2014, eq. 1)."""
    return -softplus(fake).mean()


def non_saturating_g(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """Non-saturating generator loss: -log D(G(z)) (Goodfellow et al. 2014, section 3)."""
    return softplus(-fake).mean()


def least_squares_d(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 (D(x) - 1)^2 + 1/2 D(G(z))^2 (Mao et al. 2017, eq. 9)."""
    return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()


def least_squares_g(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """1/2 (D(G(z)) - 1)^2 (Mao et al. 2017, eq. 9)."""
    return 0.5 * (fake - 1).square().mean()


def hinge_d(real: Tensor, fake: Tensor) -> Tensor:
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z))) (Lim & Ye 2017; Miyato et al. 2018, eq. 16)."""
    return relu(1 - real).mean() + relu(1 + fake).mean()


def wasserstein_d(real: Tensor, fake: Tensor) -> Tensor:
    """D(G(z)) - D(x), the critic's loss (Arjovsky et al. 2017, eq. 2)."""
    return fake.mean() - real.mean()


def wasserstein_g(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """-D(G(z)); the hinge loss shares it (Arjovsky et al. 2017, eq. 2)."""
    return -fake.mean()


def relativistic_pairing_d(real: Tensor, fake: Tensor) -> Tensor:
    """-log sigmoid(D(x) - D(G(z))), pairs by position in the batch (Jolicoeur-Martineau 2019; Huang et al. 2024)."""
    return softplus(fake - real).mean()


def relativistic_pairing_g(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """-log sigmoid(D(G(z)) - D(x)), pairs by position in the batch (Jolicoeur-Martineau 2019; Huang et al. 2024).

    Raises:
        InputError: without the logits of the real batch, which this loss compares with.
    """
    if real is None:
        raise InputError("relativistic_pairing needs the real logits in the generator's step too; pass real=...")
    return softplus(real - fake).mean()


class AdversarialLoss(NamedTuple):
    """The discriminator's and the generator's half of a loss.

    ``needs_real`` says that the generator's half wants the real logits.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor | None], Tensor]
    needs_real: bool = False


ADVERSARIAL_LOSSES: dict[str, AdversarialLoss] = {
    "minimax": AdversarialLoss(cross_entropy_d, minimax_g),
    "non_saturating": AdversarialLoss(cross_entropy_d, non_saturating_g),
    "least_squares": AdversarialLoss(least_squares_d, least_squares_g),
    "hinge": AdversarialLoss(hinge_d, wasserstein_g),
    "wasserstein": AdversarialLoss(wasserstein_d, wasserstein_g),
    "relativistic_pairing": AdversarialLoss(relativistic_pairing_d, relativistic_pairing_g, needs_real=True),
}


def adversarial_loss(name: str) -> AdversarialLoss:
    """Look a loss up by name.

    Raises:
        InputError: for a name that is not in ``ADVERSARIAL_LOSSES``.
    """
    if name not in ADVERSARIAL_LOSSES:
        raise InputError(f"unknown adversarial loss {name!r}; {closest(name, list(ADVERSARIAL_LOSSES))}")
    return ADVERSARIAL_LOSSES[name]
