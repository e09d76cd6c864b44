"""Arguments of older versions: what has another name or class today, and where a choice has gone that a paper lost.

``translate`` is called wherever arguments of a paper come from outside: a weights file, a checkpoint, a config, the
command line. Files and configs of older versions go on working as long as they ask for something that is still there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lightning_gans.errors import InputError

ANY = object()
"""A neutral value of ``Dropped``: every value is dropped, as it changed nothing."""


@dataclass(frozen=True)
class Dropped:
    """An argument that a paper no longer has.

    Args:
        neutral: Values with which it changed nothing: it is left out. Any other raises.
        instead: What to use for the others.
    """

    neutral: tuple[Any, ...]
    instead: str = ""

    def today(self, name: str, value: Any) -> dict[str, Any] | None:
        """What stands for the argument today; None if nothing does."""
        return {} if ANY in self.neutral or value in self.neutral else None


@dataclass(frozen=True)
class Without:
    """An argument that a paper still has, without these values.

    Args:
        values: Those that raise.
        instead: What to use for them.
    """

    values: tuple[Any, ...]
    instead: str

    def today(self, name: str, value: Any) -> dict[str, Any] | None:
        """What stands for the argument today; None if nothing does."""
        return None if value in self.values else {name: value}


Rule = Dropped | Without

PENALTIES = "use WGANGP, or the functions of lightning_gans.losses in a paper of your own"

MOVED: dict[str, dict[str, Rule]] = {
    "DCGAN": {
        "penalty": Dropped(("none",), PENALTIES),
        "penalty_weight": Dropped((ANY,)),
        "loss": Without(("wasserstein", "minimax", "relativistic_pairing"), "use WGANGP, or GAN for minimax"),
    },
    "ControlGAN": {
        "discriminator": Dropped(("autoencoder",), "ControlGAN has an auto-encoder, LogitControlGAN logits"),
        "loss": Dropped((ANY,)),
        "penalty_weight": Dropped((ANY,)),
    },
    "LogitControlGAN": {
        "diversity": Dropped((ANY,)),
        "balance_rate": Dropped((ANY,)),
        "patience": Dropped((ANY,)),
        "loss": Without(("minimax", "relativistic_pairing"), "use non_saturating, hinge, least_squares or wasserstein"),
    },
    "ParallelWaveGAN": {
        "discriminator": Dropped(("parallel_wavegan",), "expected parallel_wavegan or multi_scale"),
        "feature_weight": Dropped((0.0,), "use MultiScaleParallelWaveGAN, whose features are matched"),
    },
    "MultiScaleParallelWaveGAN": {
        "discriminator": Dropped(("multi_scale",), "use ParallelWaveGAN, which has that discriminator"),
    },
    "STFTMelGAN": {
        "fm_scale": Dropped(("paper",), "give feature_weight times 0.2667, as maps are summed as in the paper"),
    },
}
"""Class name to the arguments that it had, and no longer has or takes in the same way."""


def _controlgan(arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Its form with logits is a class of its own."""
    if arguments.get("discriminator") != "logit":
        return "ControlGAN", arguments
    return "LogitControlGAN", {name: value for name, value in arguments.items() if name != "discriminator"}


