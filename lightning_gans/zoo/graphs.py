"""Models as graphs for other runtimes: ONNX, and files of ``torch.export``.

Unlike the rest of the zoo this file needs torch at once, and so is not imported with it.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn.functional import pad
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

import lightning_gans
from lightning_gans.errors import InputError
from lightning_gans.files.writing import write_whole
from lightning_gans.networks.inverse_stft import InverseSTFT, RealInverseSTFT
from lightning_gans.training.adversarial_module import AdversarialModule
from lightning_gans.training.compatibility import kind_of
from lightning_gans.training.vocoder import Vocoder
from lightning_gans.zoo.loading import build
from lightning_gans.zoo.weights import Weights

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
"""Of the files, by format."""
METADATA = "metadata.json"
"""Name of the metadata among the extra files of a ``.pt2``; an ONNX file holds them as properties."""
EXAMPLE_FRAMES = 16
"""What the mel with which a graph is made has beyond the model's ``min_frames``, from which on it takes any number."""

Shape = tuple[Any, ...]
"""Of ints, and of ``Dim`` where any size will do."""


class Graph(NamedTuple):
    """A file that was written, and the shapes of what goes in and comes out, by name, as (batch, 80, frames)."""

    file: Path
    inputs: dict[str, Shape]
    outputs: dict[str, Shape]

    def __str__(self) -> str:
        return f"{_listed(self.inputs)} -> {_listed(self.outputs)}"


class Synthesis(nn.Module):
    """A vocoder as ``vocode`` uses it, without its checks: the first and the last frame are repeated as context."""

    def __init__(self, model: Vocoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, mel: Tensor, noise: Tensor | None = None) -> Tensor:
        """Log-mel (B, M, L) of the model's convention and noise (B, 1, T) to audio (B, 1, T)."""
        mel = pad(mel, (self.model.context, self.model.context), mode="replicate")
        return self.model(mel) if noise is None else self.model(mel, noise)


