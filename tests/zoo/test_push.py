"""A released model on a stand-in of the Hub: what is sent, and that it comes back."""

import hashlib
import json

import pytest
import soundfile
import torch
from helpers import dcgan_layers, tiny_zoo
from PIL import Image

from lightning_gans import zoo
from lightning_gans.__main__ import main
from lightning_gans.errors import InputError
from lightning_gans.zoo import assets
from lightning_gans.zoo.cards import PATTERNS


@pytest.fixture
def released(folder):
    weights = tiny_zoo.entry(
        folder, model="CGAN", picture="gan_noise.png", data={"name": "Noise", "licence": "CC0-1.0"}
    )
    Image.new("L", (2, 2)).save(folder / "gan_noise.png")
    (assets.configs() / "gan_mnist.yaml").write_text("model: CGAN\n")
    return weights


def test_what_is_pushed_can_be_loaded(hub, released, tmp_path, monkeypatch, capsys):
    main("zoo push gan_noise hf://me/noise".split())
    files = hub.files("me/noise")
    names = ["README.md", "config.json", "gan_mnist.yaml", "gan_noise.png", "gan_noise.safetensors", "samples.png"]
    assert sorted(files) == names
    (commit,) = [commit for commit, held in hub.commits["me/noise"].items() if held]
    printed = capsys.readouterr().out
    assert all(name in printed for name in names) and f"zoo.load('hf://me/noise@{commit}')" in printed
    assert files["gan_noise.safetensors"] == released.read_bytes()
    original = zoo.load("gan_noise")
    for address in ("hf://me/noise", f"hf://me/noise@{commit}"):
        loaded = zoo.load(address)
        assert torch.equal(loaded.sample(3, label=7, seed=0), original.sample(3, label=7, seed=0))
    config = json.loads(files["config.json"])
    assert config["model"] == "CGAN" and config["hparams"]["latent_dim"] == 3
    main("zoo push gan_noise hf://me/noise".split())  # again, into what is there
    assert sorted(hub.files("me/noise")) == names


def test_the_card_has_the_results_as_the_hub_reads_them(hub, released):
    from huggingface_hub import ModelCard

    zoo.push("gan_noise", "hf://me/noise")
    card = ModelCard(hub.files("me/noise")["README.md"].decode())
    assert card.data.license == "mit" and card.data.library_name == "lightning_gans"
    assert card.data.model_name == "gan_noise" and "arxiv:1406.2661" in card.data.tags
    found = [(each.metric_type, each.metric_value, each.metric_args["protocol"]) for each in card.data.eval_results]
    assert found == [("parzen", 226.5, "10,000 samples"), ("fid_lenet", 4.5, "5,000 samples")]
    assert {each.dataset_name for each in card.data.eval_results} == {"Noise"}
    assert "| parzen, nats | 225 ± 2 | 214 | 226.5 | - | - |" in card.text
    assert "Grey noise; nothing else is to be expected." in card.text and 'zoo.load("hf://me/noise")' in card.text


def test_another_projects_weights_are_pushed_as_ours(hub, folder, tmp_path, monkeypatch):
    """A card may name a file that ``zoo import`` knows; a repository needs none of its settings."""
    monkeypatch.setitem(PATTERNS, "weights", (".*", "any name"))
    torch.save(dcgan_layers.generator_state(), folder / "netG.pth")
    digest = hashlib.sha256((folder / "netG.pth").read_bytes()).hexdigest()
    tiny_zoo.entry(folder, "dcgan_noise").unlink()
    tiny_zoo.rewrite(folder / "dcgan_noise.md", **tiny_zoo.FILLED, model="DCGAN", weights="netG.pth", sha256=digest)
    zoo.push("dcgan_noise", "hf://me/dcgan")
    assert [name for name in hub.files("me/dcgan") if "netG" in name or "safetensors" in name] == [
        "dcgan_noise.safetensors"
    ]
    assert torch.equal(zoo.load("hf://me/dcgan").sample(2, seed=0), zoo.load("dcgan_noise").sample(2, seed=0))


def test_a_dry_run_writes_the_folder_and_sends_nothing(hub, folder, tmp_path, monkeypatch, capsys):
    text = "A model. [Its log](wavegan_noise.csv), [not there](absent.csv), [a document](../README.md)."
    tiny_zoo.entry(folder, "wavegan_noise", "WaveGAN", licence="for tests alone", text=text)
    (folder / "wavegan_noise.csv").write_text("generator_updates\n1\n")
    monkeypatch.chdir(tmp_path)
    main("zoo push wavegan_noise hf://me/clips --dry-run".split())
    made = sorted(path.name for path in (tmp_path / "clips").iterdir())
    assert made[:4] == ["README.md", "config.json", "gan_mnist.yaml", "sample_0.wav"] and len(made) == 9
    printed = capsys.readouterr().out
    assert all(name in printed for name in made) and hub.asked == []
    sound, rate = soundfile.read(tmp_path / "clips" / "sample_3.wav")
    assert (len(sound), rate) == (256, 8000) and abs(sound).max() > 0
    text = (tmp_path / "clips" / "README.md").read_text()
    assert "license: other\nlicense_name: for-tests-alone\n" in text and "- [sample_3.wav](sample_3.wav)" in text
    digest = hashlib.sha256((tmp_path / "clips" / "wavegan_noise.safetensors").read_bytes()).hexdigest()
    assert digest == zoo.card("wavegan_noise").sha256
    with pytest.raises(InputError, match="there is a clips already; move it away"):
        zoo.push("wavegan_noise", "hf://me/clips", dry_run=True)


@pytest.mark.parametrize(
    "words, message",
    [
        ("gan_nose hf://me/noise", "no model gan_nose in the zoo; did you mean gan_noise?"),
        ("gan_noise me/noise", "me/noise names no repository; expected hf://OWNER/REPO"),
        ("gan_noise hf://me/noise/gan.safetensors", "expected hf://OWNER/REPO, as a model fills a repository"),
        ("gan_noise hf://me/noise@main", "expected hf://OWNER/REPO, as a model fills a repository"),
        ("gan_noise hf://them/noise", "hf://them/noise: you have no permission ("),
        ("gan_noise hf://stranger/noise", "hf://stranger/noise: you have no permission ("),
        ("gan_noise hf://away/noise", "hf://away/noise: the connection to the Hub failed"),
    ],
)
def test_what_cannot_be_pushed_is_said_in_a_line(hub, released, capsys, monkeypatch, words, message):
    hub.readonly = {"them/noise"}
    if "stranger" in words:
        monkeypatch.delenv("HF_TOKEN")
    if "away" in words:
        hub.stop()
    with pytest.raises(SystemExit) as stop:
        main(["zoo", "push", *words.split()])
    said = capsys.readouterr().err.strip().splitlines()
    assert stop.value.code == 2 and len(said) == 1 and message in said[0], said
    assert hub.commits == {}
