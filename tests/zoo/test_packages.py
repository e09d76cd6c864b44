"""Weights that lie in a package: found, checked, read, and nothing of the package run."""

import hashlib

import pytest
import torch
from helpers import hifigan_files, tiny_zoo

from lightning_gans import zoo
from lightning_gans.__main__ import main
from lightning_gans.errors import InputError

URL = "pypi://some_voices/some_voices/data/generator_v1.pth.tar"
CONFIG = hifigan_files.CONFIG | hifigan_files.SMALL | {"num_mels": 80}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with a checkpoint of HiFi-GAN's authors."""
    site = tmp_path / "site"
    (site / "some_voices" / "data").mkdir(parents=True)
    (site / "some_voices" / "__init__.py").write_text("raise AssertionError('imported')")
    (site / "some_voices-1.0.dist-info").mkdir()
    (site / "some_voices-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: some_voices\nVersion: 1\n"
    )
    folder = site / "some_voices" / "data"
    monkeypatch.syspath_prepend(str(site))
    return hifigan_files.written(folder, CONFIG, hifigan_files.generator_state(CONFIG), name="generator_v1.pth.tar")


@pytest.fixture
def entry(folder):
    """A card whose weights are in the package, once that is there."""

    def write(path=None, **changes):
        (folder.parent / "configs" / "hifigan_noise.yaml").write_text("")
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path else "0" * 64
        card = folder / "hifigan_noise.md"
        card.write_text("---\n{}\n---\n")
        fields = dict(name=card.stem, model="HiFiGAN", weights="generator_v1.pth.tar", sha256=digest, url=URL)
        tiny_zoo.rewrite(card, **tiny_zoo.FILLED | fields | {"config": "hifigan_noise"} | changes)

    return write


def test_a_model_in_a_package(package, entry, capsys):
    entry(package)
    card = zoo.card("hifigan_noise")
    assert zoo.local(card) == package and zoo.verify() == []
    model = zoo.load("hifigan_noise")
    assert type(model).__name__ == "HiFiGAN" and model.untrained_networks == ("discriminator",)
    mel = torch.rand(1, 80, 3) * 4 - 8
    state = torch.load(package, weights_only=True)["generator"]
    expected = hifigan_files.generator(state, CONFIG, mel)
    torch.testing.assert_close(model.vocode(mel).double(), expected, rtol=1e-4, atol=1e-5)
    main(["zoo", "show", "hifigan_noise"])
    assert f"weights: {package}" in capsys.readouterr().out
    assert f"{package.stat().st_size / 1e6:.1f}" in zoo.listing()


def test_without_the_package_the_extra_is_named(entry):
    entry()
    assert zoo.local(zoo.card("hifigan_noise")) is None and zoo.verify() == []
    assert "hifigan_noise" in zoo.listing()
    with pytest.raises(
        InputError,
        match=r"generator_v1.pth.tar is in the package some_voices, .* with pip install 'lightning-gans\[pretrained\]'",
    ):
        zoo.load("hifigan_noise")


def test_an_address_that_can_name_no_package_is_listed(entry):
    entry(url="pypi:///some/path")
    assert zoo.local(zoo.card("hifigan_noise")) is None and "hifigan_noise" in zoo.listing()


def test_a_package_of_another_version_is_noticed(package, entry):
    entry(package, sha256="1" * 64)
    with pytest.raises(InputError, match=r"has the SHA-256 .*, its card hifigan_noise says 1111"):
        zoo.load("hifigan_noise")
    assert len(zoo.verify()) == 1
    package.unlink()
    with pytest.raises(InputError, match=r"is not installed, or holds no some_voices/data/generator_v1.pth.tar"):
        zoo.load("hifigan_noise")