def _melgan(arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What MelGAN took of other trainings is STFTMelGAN, whose weights are those of sums."""
    before = {
        "normalize": False,
        "discriminator": "multi_scale",
        "loss": "hinge",
        "adversarial_weight": 1.0,
        "aux_loss": "none",
        "aux_weight": 1.0,
        "discriminator_start": 0,
    }
    given = {name: arguments.pop(name, value) for name, value in before.items()}
    if given | {"aux_weight": 1.0} == before:
        return "MelGAN", arguments
    scale = 1.0 if arguments.pop("fm_scale", "official") == "paper" else 4 / 5 / 3  # of three scales with six maps
    weight = arguments.get("feature_weight", 10.0)
    try:
        weight = float(weight)  # YAML takes 1e1 for a text
    except (TypeError, ValueError):
        raise InputError(f"feature_weight is {weight}; expected a number") from None
    return "STFTMelGAN", {"mel": "melgan", **arguments} | {
        "normalize": given["normalize"],
        "multi_scale": given["discriminator"] == "multi_scale",
        "loss": given["loss"],
        "adversarial_weight": given["adversarial_weight"],
        "feature_weight": weight * scale,
        "stft_weight": given["aux_weight"] if given["aux_loss"] == "stft" else 0.0,
        "discriminator_start": given["discriminator_start"],
    }


def _stft_melgan(arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """MelGAN's words for what melgan_callie names today."""
    if "discriminator" in arguments:
        arguments["multi_scale"] = arguments.pop("discriminator") == "multi_scale"
    if "aux_weight" in arguments:
        arguments["stft_weight"] = arguments.pop("aux_weight")
    if arguments.pop("aux_loss", "stft") == "none":
        arguments["stft_weight"] = 0.0
    return "STFTMelGAN", arguments


def _parallel_wavegan(arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """With MelGAN's discriminator it is MultiScaleParallelWaveGAN, which has no presets."""
    if arguments.get("discriminator") != "multi_scale":
        return "ParallelWaveGAN", arguments
    before: dict[str, Any] = {"kernel": 3, "feature_weight": 0.0, "lr_decay_steps": 200_000}
    if arguments.get("preset", "paper") == "paper":
        before |= {"stft_reduction": "example", "clip_norm_g": 0.0, "clip_norm_d": 0.0}
        if arguments.get("mel") is None or arguments.get("upsample_scales") is None:
            raise InputError(
                "ParallelWaveGAN no longer takes discriminator='multi_scale'; use MultiScaleParallelWaveGAN, with the"
                " mel and the upsample_scales of the preset paper"
            )
    given = {name: value for name, value in arguments.items() if value is not None}
    return "MultiScaleParallelWaveGAN", {
        k: v for k, v in (before | given).items() if k not in ("preset", "discriminator")
    }


def _wavegan(arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """With labels it is ConditionalWaveGAN, whose clips and latents are shorter."""
    classes, conditioning = arguments.pop("num_classes", None), arguments.pop("conditioning", "concat")
    if classes is None:
        return "WaveGAN", arguments
    before = {"length": 16384, "latent_dim": 100}
    return "ConditionalWaveGAN", before | arguments | {
        "num_classes": classes,
        "projection": conditioning == "projection",
    }


RECAST: dict[str, Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]] = {
    "ControlGAN": _controlgan,
    "MelGAN": _melgan,
    "ParallelWaveGAN": _parallel_wavegan,
    "STFTMelGAN": _stft_melgan,
    "WaveGAN": _wavegan,
}
"""Class name to what makes today's class and arguments of its own, where several arguments decide together."""

LOST_TENSORS: dict[str, tuple[str, ...]] = {"LogitControlGAN": ("balance", "measure")}
"""Class name to tensors that its older files hold, and that it does not need."""


def translate(model: str, arguments: Mapping[str, Any], source: str = "") -> tuple[str, dict[str, Any]]:
    """Today's class and arguments for those of an older version; what is of today already comes back as it is.

    Args:
        model: Class name.
        arguments: Of the class, all of them or some.
        source: Where they come from, for messages: a file, ``--config FILE``.

    Returns:
        The class name and the arguments.

    Raises:
        InputError: for a choice that this paper no longer offers; it says where it has gone.
    """
    today = dict(arguments)
    if model in RECAST:
        model, today = RECAST[model](today)
    for name, rule in MOVED.get(model, {}).items():
        if name in today:
            value = today.pop(name)
            replaced = rule.today(name, value)
            if replaced is None:
                where = f"{source}: " if source else ""
                raise InputError(f"{where}{model} no longer takes {name}={value!r}; {rule.instead}")
            today |= replaced
    return model, today


def tensors(model: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """A ``state_dict`` without what today's class no longer has.

    Args:
        model: Class name, of today.
        state: Tensors of a file of any version.
    """
    return {key: value for key, value in state.items() if key not in LOST_TENSORS.get(model, ())}


def checkpoint(content: dict[str, Any]) -> dict[str, Any]:
    """A training checkpoint of any version with the tensors that today's class has, for resuming it."""
    if {"model", "hyper_parameters", "state_dict"} <= set(content):
        model, _ = translate(content["model"], content["hyper_parameters"])
        content["state_dict"] = tensors(model, content["state_dict"])
    return content
