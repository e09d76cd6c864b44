import hashlib
import json
import os
import struct

import pytest
import torch
from helpers import tiny_zoo

from lightning_gans import models, zoo
from lightning_gans.errors import InputError


def header(data: bytes) -> dict:
    return json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])


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
    with pytest.raises(InputError, match=r"file\.safetensors: not a safetensors file, or cut short"):
        zoo.load(path)


def test_a_file_that_is_cut_short_is_said_to_be(folder, tmp_path):
    path = tiny_zoo.entry(folder)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="SHA-256"):
        zoo.load("gan_noise")
    with pytest.raises(InputError, match="cut short"):
        zoo.load(path)
    source = tiny_zoo.checkpoint(tmp_path / "last.ckpt")
    source.write_bytes(source.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"last\.ckpt: cut short"):
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


def test_other_checkpoints_and_safetensors_files_are_not_ours(folder, tmp_path, monkeypatch):
    import safetensors.torch

    torch.save(torch.zeros(2), tmp_path / "other.ckpt")
    with pytest.raises(InputError, match=r"other\.ckpt holds a Tensor; expected a mapping of names to tensors"):
        zoo.load(tmp_path / "other.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(
        InputError, match=r"other\.ckpt was not written by .*: it lacks model, hyper_parameters; a checkp"
    ):
        zoo.load(tmp_path / "other.ckpt")
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"header lacks model, .* has .format.; .* zoo import \S+other\.safetensors$"):
        zoo.load(tmp_path / "other.safetensors")
    monkeypatch.chdir(tmp_path)
    torch.save({"model.1.weight": torch.zeros(1)}, "netG.pt")
    with pytest.raises(InputError, match=r"netG\.pt was not written by lightning_gans: .* zoo import netG\.pt$"):
        zoo.load("netG.pt")
    with pytest.raises(InputError, match=r"was not written by lightning_gans: it is a folder; .* zoo import "):
        zoo.load(tmp_path)


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


def test_weights_of_nan_are_said_when_they_are_loaded(tmp_path):
    state = tiny_zoo.tiny("GAN").state_dict()
    state["generator.hidden1.weight"][0, 0] = float("nan")
    with pytest.warns(UserWarning, match=r"last\.ckpt: generator\.hidden1\.weight is not finite, of 1 such"):
        zoo.load(tiny_zoo.checkpoint(tmp_path / "last.ckpt", state_dict=state))
