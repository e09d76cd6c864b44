"""Addresses on the Hub and in W&B, played by stand-ins: these tests have no network."""

import hashlib
import re
import shutil
import sys
import time
from pathlib import Path

import pytest
import torch
import wandb
from helpers import hub_server, tiny_zoo
from helpers import parallel_wavegan_files as parallel_wavegan

from lightning_gans import models, zoo
from lightning_gans.__main__ import main
from lightning_gans.errors import InputError
from lightning_gans.zoo import sources
from lightning_gans.zoo.hub import fetch


@pytest.fixture
def weights(folder):
    """The bytes of a file, and what it holds."""
    return tiny_zoo.entry(folder).read_bytes(), tiny_zoo.tiny("GAN").generator.output.weight


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("address", ["hf://me/gans/v1/gan.safetensors", "hf://me/gans/v1/gan.safetensors@abc"])
def test_a_file_on_the_hub_is_loaded(hub, weights, address, size, monkeypatch):
    monkeypatch.setattr(hub_server, "LARGE", {"small": (), "large": (".safetensors",)}[size])
    hub.add(
        "me/gans", {"v1/gan.safetensors": weights[0], "gan_other.safetensors": b""}, "abc" if "@" in address else "main"
    )
    loaded = zoo.load(address)
    assert torch.equal(loaded.generator.output.weight, weights[1])


def test_a_repository_of_ours_needs_no_file_name(hub, weights):
    hub.add("me/gans", {"README.md": b"a card", "gan_noise.safetensors": weights[0], "samples.png": b""})
    assert torch.equal(zoo.load("hf://me/gans").generator.output.weight, weights[1])
    assert [asked for asked in hub.asked if "resolve" in asked and "safetensors" not in asked] == []


def test_another_projects_checkpoint_is_imported_with_its_config(hub, folder, tmp_path):
    files = tmp_path / "parallel_wavegan"
    files.mkdir()
    path = parallel_wavegan.written(files, parallel_wavegan.small_config(), parallel_wavegan.small_state())
    named = {path.name: path.read_bytes() for path in files.iterdir()}
    assert sorted(named) == ["checkpoint-400000steps.pkl", "config.yml", "stats.npy"]
    hub.add("kan/pwg", named | {"README.md": b"", "samples/a.wav": b""})
    hub.add("kan/pwgs", {f"v1/{name}": data for name, data in named.items()} | {"config.yml": b"a: 1"}, "v2")
    expected = zoo.import_checkpoint(path)
    mel = expected.mel(torch.linspace(-1, 1, 8192))
    for address in ("hf://kan/pwg", "hf://kan/pwgs/v1/checkpoint-400000steps.pkl@v2"):
        assert torch.equal(zoo.load(address).vocode(mel, seed=1), expected.vocode(mel, seed=1))
    module = models.ParallelWaveGAN(**expected.hparams)
    assert zoo.init_from(module, "hf://kan/pwg") == ["discriminator"]
    assert not [asked for asked in hub.asked if "README" in asked or "samples" in asked]


@pytest.mark.parametrize(
    ("generator", "others"),
    [
        ("netG.pt", "netD.pt"),
        ("netG_epoch_24.pth", "netD_epoch_24.pth"),
        ("g_02500000", "do_02500000"),
        ("bigvgan_generator.pt", "bigvgan_discriminator_optimizer.pt"),
    ],
)
def test_discriminators_of_their_own_are_fetched_for_a_training_alone(hub, tmp_path, generator, others):
    same_kind = f"{others}_3msteps" if "." not in others else others.replace(".", "_3msteps.")
    hub.add("me/gan", {name: name.encode() for name in (generator, others, same_kind, "other.pt")})
    for discriminators in (False, True):
        path = fetch(f"hf://me/gan/{generator}", tmp_path, discriminators)
        assert path.read_bytes() == generator.encode() and path.with_name(others).exists() == discriminators
    assert not path.with_name("other.pt").exists() and not path.with_name(same_kind).exists()


