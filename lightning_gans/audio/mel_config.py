"""``MelConfig``, the one description of how features are made, and the conventions that go by a name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from lightning_gans.errors import InputError, closest

Log = Literal["ln", "log10"]
Scale = Literal["slaney", "htk"]
Norm = Literal["slaney"]
Framing = Literal["center", "hop"]

CONVENTIONS: dict[str, dict[str, Any]] = {
    # https://github.com/descriptinc/melgan-neurips
    "melgan": dict(log="log10", floor=1e-5),
    # https://github.com/NVIDIA/tacotron2, and https://github.com/seungwonpark/melgan
    "tacotron2": dict(framing="center", f_max=8000.0),
    # https://github.com/jik876/hifi-gan
    "hifigan": dict(f_max=8000.0, epsilon=1e-9),
    # https://github.com/NVIDIA/BigVGAN, the model of 22 kHz and 80 bands
    "bigvgan": dict(f_max=8000.0, epsilon=1e-9),
    # https://github.com/maum-ai/univnet
    "univnet": dict(sample_rate=24000, n_mels=100, f_max=12000.0, epsilon=1e-9),
    # https://github.com/kan-bayashi/ParallelWaveGAN, which then normalizes each band by its mean and deviation
    "parallel_wavegan": dict(log="log10", floor=1e-10, framing="center", f_min=80.0, f_max=7600.0),
    # https://github.com/gemelo-ai/vocos, mel-24khz
    "vocos": dict(sample_rate=24000, n_mels=100, floor=1e-7, scale="htk", norm=None, framing="center"),
}
"""What sets each apart from the defaults of ``MelConfig``."""


@dataclass(frozen=True)
class MelConfig:
    """How a log-mel spectrogram is made: ``log(max(floor, bank @ sqrt(|STFT|^2 + epsilon)))``.

    Two are equal if they give the same features, whatever their names.

    Args:
        name: The convention that it is, or started from.
        sample_rate: Of the audio, in Hz.
        n_fft: Samples of a frame.
        hop_length: Samples from one frame to the next.
        win_length: Samples of the periodic Hann window, in the middle of the frame.
        n_mels: M.
        f_min: Lower edge of the lowest band, in Hz.
        f_max: Upper edge of the highest band, in Hz; half the sample rate when not given.
        log: Base of the logarithm, e or 10.
        floor: Least value of a band before the logarithm.
        scale: Where the bands lie, see ``audio.mel_matrix``.
        norm: Of the bands, see there.
        framing: ``hop`` reflects (n_fft - hop_length) / 2 samples at both ends, so that T samples make T / hop_length
            frames, each around the middle of its hop; ``center`` reflects n_fft / 2 and makes one more, each around
            the start of its hop. Where that half is no whole number, the start gets the smaller part, as in the code of
            HiFi-GAN and BigVGAN, and the end the larger one, for the last frame, which that code leaves out.
        epsilon: Added to the power under the root.

    Raises:
        InputError: for values that do not go together.
    """

    name: str = field(compare=False)
    sample_rate: int = 22050
    n_fft: int = 1024
    hop_length: int = 256
    win_length: int = 1024
    n_mels: int = 80
    f_min: float = 0.0
    f_max: float | None = None
    log: Log = "ln"
    floor: float = 1e-5
    scale: Scale = "slaney"
    norm: Norm | None = "slaney"
    framing: Framing = "hop"
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        for name in ("sample_rate", "n_fft", "hop_length", "win_length", "n_mels"):
            object.__setattr__(self, name, _number(name, getattr(self, name), int))
        for name in ("f_min", "f_max", "floor", "epsilon"):
            if getattr(self, name) is not None or name != "f_max":
                object.__setattr__(self, name, _number(name, getattr(self, name), float))
        if self.f_max == self.sample_rate / 2:
            object.__setattr__(self, "f_max", None)  # one way to say it, for equality
        choices = {
            "log": get_args(Log),
            "scale": get_args(Scale),
            "framing": get_args(Framing),
            "norm": ("slaney", None),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise InputError(f"mel.{name} is {getattr(self, name)!r}; expected {' or '.join(map(str, known))}")
        for wrong, message in (
            (self.win_length > self.n_fft, f"win_length {self.win_length} is above n_fft {self.n_fft}; raise n_fft"),
            (
                self.hop_length > self.win_length,
                f"hop_length {self.hop_length} is above win_length {self.win_length}, which leaves samples out;"
                " lower hop_length",
            ),
            (self.n_fft % 2, f"n_fft {self.n_fft} is odd; expected an even number, best a power of two"),
            (
                self.top > self.sample_rate / 2,
                f"f_max {self.top:g} Hz is above half the sample_rate, {self.sample_rate / 2:g} Hz; lower it, or leave"
                " it out for that half",
            ),
            (not 0 <= self.f_min < self.top, f"f_min {self.f_min:g} Hz is not between 0 and f_max {self.top:g} Hz"),
            (self.floor <= 0, f"floor is {self.floor:g}; expected a number above 0, such as 1e-5"),
            (self.epsilon < 0, f"epsilon is {self.epsilon:g}; expected 0 or a little more, such as 1e-9"),
        ):
            if wrong:
                raise InputError(f"mel.{message}")

    @classmethod
    def of(cls, value: str | Mapping[str, Any] | MelConfig) -> MelConfig:
        """A convention by name, or a dict of the fields that differ from the one it names.

        Args:
            value: Such as ``"melgan"``, ``{"name": "melgan", "sample_rate": 16000}``, or what ``hparams`` returned.

        Raises:
            InputError: for an unknown name or field, or values that do not go together.
        """
        if isinstance(value, MelConfig):
            return value
        changes = {"name": value} if isinstance(value, str) else value
        if not isinstance(changes, Mapping) or not isinstance(changes.get("name"), str):
            raise InputError(
                f"mel is {value!r}; expected a name ({', '.join(CONVENTIONS)}) or a mapping with a name and the fields"
                " that differ from it"
            )
        if changes["name"] not in CONVENTIONS:
            raise InputError(f"unknown mel {changes['name']!r}; {closest(changes['name'], list(CONVENTIONS))}")
        known = [item.name for item in fields(cls)]
        for key in changes:
            if key not in known:
                raise InputError(f"unknown mel.{key}; {closest(str(key), known)}")
        return cls(**{**CONVENTIONS[changes["name"]], **changes})

    def hparams(self) -> dict[str, Any]:
        """All fields as plain values, which ``of`` reads back."""
        return asdict(self)

    @property
    def top(self) -> float:
        """Upper edge of the highest band, in Hz."""
        return self.sample_rate / 2 if self.f_max is None else self.f_max

    @property
    def lowest(self) -> float:
        """The least value that a feature can have, which is that of silence."""
        return math.log(self.floor) if self.log == "ln" else math.log10(self.floor)

    @property
    def margin(self) -> int:
        """Samples beyond either end of a crop which its outer frames see."""
        return self.padding[1]

    @property
    def padding(self) -> tuple[int, int]:
        """Samples that are reflected at the start and at the end of an utterance."""
        both = self.n_fft - self.hop_length if self.framing == "hop" else self.n_fft
        return both // 2, both - both // 2

    def frames(self, samples: int) -> int:
        """L, frames of an utterance of so many samples."""
        return samples // self.hop_length + (self.framing == "center")

    def samples(self, frames: int) -> int:
        """T, samples that a vocoder makes of so many frames."""
        return frames * self.hop_length


def difference(a: MelConfig, b: MelConfig) -> str:
    """What sets ``a`` apart from ``b``, such as ``log ln against log10, f_max 8000 against 11025``; "" if nothing."""
    names = [item.name for item in fields(MelConfig) if item.compare and getattr(a, item.name) != getattr(b, item.name)]
    values = {name: [config.top if name == "f_max" else getattr(config, name) for config in (a, b)] for name in names}
    return ", ".join(f"{name} {_shown(x)} against {_shown(y)}" for name, (x, y) in values.items())


def _number(name: str, value: Any, kind: type) -> Any:
    """The value as ``kind``; YAML reads 1e-5 as text."""
    try:
        number = kind(value) if kind is float else int(value)
        if isinstance(value, bool) or (kind is int and (number != value or number < 1)) or not math.isfinite(number):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        expected = "a whole number of at least 1" if kind is int else "a number"
        raise InputError(f"mel.{name} is {value!r}; expected {expected}") from None
    return number


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
