import hashlib
import json
import os
import struct
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
import tiny_zoo
import torch

from lightning_gans import assets, models, zoo
from lightning_gans.errors import InputError
from lightning_gans.zoo import sources


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty zoo in place of the packaged one, and an empty cache."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    monkeypatch.setattr(assets, "zoo", lambda: folder)
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "gan_mnist.yaml").write_text("")
    monkeypatch.setattr(assets, "configs", lambda: configs)
    monkeypatch.delenv(sources.FOLDERS, raising=False)
    monkeypatch.setenv(sources.CACHE, str(tmp_path / "cache"))
    return folder


def header(data: bytes) -> dict:
    return json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])


# ---- from a checkpoint to a file and back


def test_a_model_comes_back_from_the_zoo_as_it_went_in(folder):
    tiny_zoo.entry(folder)
    module, original = zoo.load("gan_noise"), tiny_zoo.tiny("GAN")
    assert zoo.names() == ["gan_noise"]
    assert type(module) is models.GAN and not module.training
    assert dict(module.hparams) == dict(original.hparams)
    assert module.hparams.image_shape == (1, 4, 4)
    assert module.untrained_networks == ("discriminator",)
    assert torch.equal(module.sample(5, seed=1), original.sample(5, seed=1))


def test_the_header_rebuilds_the_model_whatever_the_defaults_become(folder):
    data = tiny_zoo.entry(folder).read_bytes()
    metadata = header(data)["__metadata__"]
    assert metadata["model"] == "GAN" and json.loads(metadata["networks"]) == ["generator"]
    hparams = json.loads(metadata["hparams"])
    assert hparams["hidden"] == 8 and hparams["lr_decay"] == 1.000004 and "_instantiator" not in hparams
    assert {key.partition(".")[0] for key in header(data)} == {"__metadata__", "generator"}


def test_half_precision_is_for_matrices_only_and_loads_as_float32(folder):
    data = tiny_zoo.entry(folder, half=True).read_bytes()
    assert header(data)["generator.hidden1.weight"]["dtype"] == "F16"
    assert header(data)["generator.hidden1.bias"]["dtype"] == "F32"
    loaded, original = zoo.load("gan_noise").generator.hidden1, tiny_zoo.tiny("GAN").generator.hidden1
    assert loaded.weight.dtype == torch.float32
    assert torch.equal(loaded.weight, original.weight.half().float())


def test_the_same_checkpoint_gives_the_same_bytes(folder, tmp_path):
    source = tiny_zoo.checkpoint(tmp_path / "last.ckpt")
    first = zoo.export(source, tmp_path / "a", "gan_noise").weights.read_bytes()
    again = zoo.export(source, tmp_path / "a", "gan_noise").weights.read_bytes()
    assert first == again == zoo.export(source, tmp_path / "b", "gan_noise").weights.read_bytes()
    assert list(header(first)["__metadata__"]) == ["model", "hparams", "version", "networks"]


def test_buffers_of_the_module_itself_are_released_too(folder, tmp_path):
    module = tiny_zoo.tiny("ControlGAN")
    module.gamma.fill_(1.7)
    source = tiny_zoo.checkpoint(tmp_path / "last.ckpt", "ControlGAN", state_dict=module.state_dict())
    loaded = zoo.load(zoo.export(source, folder, "controlgan_noise").weights)
    assert loaded.gamma.item() == pytest.approx(1.7)
    assert loaded.untrained_networks == ("discriminator", "classifier")


def test_a_training_checkpoint_loads_with_every_network(folder, tmp_path):
    module = zoo.load(tiny_zoo.checkpoint(tmp_path / "last.ckpt"))
    assert module.untrained_networks == ()
    assert torch.equal(module.discriminator.output.weight, tiny_zoo.tiny("GAN").discriminator.output.weight)


def test_loading_leaves_the_random_state_alone(folder):
    tiny_zoo.entry(folder)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    zoo.load("gan_noise")
    assert torch.equal(torch.rand(3), expected)


# ---- export


