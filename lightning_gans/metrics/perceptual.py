"""Metrics of vocoders that packages compute, from telephony here, which come with the extra ``metrics``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, ClassVar

from torch import Tensor

from lightning_gans.audio import MelConfig
from lightning_gans.audio.resampling import resample
from lightning_gans.errors import InputError
from lightning_gans.metrics.paired import Paired

PESQ_RATE = 16000
WORST_PESQ = 1.0


class Perceptual(Paired):
    """A metric that a package of one of our extras computes."""

    higher_is_better = True
    package: ClassVar[str]
    extra: ClassVar[str] = "metrics"

    def __init__(self, mel: MelConfig, **kwargs: Any) -> None:
        super().__init__(mel, **kwargs)
        if find_spec(self.package) is None:  # complain now, not after hours of training
            raise InputError(
                f"{type(self).__name__} needs the package {self.package}, which is not installed; install it with"
                f" pip install 'lightning-gans[{self.extra}]', or leave the metric out"
            )


class STOI(Perceptual):
    """Short-time objective intelligibility (Taal et al. 2011), at most 1, by pystoi, which resamples to 10 kHz.

    Utterances with less than 0.4 s of speech get 1e-5, with a warning by that package.
    """

    package = "pystoi"

    def score(self, real: Tensor, fake: Tensor) -> float:
        """Of one utterance."""
        from pystoi import stoi

        return float(stoi(real.cpu().numpy(), fake.cpu().numpy(), self.mel.sample_rate))


class PESQ(Perceptual):
    """Perceptual evaluation of speech quality, wide band (ITU-T P.862.2): 1.04 to 4.64, at 16 kHz.

    An utterance in which it finds no speech, as in what a fresh generator makes, gets 1.
    """

    package = "pesq"

    def score(self, real: Tensor, fake: Tensor) -> float:
        """Of one utterance.

        Raises:
            InputError: for less than a quarter of a second.
        """
        from pesq import BufferTooShortError, NoUtterancesError, pesq

        recorded, made = (resample(x, self.mel.sample_rate, PESQ_RATE).cpu().numpy() for x in (real, fake))
        if not made.any():  # which it divides by
            return WORST_PESQ
        try:
            return float(pesq(PESQ_RATE, recorded, made, "wb"))
        except NoUtterancesError:
            return WORST_PESQ
        except BufferTooShortError as error:
            seconds = len(recorded) / PESQ_RATE
            raise InputError(
                f"PESQ got an utterance of {seconds:.2f} s; it takes at least 0.25 s: leave the sound or the metric out"
            ) from error