def test_without_a_network_no_training_begins_without_the_discriminators_that_are_there(hub, tmp_path):
    hub.add("me/gan", {"g_02500000": b"g", "do_02500000": b"d"})
    fetch("hf://me/gan", tmp_path)
    hub.stop()
    assert fetch("hf://me/gan", tmp_path).read_bytes() == b"g"
    with pytest.raises(InputError, match="hf://me/gan: the connection to the Hub failed"):
        fetch("hf://me/gan", tmp_path, discriminators=True)


def test_what_was_loaded_once_is_loaded_without_a_network(hub, weights, tmp_path):
    hub.add("me/gans", {"gan_noise.safetensors": weights[0]})
    zoo.load("hf://me/gans")
    (kept,) = (tmp_path / "cache").rglob("*.json")
    assert hashlib.sha256(weights[0]).hexdigest() in kept.read_text()
    hub.stop()
    assert torch.equal(zoo.load("hf://me/gans").generator.output.weight, weights[1])
    (blob,) = (path for path in (tmp_path / "hub").rglob("blobs/*"))
    blob.write_bytes(weights[0][:-1] + b"!")
    with pytest.raises(
        InputError, match=r"is damaged: it has not the hash \w+ of hf://me/gans; delete .*blobs.* try again"
    ):
        zoo.load("hf://me/gans")
    with pytest.raises(InputError, match=r"hf://me/other: the connection to the Hub failed"):
        zoo.load("hf://me/other")


def test_a_branch_may_move_and_a_commit_may_not(hub, weights, tmp_path, capsys):
    first = hub.add("me/gans", {"gan_noise.safetensors": weights[0]})
    zoo.load("hf://me/gans"), zoo.load(f"hf://me/gans@{first}")
    assert capsys.readouterr().err == ""
    other = tiny_zoo.entry(tmp_path / "other", model=models.GAN(**tiny_zoo.TINY["GAN"])).read_bytes()
    second = hub.add("me/gans", {"gan_noise.safetensors": other})
    assert not torch.equal(zoo.load("hf://me/gans").generator.output.weight, weights[1])
    assert (
        capsys.readouterr().err == f"lightning-gans: hf://me/gans has changed since it was loaded last, now {second}\n"
    )
    zoo.load("hf://me/gans")
    assert capsys.readouterr().err == ""
    assert torch.equal(zoo.load(f"hf://me/gans@{first}").generator.output.weight, weights[1])
    hub.commits["me/gans"][first]["gan_noise.safetensors"] = other
    shutil.rmtree(tmp_path / "hub")
    with pytest.raises(
        InputError, match="has changed since it was loaded first, and a commit never does; do not use it"
    ):
        zoo.load(f"hf://me/gans@{first}")


def test_addresses_on_a_card(hub, artifacts, folder, weights):
    """The artifact may hold other files too; the card names its own, and says which hash it has."""
    hub.add("me/gans", {"v1/gan_noise.safetensors": weights[0]}, "abc123")
    artifacts["me/project/gan:v3"] = {"gan_noise.safetensors": weights[0], "other.safetensors": b""}
    for url in ("hf://me/gans/v1/gan_noise.safetensors@abc123", "wandb://me/project/gan:v3"):
        tiny_zoo.rewrite(folder / "gan_noise.md", url=url)
        (folder / "gan_noise.safetensors").unlink(missing_ok=True)
        kept = sources.locate(zoo.card("gan_noise"))
        assert torch.equal(zoo.load("gan_noise").generator.output.weight, weights[1])
        assert [path.name for path in kept.parent.iterdir()] == ["gan_noise.safetensors", "gan_noise.safetensors.lock"]
        kept.unlink()
    del artifacts["me/project/gan:v3"]["gan_noise.safetensors"]
    with pytest.raises(InputError, match=r"should hold one gan_noise\.safetensors; found other\.safetensors"):
        zoo.load("gan_noise")


def test_the_hub_needs_its_package(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"lightning-gans\[hub\]"):
        zoo.load("hf://me/gans/gan.safetensors")


