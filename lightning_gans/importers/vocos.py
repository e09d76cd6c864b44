"""Checkpoints of Vocos' authors (https://github.com/gemelo-ai/vocos) and of those who train with their code.

A release is a bare state dict of the generator and its settings, ``pytorch_model.bin`` and ``config.yaml``; a training
leaves a Lightning checkpoint, with the discriminators, and the settings of the command line. Classes that the settings
name are looked up here, and never imported. Windows and mel bands in the file are compared with ours and dropped.

Not read: models of EnCodec's tokens, whose input is no mel, other backbones and heads, the states of optimizers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, ones, zeros

from lightning_gans.audio import MelConfig
from lightning_gans.audio.mel import bank
from lightning_gans.audio.stft import hann
from lightning_gans.errors import InputError
from lightning_gans.importers.imported import Config, Imported, Importer, Opened
from lightning_gans.importers.torch_files import fitted, layers

PREFIXES = {
    "generator": {"backbone.": "backbone.", "head.": "head."},
    "discriminator": {"periods.": "multiperioddisc.", "bands.": "multiresddisc."},
}
"""Of names: by our network, from ours in it to theirs."""
BUFFERS = ("window", "mel_scale.fb")
"""Ends of the names of what is no weight: Hann windows, and mel bands (F, M)."""
BESIDES = ("feature_extractor.", "melspec_loss.", "utmos_model.")
"""Of a training: the mel of the input and that of the loss, and a model that judges."""


class Part(NamedTuple):
    """One of the three parts that settings name: the class that is read, its arguments, and the defaults of others."""

    class_path: str
    arguments: tuple[str, ...]
    defaults: dict[str, Any]


PARTS = {
    "feature_extractor": Part(
        "vocos.feature_extractors.MelSpectrogramFeatures",
        (),
        dict(sample_rate=24000, n_fft=1024, hop_length=256, n_mels=100, padding="center")
        | dict(f_min=0.0, f_max=None, norm=None, mel_scale="htk"),  # of forks, for the mels of others
    ),
    "backbone": Part(
        "vocos.models.VocosBackbone",
        ("input_channels", "dim", "intermediate_dim", "num_layers"),
        dict(layer_scale_init_value=None, adanorm_num_embeddings=None),
    ),
    "head": Part("vocos.heads.ISTFTHead", ("dim", "n_fft", "hop_length"), dict(padding="same")),
}
RECIPE = {
    "initial_learning_rate": "lr",
    "num_warmup_steps": "warmup_steps",
    "mel_loss_coeff": "mel_weight",
    "mrd_loss_coeff": "mrd_loss_coeff",
    "pretrain_mel_steps": "pretrain_mel_steps",
}
"""From the names of a training's settings to ours."""


