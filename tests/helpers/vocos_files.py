"""Vocos written out from its description, and its authors' files with random weights."""

from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torch.nn.functional import conv1d, gelu, layer_norm, linear
from torchaudio.functional import melscale_fbanks

MEL = dict(sample_rate=8000, n_fft=64, hop_length=16, n_mels=8)
DIM, HIDDEN, BLOCKS = 6, 10, 2


def written_out(weights: dict[str, Tensor], mel: Tensor, blocks: int) -> Tensor:
    """Spectra (B, F, L) of the paper's generator, from its weights by name."""

    def norm(name: str, x: Tensor) -> Tensor:
        return layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6)

    def layer(name: str, x: Tensor) -> Tensor:
        return linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def conv(name: str, x: Tensor, groups: int) -> Tensor:
        return conv1d(x.mT, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=3, groups=groups).mT

    x = norm("backbone.norm", conv("backbone.embed", mel.mT, 1))
    for i in range(blocks):
        name = f"backbone.convnext.{i}"
        h = norm(f"{name}.norm", conv(f"{name}.dwconv", x, x.shape[-1]))
        x = x + weights[f"{name}.gamma"] * layer(f"{name}.pwconv2", gelu(layer(f"{name}.pwconv1", h)))
    log_magnitude, phase = layer("head.out", norm("backbone.final_layer_norm", x)).mT.chunk(2, 1)
    return torch.polar(log_magnitude.exp().clamp(max=100), phase)


def small_config(padding: str = "center", **of_mel: Any) -> dict[str, Any]:
    """As in ``config.yaml`` of a release."""
    head = dict(dim=DIM, n_fft=64, hop_length=16, padding=padding)
    backbone = dict(input_channels=8, dim=DIM, intermediate_dim=HIDDEN, num_layers=BLOCKS)
    features = MEL | dict(padding=padding) | of_mel
    classes = dict(
        feature_extractor="vocos.feature_extractors.MelSpectrogramFeatures",
        backbone="vocos.models.VocosBackbone",
        head="vocos.heads.ISTFTHead",
    )
    return {
        name: dict(class_path=classes[name], init_args=values)
        for name, values in dict(feature_extractor=features, backbone=backbone, head=head).items()
    }


def small_state(**bands: Any) -> dict[str, Tensor]:
    """As in ``pytorch_model.bin``: every weight, and what is none."""
    shapes: dict[str, tuple[int, ...]] = {"backbone.embed.weight": (DIM, 8, 7), "head.out.weight": (66, DIM)}
    shapes |= {f"backbone.{norm}.weight": (DIM,) for norm in ("norm", "final_layer_norm")}
    for i in range(BLOCKS):
        block = f"backbone.convnext.{i}"
        shapes |= {f"{block}.gamma": (DIM,), f"{block}.dwconv.weight": (DIM, 1, 7), f"{block}.norm.weight": (DIM,)}
        shapes |= {f"{block}.pwconv1.weight": (HIDDEN, DIM), f"{block}.pwconv2.weight": (DIM, HIDDEN)}
    shapes |= {f"{key[:-7]}.bias": shape[:1] for key, shape in shapes.items() if key.endswith(".weight")}
    state = {key: 0.4 * torch.randn(shape) for key, shape in shapes.items()}
    state["backbone.convnext.0.norm.weight"][2] = 0  # as good a weight as any
    bank = melscale_fbanks(33, **dict(f_min=0.0, f_max=4000.0, n_mels=8, sample_rate=8000) | bands)
    mel = "feature_extractor.mel_spec."
    windows = {f"{name}.window": torch.hann_window(64) for name in (f"{mel}spectrogram", "head.istft")}
    return state | windows | {f"{mel}mel_scale.fb": bank}


def written(folder: Path, config: dict[str, Any], state: dict[str, Any], name: str = "pytorch_model.bin") -> Path:
    torch.save(state, folder / name)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder / name