@pytest.mark.parametrize(
    "address, message",
    [
        ("hf://nobody/none", r"there is no repository nobody/none for you; correct \S+, or log in with: hf auth login"),
        ("hf://me/gans@none", r"me/gans has no revision none; correct hf://me/gans@none"),
        (
            "hf://me/gans/none.ckpt",
            r"hf://me/gans/none.ckpt: there is no such file; found a.safetensors, b.safetensors",
        ),
        ("hf://me/gans", r"hf://me/gans holds a.safetensors, b.safetensors; name one of them"),
        ("hf://me/text", r"hf://me/text holds no file .*; found README.md; name the file of weights"),
        (
            "hf://me/secret",
            r"hf://me/secret is for those whom its owner has let in; ask at \S+me/secret, and log in with",
        ),
        ("hf://me/broken", r"hf://me/broken: the connection to the Hub failed \(.*closed"),
        ("hf://gans", r"hf://gans names no repository; expected hf://OWNER/REPO or hf://OWNER/REPO/FILE@REVISION"),
        ("hf://me/gans/a b/../../x@", "names no repository"),
    ],
)
def test_addresses_on_the_hub_that_give_nothing(hub, weights, tmp_path, capsys, monkeypatch, address, message):
    hub.add("me/gans", {"a.safetensors": weights[0], "b.safetensors": weights[0]})
    hub.add("me/text", {"README.md": b""})
    hub.add("me/secret", {"a.safetensors": weights[0]})
    hub.add("me/broken", {"a.safetensors": weights[0]})
    hub.gated, hub.cut = {"me/secret"}, 100
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between tries
    with pytest.raises(SystemExit) as stop:
        main(["sample", address])
    said = capsys.readouterr().err.strip().splitlines()
    assert stop.value.code == 2 and len(said) == 1 and re.search(message, said[0]), said
    left = [path for name in ("hub", "cache") for path in (tmp_path / name).rglob("*") if path.is_file()]
    assert [path.name for path in left if not path.name.endswith((".lock", ".TAG"))] == []


class Artifact:
    """Files whose content W&B knows."""

    digest = "d1"

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def download(self, root):
        Path(root).mkdir(parents=True, exist_ok=True)
        for name, data in self.files.items():
            if not Path(root, name).exists():
                Path(root, name).write_bytes(data)

    def verify(self, root):
        for name, data in self.files.items():
            if Path(root, name).read_bytes() != data:
                raise ValueError(f"Digest mismatch for file: {name}")


@pytest.fixture
def artifacts(monkeypatch):
    files: dict[str, dict[str, bytes]] = {}

    class Api:
        def artifact(self, name):
            if name not in files:
                raise ValueError(f"artifact '{name}' not found")
            return Artifact(files[name])

    monkeypatch.setattr(wandb, "Api", Api)
    return files


def test_the_weights_in_an_artifact_are_loaded(artifacts, weights, tmp_path):
    artifacts["me/project/model-run:best"] = {"model.safetensors": weights[0], "notes.txt": b""}
    loaded = zoo.load("wandb://me/project/model-run:best")
    assert torch.equal(loaded.generator.output.weight, weights[1])
    (kept,) = (tmp_path / "cache").rglob("model.safetensors")
    kept.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"is damaged .Digest mismatch for file: model.safetensors.; delete it"):
        zoo.load("wandb://me/project/model-run:best")


@pytest.mark.parametrize(
    "address, message",
    [
        ("wandb://me/project/none:v1", r"wandb://me/project/none:v1 could not be fetched .artifact '.*' not found."),
        ("wandb://me/project/two:v1", r"should hold one file that ends in .safetensors or .ckpt; found a.ckpt, b.ckpt"),
        ("wandb://me/project/text:v1", "should hold one file .*; found a.txt"),
        ("https://example.org/gan.safetensors", "cannot be checked; expected hf://.* or a zoo card with its SHA-256"),
    ],
)
def test_addresses_that_give_nothing(artifacts, folder, address, message):
    artifacts["me/project/two:v1"] = {"a.ckpt": b"", "b.ckpt": b""}
    artifacts["me/project/text:v1"] = {"a.txt": b""}
    with pytest.raises(InputError, match=message) as caught:
        zoo.load(address)
    assert "\n" not in str(caught.value)