def recognizes(content: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """The first layer, the first block's and the last layer, whatever the features are."""
    return {"backbone.embed", "backbone.convnext.0.dwconv", "head.out"} <= layers(state_dict(content))


def state_dict(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a Lightning checkpoint, or the content itself."""
    state = content.get("state_dict")
    return state if isinstance(state, Mapping) else content


def read(files: Opened, *, config: Config) -> Imported:
    """Read the generator, and of a training the discriminators.

    Args:
        files: ``pytorch_model.bin``, or a Lightning checkpoint.
        config: ``config.yaml`` of the release, or of the training's command line.

    Raises:
        InputError: as ``Importer``; for parts that are none of ``PARTS``, and windows and bands that are not ours.
    """
    source, state = str(files.path), state_dict(files.content)
    hparams = arguments(config)
    weights = {key: value for key, value in state.items() if not key.startswith(BESIDES) and not key.endswith(BUFFERS)}
    states: dict[str, dict[str, Any]] = {}
    for network, prefixes in PREFIXES.items():
        own = {key: value for key, value in weights.items() if key.startswith(tuple(prefixes.values()))}
        if own or network == "generator":
            states[network] = own
    if strange := [key for key in weights if not any(key in own for own in states.values())]:
        raise InputError(f"{source} holds {', '.join(strange[:4])}, which is of no Vocos; choose another checkpoint")
    mel = MelConfig.of(hparams["mel"])
    check_buffers(source, state, mel)
    tensors = fitted(source, "Vocos", "Vocos", hparams, states, their_name)
    statistics = {"mel_mean": zeros(mel.n_mels), "mel_scale": ones(mel.n_mels)}
    return Imported("Vocos", hparams, tuple(states), tensors | statistics)


def their_name(layer: str) -> str:
    """From ``generator.head.out`` to ``head.out``, from ``discriminator.bands.discriminators.0`` to its name."""
    network, _, name = layer.partition(".")
    ours, theirs = next(pair for pair in PREFIXES[network].items() if name.startswith(pair[0]))
    return theirs + name.removeprefix(ours)


def arguments(config: Config) -> dict[str, Any]:
    """``Vocos``' arguments from the settings.

    Raises:
        InputError: for settings that lack a part, name another class, or do not go together.
    """
    path, values = config
    of_training: Any = values.get("model", {})
    of_training = of_training.get("init_args", {}) if isinstance(of_training, Mapping) else {}
    given = of_training if "backbone" in of_training else values
    features, backbone, head = (part(path, name, given.get(name)) for name in PARTS)
    for name, one, other in (
        ("n_fft", features["n_fft"], head["n_fft"]),
        ("hop_length", features["hop_length"], head["hop_length"]),
        ("dim", backbone["dim"], head["dim"]),
        ("input_channels", features["n_mels"], backbone["input_channels"]),
    ):
        if one != other:
            raise InputError(f"{path}: {name} is {one} in one part and {other} in another; correct it")
    if backbone["adanorm_num_embeddings"]:
        raise InputError(
            f"{path}: backbone.adanorm_num_embeddings is {backbone['adanorm_num_embeddings']}, for bandwidths of"
            " EnCodec; here Vocos takes mels: choose a checkpoint without"
        )
    return {
        "mel": {
            "name": "vocos",
            **{
                key: features[key] for key in ("sample_rate", "n_fft", "hop_length", "n_mels", "f_min", "f_max", "norm")
            },
            "win_length": features["n_fft"],
            "scale": features["mel_scale"],
            "framing": "center" if features["padding"] == "center" else "hop",
        },
        **{key: backbone[key] for key in ("dim", "intermediate_dim", "num_layers")},
        "padding": head["padding"],
        **{ours: of_training[theirs] for theirs, ours in RECIPE.items() if theirs in of_training},
    }


def part(path: Path, name: str, given: Any) -> dict[str, Any]:
    """The arguments of one of ``PARTS``, with the defaults of the authors' class.

    Raises:
        InputError: for another class, and for arguments that are missing or that it does not have.
    """
    expected, known = PARTS[name], PARTS[name].class_path
    if not isinstance(given, Mapping) or not isinstance(given.get("class_path"), str):
        raise InputError(f"{path} has no {name}.class_path; expected the settings of a Vocos, with {', '.join(PARTS)}")
    if given["class_path"].rpartition(".")[2] != known.rpartition(".")[2]:
        raise InputError(
            f"{path}: {name} is {given['class_path']}, which is not read; known: {known}, of charactr/vocos-mel-24khz"
        )
    if not isinstance(values := given.get("init_args") or {}, Mapping):
        raise InputError(
            f"{path}: {name}.init_args is a {type(values).__name__}; expected arguments by name, correct it"
        )
    values = dict(values)
    for label, keys in (
        ("lacks", [key for key in expected.arguments if values.get(key) is None]),
        ("has the unknown", [key for key in values if key not in (*expected.arguments, *expected.defaults)]),
    ):
        if keys:
            raise InputError(f"{path}: {name} {label} {', '.join(map(str, keys))}; correct it")
    values = expected.defaults | values
    if values.get("padding", "same") not in ("center", "same"):
        raise InputError(f"{path}: {name}.padding is {values['padding']!r}; expected center or same")
    return values


def check_buffers(source: str, state: Mapping[str, Any], mel: MelConfig) -> None:
    """Compare windows and mel bands of the generator with ours.

    Raises:
        InputError: if they are others.
    """
    device = torch.device("cpu")
    for key, value in state.items():
        if key.startswith(("feature_extractor.", "head.")) and key.endswith(BUFFERS):
            ours = hann(mel.n_fft, device) if key.endswith("window") else bank(mel, device).T
            if not isinstance(value, Tensor) or value.shape != ours.shape or (value - ours).abs().max() > 1e-6:
                raise InputError(
                    f"{source}: {key} is not that of its config, mel {mel.hparams()}; give --config the one that the"
                    " checkpoint was trained with"
                )


IMPORTER = Importer(
    "vocos",
    "Vocos' authors, gemelo-ai/vocos: pytorch_model.bin and config.yaml",
    ("pytorch_model.bin", "vocos_checkpoint_*.ckpt"),
    recognizes,
    read,
)
