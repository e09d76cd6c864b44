"""Log-mel spectrograms in the conventions of published vocoders, by name.

A vocoder understands only features that are made exactly as those it was trained on: two conventions differ in a
logarithm, a floor or the place of a frame, and what comes out is noise. ``MelConfig`` is one such convention; it is
given once, kept with the weights, and compared wherever data and model meet.
"""

from lightning_gans.audio.mel import log_mel, log_mel_of_crop
from lightning_gans.audio.mel_config import CONVENTIONS, MelConfig, difference
from lightning_gans.audio.mel_conversion import convert, griffin_lim_of_mel
from lightning_gans.audio.mel_plausibility import unlikely

__all__ = [
    "CONVENTIONS",
    "MelConfig",
    "convert",
    "difference",
    "griffin_lim_of_mel",
    "log_mel",
    "log_mel_of_crop",
    "unlikely",
]
