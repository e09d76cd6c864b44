"""Whether a model and a data set fit together."""

from __future__ import annotations

from typing import Any, Literal

from lightning_gans.errors import InputError
from lightning_gans.training.typed_module import TypedModule

Kind = Literal["image", "audio", "mel"]
"""What a paper makes, and from what."""


def check_data(module: TypedModule, data: Any) -> None:
    """Compare what a module takes with what a DataModule says of its examples; what it does not say is not compared.

    Raises:
        InputError: if they differ, with both values and the options that change them.
    """
    _check_kind(module, data)
    _check_audio(module, data)
    h, model, given = module.hparams, type(module).__name__, getattr(data, "image_shape", None)
    square = (h.channels, h.image_size, h.image_size) if {"channels", "image_size"} <= set(h) else None
    taken = h.get("image_shape") or square
    if given and taken and tuple(given) != tuple(taken):
        fixes = {
            "image_shape": f"--data.image_size {taken[-1]} or --model.image_shape [{','.join(map(str, given))}]",
            "channels": f"--model.channels {given[0]}",
            "image_size": f"--data.image_size {taken[-1]} or --model.image_size {given[-1]}",
        }
        wrong = ["channels"] * (given[0] != taken[0]) + ["image_size"] * (given[1:] != tuple(taken[1:]))
        fix = " and ".join(fixes[name] for name in (["image_shape"] if "image_shape" in h else wrong))
        raise InputError(
            f"the images of {type(data).__name__} are {tuple(given)}, and {model} takes {tuple(taken)}; use {fix}"
        )
    if data is not None and module.num_classes and hasattr(data, "num_classes"):
        classes = data.num_classes
        if classes is None:
            raise InputError(f"{model} needs labels, and {type(data).__name__} has none here; use labelled data")
        if classes != module.num_classes:
            raise InputError(
                f"{type(data).__name__} has {classes} classes, and {model} takes {module.num_classes}; use"
                f" --model.num_classes {classes}"
            )


def kind_of(module: Any) -> Kind:
    """``mel`` for vocoders, which are given the features of a sound; ``audio`` for other models of sound."""
    if hasattr(module, "mel_config"):
        return "mel"
    return "audio" if hasattr(module, "audio_shape") else "image"


def _check_kind(module: TypedModule, data: Any) -> None:
    if getattr(data, "audio_kind", None) == "mel":
        given: Kind = "mel"
    else:
        shapes: list[Kind] = [kind for kind in ("audio", "image") if hasattr(data, f"{kind}_shape")]
        if not shapes:
            return
        (given,) = shapes
    kind = kind_of(module)
    if given != kind:
        known = {"image": "images", "audio": "audio", "mel": "audio with mels"}
        makes = known | {"mel": "audio from mels"}
        raise InputError(
            f"{type(data).__name__} is a data set of {known[given]}, and {type(module).__name__} makes {makes[kind]};"
            " give --data or --model of the same kind"
        )


def _check_audio(module: TypedModule, data: Any) -> None:
    taken, given = getattr(module, "audio_shape", None), getattr(data, "audio_shape", None)
    if taken is None or given is None:
        return
    model, source = type(module).__name__, type(data).__name__
    if tuple(given) != tuple(taken):
        fixes = [
            f"--data.{name} {t}" + (f" or --model.{name} {g}" if name in module.hparams else "")
            for name, g, t in zip(("channels", "length"), given, taken, strict=True)
            if g != t
        ]
        raise InputError(
            f"the clips of {source} have {given[0]} channel(s) of {given[1]} samples, and {model} makes {taken[0]} of"
            f" {taken[1]}; use {' and '.join(fixes)}"
        )
    if data.sample_rate != module.sample_rate:
        raise InputError(
            f"the clips of {source} have {data.sample_rate} Hz, and {model} is for {module.sample_rate}; use"
            f" --data.sample_rate {module.sample_rate} or --model.sample_rate {data.sample_rate}"
        )
