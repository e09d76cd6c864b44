"""Whether a model and a data set fit together."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal

from lightning_gans.errors import InputError

if TYPE_CHECKING:
    from lightning_gans.training.adversarial_module import AdversarialModule

Kind = Literal["image", "audio", "mel"]
"""What a paper makes, and from what."""


def check_data(module: AdversarialModule, data: Any) -> None:
    """Compare what a module takes with what a DataModule says of its examples; what it does not say is not compared.

    Raises:
        InputError: if they differ, with both and the options that change them.
    """
    _check_kind(module, data)
    h, model, source = module.hparams, type(module).__name__, type(data).__name__
    square = (h.channels, h.image_size, h.image_size) if {"channels", "image_size"} <= set(h) else None
    taken = _sizes(module, h.get("image_shape", square))
    given = _sizes(data, getattr(data, "image_shape", None))
    if "num_classes" in taken and getattr(data, "num_classes", 0) is None:
        raise InputError(f"{model} needs labels, and {source} has none here; use labelled data")
    if wrong := {name: value for name, value in taken.items() if given.get(name, value) != value}:
        fixes = []
        for name, value in wrong.items():
            of_data = [f"--data.{name} {value}"] if name in inspect.signature(type(data)).parameters else []
            of_model = [f"--model.{name} {given[name]}"] if name in h else []
            if "image_shape" in h and name in ("channels", "image_size"):
                of_model = [f"--model.image_shape [{','.join(map(str, data.image_shape))}]"]
            fixes.append(" or ".join(of_data + of_model) or "other data")
        has, takes = ([f"{name} {sizes[name]}" for name in wrong] for sizes in (given, taken))
        raise InputError(
            f"{source} has {' and '.join(has)}, and {model} takes {' and '.join(takes)}; use"
            f" {' and '.join(dict.fromkeys(fixes))}"
        )


def kind_of(module: Any) -> Kind:
    """``mel`` for vocoders, which are given the features of a sound; ``audio`` for other models of sound."""
    if hasattr(module, "mel_config"):
        return "mel"
    return "audio" if hasattr(module, "audio_shape") else "image"


def _check_kind(module: AdversarialModule, data: Any) -> None:
    known = {"image": "images", "audio": "audio", "mel": "audio with mels"}
    shaped = next((kind for kind in ("audio", "image") if hasattr(data, f"{kind}_shape")), None)
    given, made = getattr(data, "audio_kind", shaped), kind_of(module)
    if given is not None and given != made:
        makes = (known | {"mel": "audio from mels"})[made]
        raise InputError(
            f"{type(data).__name__} is a data set of {known[given]}, and {type(module).__name__} makes {makes}; give"
            " --data or --model of the same kind"
        )


def _sizes(of: Any, image: tuple[int, int, int] | None) -> dict[str, Any]:
    """Those of a model's or a data set's examples, under the names of the options that set them."""
    sizes = {"num_classes": of.num_classes} if getattr(of, "num_classes", None) else {}
    if image:
        sizes |= {"channels": image[0], "image_size": image[2] if image[1] == image[2] else image[1:]}
    if audio := getattr(of, "audio_shape", None):
        sizes |= {"channels": audio[0], "length": audio[1], "sample_rate": of.sample_rate}
    return sizes