class Sampling(nn.Module):
    """A model that starts from noise, as ``sample_from`` uses it."""

    def __init__(self, model: AdversarialModule) -> None:
        super().__init__()
        self.model = model

    def forward(self, latents: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents (B, Z) of ``prior`` and label rows (B, K) to images or audio."""
        return self.model(latents) if label is None else self.model(latents, label)


def export_graph(model: AdversarialModule, file: str | Path) -> Graph:
    """Write a model as a graph with its weights and metadata in one file, for any batch and any number of frames.

    The graph of a vocoder takes ``mel`` (B, M, L) in the model's convention, not normalized, and for models with noise
    ``noise`` (B, 1, T) from N(0, 1), and gives the ``audio`` (B, 1, T) that ``vocode`` gives. That of another model
    takes ``latents`` (B, Z) of its ``prior`` and for conditional ones ``label`` rows (B, K), and gives ``images`` in
    [-1, 1] or ``audio``. All are float32.

    Args:
        model: On any device; it is left as it is.
        file: ``.onnx``, or ``.pt2`` for ``torch.export.load``. An existing one is replaced once the new one is whole.

    Raises:
        InputError: for another suffix, a model that the format does not suit, weights that are missing or not finite,
            and packages that are not installed.
    """
    file, name = Path(file), type(model).__name__
    if file.suffix not in SUFFIXES.values():
        raise InputError(f"the graph's file is {file}; expected a name that ends in {' or '.join(SUFFIXES.values())}")
    onnx = file.suffix == SUFFIXES["onnx"]
    if onnx and model.unfit_for_onnx:
        raise InputError(f"a {name} is not exported to ONNX: {model.unfit_for_onnx}; use the format torch")
    if onnx:
        _require("onnx", "onnxscript")
    absent = [network for network in model.released_networks if network in model.untrained_networks]
    if absent:
        raise InputError(f"the weights of this {name} lack {', '.join(absent)}, which its graph needs; load others")
    alone = _alone(model)
    for key, value in alone.state_dict().items():
        if not value.isfinite().all():
            raise InputError(f"{key} of this {name} is not finite; export an earlier checkpoint")
    least = getattr(alone, "min_frames", 1)
    inputs, outputs = _shapes(alone, Dim("batch"), Dim("frames", min=least))
    # Any sizes but 0 and 1, which would be taken for constants.
    examples = {key: torch.zeros(shape) for key, shape in _shapes(alone, 2, least + EXAMPLE_FRAMES)[0].items()}
    dynamic = {key: {i: dim for i, dim in enumerate(shape) if isinstance(dim, Dim)} for key, shape in inputs.items()}
    metadata = {"name": file.stem, **_metadata(alone)}
    with _quiet(), torch.no_grad():
        module = Synthesis(alone) if isinstance(alone, Vocoder) else Sampling(alone)
        program = torch.export.export(module.eval(), (), examples, dynamic_shapes=dynamic, strict=False)
        data = _onnx(program, examples, dynamic, list(outputs), metadata) if onnx else _torch(program, metadata)
    write_whole(file, data)
    return Graph(file, inputs, outputs)


def _alone(model: AdversarialModule) -> AdversarialModule:
    """A copy in evaluation mode on the CPU of what a model releases, with weight norm folded and real numbers only."""
    networks = tuple(name for name, _ in model.named_children())
    state = {key: value.detach().cpu() for key, value in model.state_dict().items()}
    # The command line adds entries of its own, all with an underscore in front.
    hparams = {key: value for key, value in model.hparams.items() if not key.startswith("_")}
    name = type(model).__name__
    copy = build(Weights(f"this {name}", name, hparams, networks, state, lightning_gans.__version__))
    for network in networks:
        if network not in copy.released_networks:
            setattr(copy, network, None)
    for module in list(copy.modules()):
        if is_parametrized(module):
            parametrized: Any = module.parametrizations
            for tensor in list(parametrized):
                remove_parametrizations(module, tensor)
        for key, child in module.named_children():
            if isinstance(child, InverseSTFT):
                setattr(module, key, RealInverseSTFT(child))
    return copy.eval().requires_grad_(False)


def _shapes(model: AdversarialModule, batch: Dim | int, frames: Dim | int) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Of a graph's inputs and outputs, for sizes that are known or open; only vocoders have frames."""
    if isinstance(model, Vocoder):
        sound = (batch, 1, model.mel_config.hop_length * frames)
        inputs: dict[str, Shape] = {"mel": (batch, model.mel_config.n_mels, frames)}
        return inputs | ({"noise": sound} if model.takes_noise else {}), {"audio": sound}
    latents, label = model.latents(1, seed=0), model.label_rows(1)
    made = model.sample_from(latents, label)
    inputs = {"latents": (batch, *latents.shape[1:])} | ({} if label is None else {"label": (batch, *label.shape[1:])})
    return inputs, {"audio" if kind_of(model) == "audio" else "images": (batch, *made.shape[1:])}


def _metadata(model: AdversarialModule) -> dict[str, str]:
    """What a user of the file needs to know; MelConfig.of reads ``mel`` back."""
    metadata = {"model": type(model).__name__, "version": lightning_gans.__version__}
    if kind_of(model) != "image":
        metadata["sample_rate"] = str(model.sample_rate)
    if isinstance(model, Vocoder):
        metadata |= {"mel": json.dumps(model.mel_config.hparams()), "min_frames": str(model.min_frames)}
    return metadata


def _torch(program: ExportedProgram, metadata: dict[str, str]) -> bytes:
    """What ``torch.export.save`` writes."""
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    stream = BytesIO()
    torch.export.save(program, stream, extra_files={METADATA: json.dumps(metadata)})
    return stream.getvalue()


def _onnx(
    program: ExportedProgram,
    examples: dict[str, Tensor],
    dynamic: dict[str, dict[int, Dim]],
    outputs: list[str],
    metadata: dict[str, str],
) -> bytes:
    """A serialized ModelProto, weights included."""
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    graph: Any = torch.onnx.export(
        program,
        kwargs=examples,
        dynamic_shapes=dynamic,  # for the names of the axes
        input_names=list(examples),
        output_names=outputs,
        dynamo=True,
        verbose=False,
    )
    ClearMetadataAndDocStringPass()(graph.model)  # stack traces with paths of this machine, larger than small models
    graph.model.metadata_props.update(metadata)
    return graph.model_proto.SerializeToString()


def _listed(shapes: dict[str, Shape]) -> str:
    """Such as ``mel (batch, 80, frames), noise (batch, 1, 256*frames)``."""
    return ", ".join(
        f"{name} ({', '.join(str(dim) if isinstance(dim, int) else dim.__name__ for dim in shape)})"
        for name, shape in shapes.items()
    )


def _require(*packages: str) -> None:
    absent = [package for package in packages if find_spec(package) is None]
    if absent:
        raise InputError(
            f"ONNX graphs need {' and '.join(absent)}, not installed here: pip install 'lightning-gans[onnx]', or use"
            " the format torch"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporters say about their own insides from the user."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
