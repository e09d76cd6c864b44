"""Whether a model and a data set fit together."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from lightning_gans.audio import unlikely
from lightning_gans.data.batches import AudioBatch, ImageBatch, MelBatch
from lightning_gans.errors import InputError

if TYPE_CHECKING:
    from lightning_gans.training.adversarial_module import AdversarialModule

Kind = Literal["image", "audio", "mel"]
"""What a paper makes, and from what."""
BATCHES: dict[Kind, Any] = {"image": ImageBatch, "audio": AudioBatch, "mel": MelBatch}
LARGEST = 1.5
"""Resampling takes sounds a little beyond 1; pixels in [0, 255], or divided by a deviation, are far beyond it."""


def check_data(module: AdversarialModule, data: Any) -> None:
    """Compare what a module takes with what a DataModule says of its examples; what it does not say is not compared.

    Raises:
        InputError: if they differ, with both and the options that change them.
    """
    _check_kind(module, data)
    h, model, source = module.hparams, type(module).__name__, type(data).__name__
    taken = _sizes(module, _image_shape(module))
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


def check_batch(module: AdversarialModule, batch: Any) -> None:
    """Look at a batch as a model is given it: anybody's loader may have made it.

    Raises:
        InputError: for other fields, shapes, types or ranges than the model takes, with both.
    """
    kind, name = kind_of(module), type(module).__name__
    fields = BATCHES[kind]._fields if kind == "mel" or module.num_classes else BATCHES[kind]._fields[:1]
    shape = {"image": _image_shape(module), "audio": getattr(module, "audio_shape", None), "mel": None}[kind]
    size = "..." if shape is None else ", ".join(map(str, shape))
    expected = f"{name} takes lightning_gans.data.batches.{BATCHES[kind].__name__}"
    if absent := [field for field in fields if not isinstance(getattr(batch, field, None), Tensor)]:
        raise InputError(f"a batch is a {type(batch).__name__} without {' and '.join(absent)}; {expected}")
    made = batch.audio if kind == "mel" else batch[0]
    if not made.is_floating_point():
        raise InputError(
            f"a batch holds {str(made.dtype)[6:]}; {expected} of floats in [-1, 1]: scale them, or hand the DataModule"
            " itself to the Trainer, which scales them on the device"
        )
    if shape is not None and tuple(made.shape[1:]) != tuple(shape):
        raise InputError(f"a batch has the shape {tuple(made.shape)}; {expected} of (B, {size})")
    if kind == "mel":
        _check_frames(module, batch, expected)
    if module.trainer.training and len(made) == 1 and any(isinstance(m, nn.BatchNorm1d) for m in module.modules()):
        raise InputError(f"a batch has one example, and the batch norm of {name} takes two; raise --data.batch_size")
    _check_values(module, kind, batch, expected)


def _check_values(module: Any, kind: Kind, batch: Any, expected: str) -> None:
    """The range; this waits for the device."""
    made = batch.audio if kind == "mel" else batch[0]
    low, high = made.min().item(), made.max().item()
    if not (-LARGEST <= low and high <= LARGEST):  # nor of NaN
        raise InputError(f"a batch has values from {low:g} to {high:g}; {expected} of values in [-1, 1]: scale them")
    if kind == "image" and low >= 0 and module.trainer.training:
        rank_zero_warn(f"all pixels of a batch are in [{low:g}, {high:g}]; {expected} of [-1, 1], where black is -1")
    if kind == "mel" and (warning := unlikely(batch.mel, module.mel_config)):
        rank_zero_warn(warning)


def _check_frames(module: Any, batch: MelBatch, expected: str) -> None:
    """The mel, and that the sound is as long."""
    config, context = module.mel_config, module.context
    mel, frames = batch.mel, batch.mel.shape[-1] - 2 * context
    beside = f" with {context} frames of context on either side" if context else ""
    if mel.dim() != 3 or mel.shape[1] != config.n_mels or batch.audio.shape[1:] != (1, config.samples(frames)):
        raise InputError(
            f"a batch has a mel of {tuple(mel.shape)} and audio of {tuple(batch.audio.shape)}; {expected} of mels"
            f" (B, {config.n_mels}, L){beside} and of audio (B, 1, {config.hop_length} L)"
        )
    if frames < module.min_frames:
        raise InputError(
            f"the crops have {frames} frames; {expected} of at least {module.min_frames}: raise --data.crop to"
            f" {config.samples(module.min_frames)}"
        )


def _image_shape(module: AdversarialModule) -> tuple[int, int, int] | None:
    """(C, H, W) of what a model makes; None for a model of sound, or one that does not say."""
    h = module.hparams
    square = (h.channels, h.image_size, h.image_size) if {"channels", "image_size"} <= set(h) else None
    return h.get("image_shape", square)


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
