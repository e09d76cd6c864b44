"""Addresses on the Hub and in W&B, played by stand-ins: these tests have no network."""

import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import wandb
from helpers import tiny_zoo

from lightning_gans import zoo
from lightning_gans.errors import InputError
from lightning_gans.zoo import sources


@pytest.fixture
def weights(folder):
    """The bytes of a file, and what it holds."""
    return tiny_zoo.entry(folder).read_bytes(), tiny_zoo.tiny("GAN").generator.output.weight


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Serves files from a cache that is laid out as the Hub's."""
    files: dict[str, bytes] = {}

    def download(repo_id, filename, revision):
        data = files[f"{repo_id}/{filename}@{revision}"]
        name = hashlib.sha256(data).hexdigest()
        if filename.endswith("small.safetensors"):
            name = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        blob, pointer = tmp_path / "blobs" / name, tmp_path / "snapshots" / "abc" / filename
        for path in (blob, pointer):
            path.parent.mkdir(parents=True, exist_ok=True)
        if not pointer.exists():
            blob.write_bytes(data)
            pointer.symlink_to(blob)
        return str(pointer)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=download))
    return files


@pytest.mark.parametrize("name", ["gan.safetensors", "small.safetensors"])
def test_a_file_on_the_hub_is_loaded(hub, weights, name):
    hub[f"me/gans/v1/{name}@abc"] = weights[0]
    loaded = zoo.load(f"hf://me/gans/v1/{name}@abc")
    assert torch.equal(loaded.generator.output.weight, weights[1])


def test_addresses_on_a_card(hub, artifacts, folder, weights):
    """The artifact may hold other files too; the card names its own, and says which hash it has."""
    hub["me/gans/v1/gan_noise.safetensors@abc123"] = weights[0]
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


def test_a_damaged_file_of_the_hub_is_refused(hub, weights, tmp_path):
    hub["me/gans/gan.safetensors@None"] = weights[0]
    zoo.load("hf://me/gans/gan.safetensors")
    (blob,) = (tmp_path / "blobs").iterdir()
    blob.write_bytes(weights[0][:-1] + b"!")
    with pytest.raises(InputError, match=r"is damaged: it has not the hash .* of hf://me/gans/gan.safetensors; delete"):
        zoo.load("hf://me/gans/gan.safetensors")


def test_without_links_the_hub_is_asked_for_the_hash(weights, tmp_path, monkeypatch):
    file = tmp_path / "gan.safetensors"
    file.write_bytes(weights[0])
    etag = hashlib.sha256(weights[0]).hexdigest()
    stand_in = SimpleNamespace(
        hf_hub_download=lambda **_: str(file),
        hf_hub_url=lambda repo_id, filename, revision: f"{repo_id}/{filename}/{revision}",
        get_hf_file_metadata=lambda url: SimpleNamespace(etag=etag if url == "me/gans/gan.safetensors/v2" else "0"),
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", stand_in)
    zoo.load("hf://me/gans/gan.safetensors@v2")
    with pytest.raises(InputError, match="is damaged"):
        zoo.load("hf://me/gans/gan.safetensors@v3")


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
        ("hf://me/gans", "hf://me/gans names no file; expected hf://OWNER/REPO/FILE, FILE ending in .safetensors or"),
        ("hf://me/gans/readme.md", "names no file"),
        ("https://example.org/gan.safetensors", "cannot be checked; expected hf://.* or a zoo card with its SHA-256"),
    ],
)
def test_addresses_that_give_nothing(artifacts, folder, address, message):
    artifacts["me/project/two:v1"] = {"a.ckpt": b"", "b.ckpt": b""}
    artifacts["me/project/text:v1"] = {"a.txt": b""}
    with pytest.raises(InputError, match=message) as caught:
        zoo.load(address)
    assert "\n" not in str(caught.value)
