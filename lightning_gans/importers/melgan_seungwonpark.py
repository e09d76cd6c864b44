"""Checkpoints of seungwonpark's MelGAN (https://github.com/seungwonpark/melgan), which takes the mels of Tacotron 2.

Its generator maps features to (mel + 5) / 5, which here are the mean and the deviation of each band. What differs:

- Its inference appends ten frames of silence, ln(1e-5), and cuts their sound off, against a click at the end.
  ``vocode`` takes mels as they are: append such frames where the click disturbs.
- It matches features as the paper does, and trains with least squares in place of the hinge loss, and with no loss of
  spectra: it is an ``STFTMelGAN`` without ``stft_weight``.
- Its adversarial loss sums squares over time, so that its weight grows with the crop; here they are averaged, with
  ``adversarial_weight`` 1. It updates G before D, here D is first.
- Checkpoints from before its layers were those of the paper (2019) do not fit, and are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, full

from lightning_gans.errors import InputError
from lightning_gans.files import reading
from lightning_gans.files.documents import parse_all_yaml
from lightning_gans.importers.imported import Imported, Importer, Opened
from lightning_gans.importers.torch_files import fitted, layers, names

NETWORKS = {"generator": "model_g", "discriminator": "model_d"}
MEL = {
    "sampling_rate": "sample_rate",
    "filter_length": "n_fft",
    "hop_length": "hop_length",
    "win_length": "win_length",
    "n_mel_channels": "n_mels",
    "mel_fmin": "f_min",
    "mel_fmax": "f_max",
}
"""From the names of its ``audio`` settings to ours."""
OFFSET = 5.0
"""What its generator adds to a mel, and then divides it by."""


def recognizes(content: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Its networks stand under names of their own."""
    return "generator.1" in layers(content.get("model_g"))


def read(files: Opened) -> Imported:
    """Read both networks, and the settings that the checkpoint holds.

    Args:
        files: A file such as ``nvidia_tacotron2_LJ11_epoch6400.pt``, with ``model_g``, and ``model_d`` and
            ``hp_str`` if they are there. Without ``hp_str``, the settings are the project's own: mels of Tacotron 2.

    Raises:
        InputError: as ``Importer``.
    """
    checkpoint, content = files
    states = {network: content[key] for network, key in NETWORKS.items() if isinstance(content.get(key), dict)}
    if "generator" not in states:
        raise InputError(
            f"{checkpoint} holds no MelGAN of seungwonpark: expected model_g, found {names(content)}; choose another"
            " checkpoint or --format"
        )
    hparams = settings(checkpoint, content.get("hp_str") or "")
    state = fitted(str(checkpoint), "seungwonpark's MelGAN", "STFTMelGAN", hparams, states, their_name)
    bands = state["generator.model.1.parametrizations.weight.original1"].shape[1]
    statistics: dict[str, Tensor] = {"mel_mean": full((bands,), -OFFSET), "mel_scale": full((bands,), OFFSET)}
    return Imported("STFTMelGAN", hparams, tuple(states), state | statistics)


def settings(checkpoint: Path, text: str) -> dict[str, Any]:
    """``STFTMelGAN``'s arguments from ``hp_str``, whose sections are YAML documents of their own."""
    with reading(f"{checkpoint}: hp_str", "the YAML of its settings", "choose another"):
        sections: dict[str, dict[str, Any]] = {}
        for section in parse_all_yaml(text, f"{checkpoint}: hp_str", "choose another"):
            sections |= section or {}
        audio, train, model = (sections.get(key) or {} for key in ("audio", "train", "model"))
        return {
            "mel": {"name": "tacotron2", **{ours: audio[key] for key, ours in MEL.items() if key in audio}},
            "normalize": True,
            "multi_scale": True,
            "loss": "least_squares",
            "adversarial_weight": 1.0,
            "feature_weight": float(model.get("feat_match", 10.0)),
            "stft_weight": 0.0,
            "discriminator_start": 0,
            "lr": float((train.get("adam") or {}).get("lr", 1e-4)),
        }


def their_name(layer: str) -> str:
    """From ``generator.model.4.block.2`` or ``discriminator.discriminators.0.layers.1.0`` to its name.

    Ours are one run of layers: behind each upsampling three residual blocks, which there are one layer.
    """
    network, _, name = layer.partition(".")
    if network == "discriminator":
        return re.sub(r"layers\.", "discriminator.", name)
    _, index, *rest = name.split(".")
    if index == "1":
        return "generator.1"
    stage, place = divmod(int(index) - 3, 5)
    if not rest:
        return f"generator.{3 + 3 * stage + (place > 0)}"  # the last layer is where a block would be
    part = f"blocks.{place - 1}.{rest[1]}" if rest[0] == "block" else f"shortcuts.{place - 1}"
    return f"generator.{4 + 3 * stage}.{part}"


IMPORTER = Importer(
    "melgan_seungwonpark",
    "seungwonpark/melgan: a .pt with model_g",
    ("*epoch*.pt",),
    recognizes,
    read,
)
