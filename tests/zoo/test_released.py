"""What is released, by a glob: cards, hashes, sizes, and the README's table."""

from pathlib import Path

import pytest

from lightning_gans import assets, zoo
from lightning_gans.zoo import tables

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in assets.zoo().glob("*.md") if path.name != "README.md")


@pytest.fixture(autouse=True)
def packaged_only(monkeypatch):
    monkeypatch.delenv("LIGHTNING_GANS_ZOO", raising=False)


def test_every_card_and_hash_holds():
    assert zoo.verify() == []


def test_the_repository_stays_small():
    sizes = {path.name: path.stat().st_size for path in assets.zoo().glob("*.safetensors")}
    assert all(size <= 12e6 for size in sizes.values()), sizes
    assert sum(sizes.values()) <= 40e6, sizes


@pytest.mark.parametrize("name", NAMES)
def test_every_released_model_samples(name):
    card = zoo.card(name)
    if zoo.local(card) is None:
        pytest.skip(f"{card.weights} is to be fetched from {card.url}")
    images = zoo.load(name).sample(2, seed=0)
    assert len(images) == 2 and images.isfinite().all() and images.abs().max() <= 1
    assert images.std() > 0.1


def test_the_readme_has_the_table_of_the_cards():
    readme = ROOT / "README.md"
    if not readme.is_file() or tables.BEGIN not in readme.read_text(encoding="utf-8"):
        pytest.skip("README.md has no place for the table")
    assert tables.readme_section(readme)[1] == zoo.results_table(), "run lightning-gans zoo readme"
