"""What is released, by a glob: cards, hashes, sizes, and the README's table."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gans import models, zoo
from lightning_gans.__main__ import main
from lightning_gans.training.compatibility import kind_of
from lightning_gans.training.vocoder import Vocoder
from lightning_gans.zoo import assets, tables

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in assets.zoo().glob("*.md") if path.name != "README.md")

GENERATORS = [name for name in NAMES if not issubclass(getattr(models, zoo.card(name).model), Vocoder)]
SHOWN = {  # what makes a card's picture, where `sample NAME --seed 0` alone does not
    "cgan_mnist": ["--num=100"],
    "r3gan_mnist": ["--num=100"],
    "controlgan_mnist": ["--strength=-1,0,0.5,1,1.5,2"],
}


@pytest.fixture(autouse=True)
def packaged_only(monkeypatch):
    monkeypatch.delenv("LIGHTNING_GANS_ZOO", raising=False)


def test_every_card_and_hash_holds():
    assert zoo.verify() == []


def test_the_repository_stays_small():
    sizes = {path.name: path.stat().st_size for path in assets.zoo().glob("*.safetensors")}
    assert all(size <= 12e6 for size in sizes.values()), sizes
    assert sum(sizes.values()) <= 48e6, sizes


@pytest.mark.parametrize("name", NAMES)
def test_every_released_model_samples(name):
    card = zoo.card(name)
    if zoo.local(card) is None:
        pytest.skip(f"{card.weights} is to be fetched from {card.url}")
    model = zoo.load(name)
    if kind_of(model) == "mel":
        buzz = torch.arange(model.sample_rate)[None, None] * 200 / model.sample_rate % 1 - 0.5
        made = model.vocode(model.mel(buzz), seed=0)
        assert made.shape[-1] == buzz.shape[-1] // model.mel_config.hop_length * model.mel_config.hop_length
    else:
        made = model.sample(2, seed=0)
        assert len(made) == 2
    assert made.isfinite().all() and made.abs().max() <= 1
    assert made.std() > (0.1 if kind_of(model) == "image" else 0.02)  # sounds are mostly silence


@pytest.mark.parametrize("name", GENERATORS)
def test_the_picture_of_a_card_is_made_by_its_weights(name, tmp_path):
    """Up to the colors of its palette; other latents of the same weights are 28 levels away, with sounds 4.7."""
    sounds = kind_of(zoo.load(name)) == "audio"
    output = tmp_path / ("clips" if sounds else "picture.png")
    main(["sample", name, "--seed=0", f"--output={output}", *SHOWN.get(name, ["--num=10"] if sounds else [])])
    (made,) = output.glob("*.png") if sounds else [output]
    card = zoo.card(name)
    shown, made = (
        np.asarray(Image.open(path).convert("RGB"), float) for path in (card.path.parent / card.picture, made)
    )
    assert shown.shape == made.shape and abs(shown - made).mean() < (2 if sounds else 8)


def test_the_readme_has_the_table_of_the_cards():
    readme = ROOT / "README.md"
    if not readme.is_file() or tables.BEGIN not in readme.read_text(encoding="utf-8"):
        pytest.skip("README.md has no place for the table")
    table = f"{tables.BEGIN}\n{zoo.results_table()}\n{tables.END}"
    assert table in readme.read_text(encoding="utf-8"), "run lightning-gans zoo readme"
