from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import bundle_writer
from helpers.authors_wavegan import variables

from lightning_gans import models, zoo
from lightning_gans.cli import main as commands
from lightning_gans.errors import InputError
from lightning_gans.zoo import imports


@pytest.fixture
def prefix(tmp_path):
    return bundle_writer.write_bundle(tmp_path / "sc09.ckpt", variables())


def test_an_imported_file_holds_what_was_read(folder, prefix, tmp_path, capsys):
    output = tmp_path / "new" / "wavegan_sc09.safetensors"
    commands.main(f"zoo import {prefix}.index --output {output} --sample_rate 8000".split())
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"{output} (0.") and "wavegan_sc09.md: fill in config, data.name" in printed[1]
    module, original = zoo.load(output), zoo.import_checkpoint(prefix, format="wavegan", sample_rate=8000)
    assert isinstance(module, models.WaveGAN) and module.sample_rate == 8000 and module.untrained_networks == ()
    assert dict(module.hparams) == dict(original.hparams)
    assert all(torch.equal(value, original.state_dict()[key]) for key, value in module.state_dict().items())
    assert torch.equal(module.sample(2, seed=3), original.sample(2, seed=3))


def test_a_run_starts_from_an_imported_file(prefix, tmp_path):
    weights = zoo.import_entry(prefix, output=tmp_path, name="wavegan_sc09").weights
    assert weights == tmp_path / "wavegan_sc09.safetensors"
    fresh = models.WaveGAN(width=1, latent_dim=3)
    assert zoo.init_from(fresh, weights) == []
    expected = variables()["D/downconv_1/conv1d/kernel"]  # (k, in, out)
    assert np.array_equal(fresh.discriminator.down[1].weight.detach().numpy(), expected.transpose(2, 1, 0))


def test_an_import_can_be_exported_for_a_release(folder, prefix, tmp_path):
    weights = zoo.import_entry(prefix, output=tmp_path / "imported", name="wavegan_sc09").weights
    released = zoo.export(weights, folder).weights
    assert zoo.load(released).untrained_networks == ("discriminator",)
    assert released.stat().st_size < weights.stat().st_size / 2


def test_names_that_do_not_do(prefix, tmp_path):
    with pytest.raises(InputError, match=r"sc09 cannot name a model of the zoo; give --name <paper>_<dataset>"):
        zoo.import_entry(prefix, output=tmp_path, name="sc09")
    with pytest.raises(InputError, match=r"names the file .*wavegan_a\.safetensors and --name is wavegan_b; leave one"):
        zoo.import_entry(prefix, output=tmp_path / "wavegan_a.safetensors", name="wavegan_b")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".data-00000-of-00001", ".index"]


def test_without_a_name_one_is_made(folder, prefix, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    commands.main(["zoo", "import", "sc09.ckpt"])
    assert capsys.readouterr().out.startswith("wavegan_sc09.safetensors (0.")
    assert zoo.load("wavegan_sc09.safetensors").untrained_networks == ()
    for name, made in [
        ("WaveGAN-sc09.pt", "wavegan_sc09"),
        ("g_02500000", "wavegan_g_02500000"),
        ("/", "wavegan_imported"),
    ]:
        assert imports.made_name(models.WaveGAN, Path(name)) == made


@pytest.mark.parametrize("old", ["--format wavegan --checkpoint {}", "--checkpoint={} --format=wavegan"])
def test_what_was_typed_before_still_works(folder, prefix, tmp_path, old):
    output = tmp_path / "wavegan_old.safetensors"
    commands.main(f"zoo import {old.format(prefix)} --output {output}".split())
    assert zoo.load(output).untrained_networks == ()


def test_what_was_called_before_says_what_to_call_now(prefix):
    with pytest.raises(
        InputError, match=r"no file wavegan, .*: import_checkpoint\(FILE, format='wavegan'\), or without"
    ):
        zoo.import_checkpoint("wavegan", prefix)
