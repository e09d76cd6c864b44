"""Whether features can be of a convention, told by their values."""

from __future__ import annotations

import math

from torch import Tensor

from lightning_gans.audio.mel_config import CONVENTIONS, MelConfig

LOUDEST = {"slaney": 100.0, None: 2000.0}
"""Above what a band reaches before the logarithm, by the norm of the bands; sound in [-1, 1] stays well below."""

LOWEST_OF_BASE_10 = -10 - 1e-2


def unlikely(mel: Tensor, config: MelConfig) -> str:
    """Why features (..., M, L) hardly follow a convention, with the likely one named; "" if nothing speaks against it.

    Features that lie below its floor or above any sound do not, nor do those that often touch another's floor.
    """
    low, high = mel.min().item(), mel.max().item()
    mean, deviation = mel.mean().item(), mel.std().item()
    touched = (mel < low + 1e-3).sum().item() > 1
    fits = low > config.lowest - 1e-2 and high < highest(config)
    known = {name: MelConfig.of(name) for name in CONVENTIONS}
    bands = [name for name, other in known.items() if other.n_mels == mel.shape[-2]]
    known = {name: known[name] for name in bands or known}
    floors = [name for name, other in known.items() if touched and abs(low - other.lowest) < 1e-2]
    if fits and (not floors or abs(low - config.lowest) < 1e-2):
        return ""
    likely = floors or [name for name, other in known.items() if low > other.lowest - 1e-2 and high < highest(other)]
    if abs(mean) < 0.7 and 0.4 < deviation < 1.6 and not floors:
        guess = "they look normalized by the mean and deviation of each band, which has to be undone"
    elif likely:
        guess = f"they look like {' or '.join(likely)}"
    elif low < LOWEST_OF_BASE_10:
        guess = "no known convention has them, but natural logarithms with another floor do"
    else:
        guess = "no known convention has such values"
    return (
        f"the mel has values from {low:.2f} to {high:.2f}, and those of {config.name} lie between {config.lowest:.2f}"
        f" and about {highest(config):.0f}; {guess}, and the sound will be wrong"
    )


def highest(config: MelConfig) -> float:
    """Above any feature of sound in [-1, 1]."""
    return math.log(LOUDEST[config.norm]) / (1.0 if config.log == "ln" else math.log(10))