def test_an_export_lists_what_its_card_lacks_and_the_card_is_refused_until_then(folder, tmp_path):
    exported = zoo.export(tiny_zoo.checkpoint(tmp_path / "gan_mnist.ckpt"), folder)
    expected = ["data.name", "data.licence", "licence", "results[0].metric", "results[0].reproduced"]
    expected += ["results[0].protocol", "command", "hours", "hardware", "text (below the ---)"]
    assert exported.missing == expected
    with pytest.raises(InputError, match=r"card gan_mnist: nothing is given for data\.name.*hardware, text"):
        zoo.card("gan_mnist")
    tiny_zoo.rewrite(exported.card, **{k: v for k, v in tiny_zoo.FILLED.items() if k not in ("paper", "config")})
    card = zoo.card("gan_mnist")
    assert card.paper.title == "Generative Adversarial Nets" and card.paper.arxiv == "1406.2661"
    assert card.config == "gan_mnist" and card.model == "GAN" and card.weights == "gan_mnist.safetensors"
    assert card.sha256 == hashlib.sha256(exported.weights.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", models.__all__)
def test_each_paper_says_in_its_first_line_what_the_card_needs(name):
    from lightning_gans.zoo.release import _skeleton

    module = tiny_zoo.tiny(name) if name in tiny_zoo.TINY else getattr(models, name)()
    paper = _skeleton(module, "a_b", "")["paper"]
    assert paper["title"] and paper["arxiv"]


def test_weights_that_are_not_finite_are_not_released(folder, tmp_path):
    state = tiny_zoo.tiny("GAN").state_dict()
    state["generator.hidden1.weight"][0, 0] = 1e5
    source = tiny_zoo.checkpoint(tmp_path / "last.ckpt", state_dict=state)
    with pytest.raises(InputError, match=r"generator\.hidden1\.weight is not finite in float16.*--float32"):
        zoo.export(source, folder, "gan_noise")
    assert zoo.export(source, folder, "gan_noise", half=False).weights.is_file()
    state["generator.hidden1.weight"][0, 0] = float("nan")
    with pytest.raises(InputError, match="is not finite; export an earlier"):
        zoo.export(tiny_zoo.checkpoint(source, state_dict=state), folder, "gan_nan", half=False)
    assert sorted(path.name for path in folder.iterdir()) == ["gan_noise.md", "gan_noise.safetensors"]


def test_a_card_with_figures_is_not_given_other_weights(folder, tmp_path):
    before = tiny_zoo.entry(folder).read_bytes()
    state = {key: value + 1 for key, value in tiny_zoo.tiny("GAN").state_dict().items()}
    with pytest.raises(InputError, match=r"gan_noise\.md exists and its figures belong to other weights"):
        zoo.export(tiny_zoo.checkpoint(tmp_path / "last.ckpt", state_dict=state), folder, "gan_noise")
    assert (folder / "gan_noise.safetensors").read_bytes() == before


def test_an_entry_is_named_after_paper_and_data(folder, tmp_path):
    with pytest.raises(InputError, match="last cannot name a model of the zoo; give --name <paper>_<dataset>"):
        zoo.export(tiny_zoo.checkpoint(tmp_path / "last.ckpt"), folder)


# ---- files that cannot be used


def test_a_hash_that_differs_is_found_before_use(folder):
    path = tiny_zoo.entry(folder)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    found, expected = hashlib.sha256(data).hexdigest(), zoo.card("gan_noise").sha256
    with pytest.raises(InputError, match=f"SHA-256 {found}, its card gan_noise says {expected}"):
        zoo.load("gan_noise")
    assert len(zoo.verify()) == 1 and "SHA-256" in zoo.verify()[0]


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"\xff" * 40])
def test_what_is_no_safetensors_file_is_said_to_be_none(tmp_path, content):
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"\({len(content)} bytes\) is cut short or no safetensors file"):
        zoo.load(path)


def test_a_file_that_is_cut_short_is_said_to_be(folder, tmp_path):
    path = tiny_zoo.entry(folder)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="SHA-256"):
        zoo.load("gan_noise")
    with pytest.raises(InputError, match="is cut short"):
        zoo.load(path)
    source = tiny_zoo.checkpoint(tmp_path / "last.ckpt")
    source.write_bytes(source.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"last\.ckpt is cut short"):
        zoo.load(source)


