"""Adversarial losses as pure functions of logits.

Every discriminator of the package returns raw logits (no sigmoid), so each loss is a pair of functions: one of the
real and the fake logits for the discriminator, one of the fake logits for the generator (the relativistic loss compares
with the real ones there too). All are means over every element of the logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import relu, softplus

from lightning_gans.errors import check_choice


def cross_entropy_d(real: Tensor, fake: Tensor) -> Tensor:
    """Binary cross-entropy of the discriminator: -log D(x) - log(1 - D(G(z))) (Goodfellow et al. 2014, eq. 1).

    At the optimum, where D is 1/2 everywhere, it is log 4 = 1.3863.
    """
    return softplus(-real).mean() + softplus(fake).mean()


def minimax_g(fake: Tensor) -> Tensor:
    """Saturating generator loss: log(1 - D(G(z))) (Goodfellow et al. 2014, eq. 1)."""
    return -softplus(fake).mean()


def non_saturating_g(fake: Tensor) -> Tensor:
    """Non-saturating generator loss: -log D(G(z)) (Goodfellow et al. 2014, section 3)."""
    return softplus(-fake).mean()


def least_squares_d(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 (D(x) - 1)^2 + 1/2 D(G(z))^2 (Mao et al. 2017, eq. 9)."""
    return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()


def least_squares_g(fake: Tensor) -> Tensor:
    """1/2 (D(G(z)) - 1)^2 (Mao et al. 2017, eq. 9)."""
    return 0.5 * (fake - 1).square().mean()


def hinge_d(real: Tensor, fake: Tensor) -> Tensor:
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z))) (Lim & Ye 2017; Miyato et al. 2018, eq. 16)."""
    return relu(1 - real).mean() + relu(1 + fake).mean()


def hinge_g(fake: Tensor) -> Tensor:
    """max(0, 1 - D(G(z))), which ends where D's hinge does (Zeghidour et al. 2021, SoundStream, eq. 3).

    Most others take ``wasserstein_g`` with ``hinge_d``.
    """
    return relu(1 - fake).mean()


def wasserstein_d(real: Tensor, fake: Tensor) -> Tensor:
    """D(G(z)) - D(x), the critic's loss (Arjovsky et al. 2017, algorithm 1)."""
    return fake.mean() - real.mean()


def wasserstein_g(fake: Tensor) -> Tensor:
    """-D(G(z)); the hinge loss shares it (Arjovsky et al. 2017, algorithm 1)."""
    return -fake.mean()


def relativistic_pairing_d(real: Tensor, fake: Tensor) -> Tensor:
    """-log sigmoid(D(x) - D(G(z))), pairs by position in the batch (Jolicoeur-Martineau 2019; Huang et al. 2024)."""
    return softplus(fake - real).mean()


def relativistic_pairing_g(real: Tensor, fake: Tensor) -> Tensor:
    """-log sigmoid(D(G(z)) - D(x)), pairs by position in the batch (Jolicoeur-Martineau 2019; Huang et al. 2024)."""
    return softplus(real - fake).mean()


class AdversarialLoss(NamedTuple):
    """The discriminator's and the generator's half of a loss."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


ADVERSARIAL_LOSSES: dict[str, AdversarialLoss] = {
    "minimax": AdversarialLoss(cross_entropy_d, minimax_g),
    "non_saturating": AdversarialLoss(cross_entropy_d, non_saturating_g),
    "least_squares": AdversarialLoss(least_squares_d, least_squares_g),
    "hinge": AdversarialLoss(hinge_d, wasserstein_g),
    "wasserstein": AdversarialLoss(wasserstein_d, wasserstein_g),
}


def adversarial_loss(name: str, known: Sequence[str] = tuple(ADVERSARIAL_LOSSES)) -> AdversarialLoss:
    """Look up a loss that a paper offers.

    Raises:
        InputError: for a name that is not among those known.
    """
    check_choice("loss", name, known)
    return ADVERSARIAL_LOSSES[name]
