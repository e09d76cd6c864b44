import os
from concurrent.futures import ThreadPoolExecutor

import pooch
import pytest
import torch
from helpers import tiny_zoo

from lightning_gans import zoo
from lightning_gans.errors import InputError
from lightning_gans.zoo import sources


def test_folders_of_the_user_come_before_the_package(folder, tmp_path, monkeypatch):
    tiny_zoo.entry(folder, hours=1)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    tiny_zoo.entry(tmp_path / "second", hours=2)
    tiny_zoo.entry(tmp_path / "second", "gan_own")
    monkeypatch.setenv(sources.FOLDERS, f"{tmp_path / 'first'}{os.pathsep}{tmp_path / 'second'}")
    assert zoo.names() == ["gan_noise", "gan_own"]
    assert zoo.card("gan_noise").hours == 2
    assert sources.locate(zoo.card("gan_noise")).parent.name == "second"
    monkeypatch.setenv(sources.FOLDERS, "nowhere")
    with pytest.raises(InputError, match=r"\$LIGHTNING_GANS_ZOO names nowhere, which is no folder"):
        zoo.names()


def test_a_model_is_found_by_a_name_of_before(folder, capsys):
    tiny_zoo.entry(folder, "gan_other").with_suffix(".md").write_text("broken")
    tiny_zoo.entry(folder, formerly=["gan_old", "gan_older"])
    assert zoo.card("gan_older").name == "gan_noise"
    assert "gan_older is called gan_noise now" in capsys.readouterr().err
    assert zoo.names() == ["gan_noise", "gan_other"]
    with pytest.raises(InputError, match="no model gan_oldest"):
        zoo.card("gan_oldest")


@pytest.fixture
def remote(folder, monkeypatch):
    """An entry whose weights are at an address; what the address gives and how often it was asked."""
    path = tiny_zoo.entry(folder, url="https://models.example/gan_noise.safetensors")
    served = {"data": path.read_bytes(), "asked": []}
    path.unlink()

    def http(**options):
        def write(url, output, _):
            served["asked"].append(url)
            if served["data"] is None:
                raise OSError("no route to host")
            output.write(served["data"])

        return write

    monkeypatch.setattr(pooch, "HTTPDownloader", http)
    return served


def test_weights_are_fetched_once_even_by_many(remote, tmp_path):
    card = zoo.card("gan_noise")
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(sources.locate, [card] * 8))
    assert set(paths) == {tmp_path / "cache" / "zoo" / card.sha256[:16] / card.weights}
    assert remote["asked"] == ["https://models.example/gan_noise.safetensors"]
    assert torch.equal(zoo.load("gan_noise").generator.output.weight, tiny_zoo.tiny("GAN").generator.output.weight)
    assert {path.name for path in paths[0].parent.iterdir()} == {card.weights, f"{card.weights}.lock"}


def test_a_fetched_file_with_another_hash_is_not_kept(remote, tmp_path):
    remote["data"] = remote["data"][:-1]
    with pytest.raises(
        InputError, match=r"could not be fetched from https://models\.example/\S+ \(it has the SHA-256 .* its card says"
    ):
        zoo.load("gan_noise")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_without_a_network_one_line_says_what_to_put_where(remote, tmp_path):
    remote["data"] = None
    message = r"gan_noise\.safetensors of gan_noise .*no route to host.*put it at \S+cache"
    with pytest.raises(InputError, match=message) as caught:
        zoo.load("gan_noise")
    assert "\n" not in str(caught.value)
    assert zoo.verify() == []


def test_without_an_address_it_says_where_it_looked(folder):
    tiny_zoo.entry(folder).unlink()
    with pytest.raises(InputError, match=rf"is not in {folder}, and its card has no url"):
        zoo.load("gan_noise")
    assert len(zoo.verify()) == 1