class Malice:
    def __reduce__(self):
        return os.system, ("echo malice",)


def test_nothing_is_unpickled(folder, tmp_path, capfd):
    source = tiny_zoo.checkpoint(tmp_path / "last.ckpt", callbacks=Malice())
    with pytest.raises(InputError, match="more than tensors and plain values, which is not unpickled"):
        zoo.load(source)
    assert "malice" not in capfd.readouterr().out


def test_classes_come_from_the_registry_only(folder, tmp_path):
    for name in ("os.system", "AdversarialModule", "GAAN"):
        with pytest.raises(InputError, match=f"holds a {name}; "):
            zoo.load(tiny_zoo.checkpoint(tmp_path / "last.ckpt", model=name))


def test_other_checkpoints_and_safetensors_files_are_not_ours(folder, tmp_path):
    import safetensors.torch

    torch.save(torch.zeros(2), tmp_path / "other.ckpt")
    with pytest.raises(InputError, match=r"other\.ckpt lacks model, hyper_parameters, state_dict"):
        zoo.load(tmp_path / "other.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match=r"other\.ckpt lacks model, hyper_parameters"):
        zoo.load(tmp_path / "other.ckpt")
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"found format; make it with lightning-gans zoo export"):
        zoo.load(tmp_path / "other.safetensors")


def test_tensors_that_do_not_fit_are_named_with_what_differs(folder, tmp_path):
    hparams = dict(tiny_zoo.tiny("GAN").hparams)
    with pytest.raises(InputError, match=r"generator\.\S+ of shape \(8.*where the model has \(9"):
        zoo.load(tiny_zoo.checkpoint(tmp_path / "last.ckpt", hyper_parameters=hparams | {"hidden": 9}))
    state = tiny_zoo.tiny("GAN").state_dict()
    del state["generator.output.bias"]
    with pytest.raises(InputError, match=r"does not fit this GAN: it lacks generator\.output\.bias$"):
        zoo.load(tiny_zoo.checkpoint(tmp_path / "last.ckpt", state_dict=state))


def test_hyper_parameters_of_another_version_are_named(folder, tmp_path):
    hparams = dict(tiny_zoo.tiny("GAN").hparams) | {"width": 3}
    with pytest.raises(InputError, match=r"hyper-parameters width, which GAN of version \S+ does not know"):
        zoo.load(tiny_zoo.checkpoint(tmp_path / "last.ckpt", hyper_parameters=hparams))


def test_unknown_names_get_the_closest(folder):
    tiny_zoo.entry(folder)
    with pytest.raises(InputError, match=r"no model gan_nose in the zoo; did you mean gan_noise\?"):
        zoo.load("gan_nose")
    with pytest.raises(InputError, match=r"there is no file nowhere\.ckpt"):
        zoo.load("nowhere.ckpt")


# ---- starting from a model of the zoo


def test_init_from_copies_what_is_there_and_says_what_is_not(folder, tmp_path):
    tiny_zoo.entry(folder)
    module = models.GAN(**tiny_zoo.TINY["GAN"])
    before = module.discriminator.output.weight.clone()
    assert zoo.init_from(module, "gan_noise") == ["discriminator"]
    assert torch.equal(module.generator.output.weight, tiny_zoo.tiny("GAN").generator.output.weight)
    assert torch.equal(module.discriminator.output.weight, before)
    assert zoo.init_from(module, tmp_path / "zoo" / "runs" / "last.ckpt") == []
    assert torch.equal(module.discriminator.output.weight, tiny_zoo.tiny("GAN").discriminator.output.weight)


def test_init_from_names_both_classes_and_the_sizes_that_differ(folder):
    tiny_zoo.entry(folder)
    with pytest.raises(InputError, match="holds a GAN, and the run has a CGAN"):
        zoo.init_from(tiny_zoo.tiny("CGAN"), "gan_noise")
    other = models.GAN(**tiny_zoo.TINY["GAN"] | {"hidden": 16, "lr": 0.5})
    with pytest.raises(InputError, match=r"what differs: hidden=8 in the file, 16 here$"):
        zoo.init_from(other, "gan_noise")


