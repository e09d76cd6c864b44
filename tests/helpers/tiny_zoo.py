"""Entries of a zoo that take milliseconds: small models with random weights, and cards that are filled in."""

from pathlib import Path

import torch
import yaml

from lightning_gans import models, zoo
from lightning_gans.training.adversarial_module import AdversarialModule
from lightning_gans.zoo.cards import split

TINY = {
    "GAN": dict(image_shape=(1, 4, 4), latent_dim=3, hidden=8, units=4, pieces=2),
    "CGAN": dict(image_shape=(1, 4, 4), latent_dim=3),
    "ControlGAN": dict(image_size=28, channels=1, num_classes=10, labels="class", latent_dim=3, width=2),
    "WaveGAN": dict(length=256, strides=(4, 4), width=2, latent_dim=3, sample_rate=8000),
}
FILLED = {
    "paper": {"title": "A Title", "arxiv": "1406.2661"},
    "data": {"name": "noise", "licence": "CC0-1.0"},
    "config": "gan_mnist",
    "licence": "MIT",
    "command": "lightning-gans fit --config gan_mnist",
    "hours": 1.5,
    "hardware": "2 cores",
    "results": [
        {"metric": "parzen", "unit": "nats", "protocol": "10,000 samples"}
        | {"reported": "225 ± 2", "paper_recipe": 214, "reproduced": 226.5},
        {"metric": "fid_lenet", "protocol": "5,000 samples"}
        | {"reported": None, "reproduced": 4.5, "baseline": 9.5, "real": 0.5},
    ],
}


def tiny(name: str):
    """A model whose samples differ plainly, which those of fresh weights do not."""
    torch.manual_seed(0)
    module = getattr(models, name)(**TINY[name])
    for parameter in module.generator.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module


def checkpoint(path: Path, of: str | AdversarialModule = "GAN", **changes) -> Path:
    """A file such as ``fit`` writes, of a tiny model or of the given one."""
    module = tiny(of) if isinstance(of, str) else of
    content = {
        "model": type(module).__name__,
        "hyper_parameters": {**module.hparams, "_instantiator": "lightning.pytorch.cli.instantiate_module"},
        "state_dict": module.state_dict(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content | changes, path)
    return path


def entry(
    folder: Path, entry_name: str = "gan_noise", model: str | AdversarialModule = "GAN", half: bool = False, **fields
) -> Path:
    """Export a model into the folder, and fill in its card; returns the weights file."""
    exported = zoo.export(checkpoint(folder / "runs" / "last.ckpt", model), folder, entry_name, half)
    rewrite(exported.card, **(FILLED | fields))
    return exported.weights


def rewrite(card: Path, text: str = "Grey noise; nothing else is to be expected.", **fields) -> None:
    front = yaml.safe_dump(split(card)[0] | fields, sort_keys=False)
    card.write_text(f"---\n{front}---\n\n{text}\n", encoding="utf-8")