# ---- where cards and weights are looked for


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


@pytest.fixture
def remote(folder, monkeypatch):
    """An entry whose weights are at an address; what the address gives and how often it was asked."""
    path = tiny_zoo.entry(folder, url="https://models.example/gan_noise.safetensors")
    served = {"data": path.read_bytes(), "asked": []}
    path.unlink()

    def urlopen(url, timeout):
        served["asked"].append(url)
        if served["data"] is None:
            raise urllib.error.URLError("no route to host")
        return BytesIO(served["data"])

    monkeypatch.setattr(sources.urllib.request, "urlopen", urlopen)
    return served


def test_weights_are_fetched_once_even_by_many(remote, tmp_path):
    card = zoo.card("gan_noise")
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(sources.locate, [card] * 8))
    assert set(paths) == {tmp_path / "cache" / "zoo" / card.sha256[:16] / card.weights}
    assert remote["asked"] == ["https://models.example/gan_noise.safetensors"]
    assert torch.equal(zoo.load("gan_noise").generator.output.weight, tiny_zoo.tiny("GAN").generator.output.weight)
    assert not list(paths[0].parent.glob("*.part"))


def test_a_fetched_file_with_another_hash_is_not_kept(remote, tmp_path):
    remote["data"] = remote["data"][:-1]
    with pytest.raises(InputError, match=r"what came from https://models\.example/\S+ \(\d+ bytes\) has the SHA-256"):
        zoo.load("gan_noise")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_without_a_network_one_line_says_what_to_put_where(remote, tmp_path):
    remote["data"] = None
    message = r"gan_noise\.safetensors of gan_noise .* no route to host.*put it at \S+cache"
    with pytest.raises(InputError, match=message) as caught:
        zoo.load("gan_noise")
    assert "\n" not in str(caught.value)
    assert zoo.verify() == []


def test_without_an_address_it_says_where_it_looked(folder):
    tiny_zoo.entry(folder).unlink()
    with pytest.raises(InputError, match=rf"is not in {folder}, and its card has no url"):
        zoo.load("gan_noise")
    assert len(zoo.verify()) == 1


def test_hub_addresses_are_read_as_owner_repository_file_revision(folder, tmp_path, monkeypatch):
    import sys
    from types import SimpleNamespace

    asked = []

    def download(repository, file, revision, local_dir):
        asked.append((repository, file, revision))
        path = tmp_path / "hub"
        path.write_bytes(b"weights")
        return str(path)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=download))
    with sources._open("hf://me/gans/v1/gan.safetensors@abc123", "gan.safetensors", "") as stream:
        assert stream.read() == b"weights"
    sources._open("hf://me/gans/gan.safetensors", "gan.safetensors", "").close()
    assert asked == [("me/gans", "v1/gan.safetensors", "abc123"), ("me/gans", "gan.safetensors", None)]
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"lightning-gans\[hub\]"):
        sources._open("hf://me/gans/gan.safetensors", "gan.safetensors", "")


def test_artifacts_are_searched_for_the_file_on_the_card(tmp_path, monkeypatch):
    import wandb

    class Artifact:
        def download(self, root):
            (tmp_path / "gan.safetensors").write_bytes(b"weights")
            return str(tmp_path)

    class Api:
        def artifact(self, name):
            assert name == "me/project/gan:v3"
            return Artifact()

    monkeypatch.setattr(wandb, "Api", Api)
    with sources._open("wandb://me/project/gan:v3", "gan.safetensors", str(tmp_path)) as stream:
        assert stream.read() == b"weights"
    with pytest.raises(InputError, match=r"holds gan\.safetensors; expected other\.safetensors"):
        sources._open("wandb://me/project/gan:v3", "other.safetensors", str(tmp_path))


# ---- cards


WRONG = [
    ({"name": "gan_other"}, "name is gan_other; expected the file's stem, gan_noise"),
    ({"sha256": "abc"}, "sha256 is abc; expected 64 hexadecimal digits"),
    ({"weights": "../gan.safetensors"}, r"weights is \.\./gan\.safetensors"),
    ({"weights": "gan.ckpt"}, r"weights is gan\.ckpt"),
    ({"url": "http://models.example/x"}, "url is http://models.example/x; expected https://"),
    ({"picture": "/etc/passwd"}, "picture is /etc/passwd"),
    ({"hours": "two"}, "hours is 'two'; expected a number"),
    ({"hours": 0}, "hours is 0; expected more than 0"),
    ({"paper": "GAN"}, "paper is no mapping; expected the fields title, arxiv"),
    ({"paper": {"title": "GAN", "arxiv": 1406.2661}}, r"paper\.arxiv is 1406\.2661; expected text; put it in quotes"),
    ({"paper": {"title": "GAN", "arxiv": None}}, r"nothing is given for paper\.arxiv"),
    ({"data": {"name": "noise"}}, r"nothing is given for data\.licence"),
    ({"licens": "MIT"}, r"no field licens; did you mean licence\?"),
    ({"results": "good"}, "results is 'good'; expected a list of entries with metric"),
    ({"results": []}, "nothing is given for results"),
    ({"results": [{"metric": "fid", "protocol": "5 samples"}]}, r"nothing is given for results\[0\]\.reproduced"),
    ({"results": [{"metric": "fid", "reproduced": 1, "protocol": "all"}]}, r"results\[0\]\.protocol is 'all'.*samples"),
    ({"text": "# A title alone"}, "nothing is given for text"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_wrong_card_names_itself_and_the_field(folder, change, message):
    tiny_zoo.entry(folder)
    tiny_zoo.rewrite(folder / "gan_noise.md", **change)
    with pytest.raises(InputError, match=rf"^card gan_noise: .*{message}"):
        zoo.card("gan_noise")


def test_a_file_without_front_matter_is_no_card(folder):
    (folder / "README.md").write_text("Not a card.")
    assert zoo.names() == []
    (folder / "gan_noise.md").write_text("# GAN")
    with pytest.raises(InputError, match="does not begin with front matter"):
        zoo.card("gan_noise")


def test_a_card_of_another_class_is_noticed(folder):
    tiny_zoo.entry(folder, model="GAN")
    tiny_zoo.rewrite(folder / "gan_noise.md", model="CGAN")
    with pytest.raises(InputError, match="holds a GAN; its card gan_noise says CGAN"):
        zoo.load("gan_noise")


def test_verify_finds_pictures_and_configs_that_are_not_there(folder, tmp_path):
    tiny_zoo.entry(folder, picture="gan_noise.png")
    assert zoo.verify() == [f"card gan_noise: there is no picture {folder / 'gan_noise.png'}"]
    (folder / "gan_noise.png").write_bytes(b"")
    assert zoo.verify() == []
    (tmp_path / "configs" / "gan_mnist.yaml").unlink()
    assert "there is no config gan_mnist" in zoo.verify()[0]


# ---- tables


def test_the_table_has_a_row_per_figure(folder):
    path = tiny_zoo.entry(folder)
    size = f"{path.stat().st_size / 1e6:.1f}"
    assert zoo.results_table().splitlines()[2:] == [
        "| `gan_noise` | [A Title](https://arxiv.org/abs/1406.2661) | noise | parzen, nats | 225 ± 2 | 226.5 | - |"
        f" {size} |",
        "|  |  |  | fid_lenet | - | 4.5 | 0.5 |  |",
    ]


def test_the_readme_keeps_what_is_around_the_table(folder, tmp_path):
    tiny_zoo.entry(folder)
    readme = tmp_path / "README.md"
    readme.write_text("# Title\n<!-- zoo:begin -->\nold\n<!-- zoo:end -->\nend\n")
    zoo.write_readme(readme)
    zoo.write_readme(readme)
    expected = f"# Title\n<!-- zoo:begin -->\n{zoo.results_table()}\n<!-- zoo:end -->\nend\n"
    assert readme.read_text() == expected
    readme.write_text("# Title")
    with pytest.raises(InputError, match="has no place for the table"):
        zoo.write_readme(readme)
    assert readme.read_text() == "# Title"
