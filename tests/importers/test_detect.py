"""Each format is told from all others by what is in its files."""

import re

import numpy as np
import pytest
import torch
from helpers import bigvgan_files, bundle_writer, dcgan_layers, hifigan_files, vocos_files
from helpers import parallel_wavegan_files as parallel_wavegan
from helpers import vocoder_layers as layers
from helpers.authors_wavegan import variables

from lightning_gans import zoo
from lightning_gans.__main__ import main
from lightning_gans.errors import InputError
from lightning_gans.importers import IMPORTERS
from lightning_gans.importers.detect import config_of, opened, recognized, weights_among
from lightning_gans.networks import multi_period_discriminator

SMALL_BIGVGAN = bigvgan_files.CONFIG | bigvgan_files.SMALL
SMALL_HIFIGAN = hifigan_files.CONFIG | hifigan_files.SMALL


def saved(path, content):
    torch.save(content, path)
    return path


WRITERS = {
    "bigvgan": lambda folder: bigvgan_files.written(
        folder, SMALL_BIGVGAN, bigvgan_files.generator_state(SMALL_BIGVGAN)
    ),
    "dcgan": lambda folder: saved(folder / "netG_epoch_24.pth", dcgan_layers.generator_state()),
    "hifigan": lambda folder: hifigan_files.written(
        folder, SMALL_HIFIGAN, hifigan_files.generator_state(SMALL_HIFIGAN), name="generator_v1"
    ),
    "melgan_neurips": lambda folder: saved(folder / "netG.pt", layers.melgan_state("melgan_neurips", width=2)),
    "melgan_seungwonpark": lambda folder: saved(
        folder / "tacotron2_epoch6400.pt", {"model_g": layers.melgan_state("melgan_seungwonpark")}
    ),
    "parallel_wavegan": lambda folder: parallel_wavegan.written(
        folder, parallel_wavegan.small_config(), parallel_wavegan.small_state()
    ),
    "vocos": lambda folder: vocos_files.written(folder, vocos_files.small_config(), vocos_files.small_state()),
    "wavegan": lambda folder: bundle_writer.write_bundle(folder / "model.ckpt-7", variables()),
}
"""Write a small checkpoint of a format into a folder."""


def test_every_format_is_tried_here():
    assert sorted(WRITERS) == sorted(IMPORTERS)


@pytest.mark.parametrize("spelling", [dict, layers.folded, layers.respelled])
@pytest.mark.parametrize("project", ["melgan_neurips", "melgan_seungwonpark"])
def test_every_spelling_of_weight_norm_is_recognized(project, spelling):
    state = spelling(layers.melgan_state(project, width=2))
    content = state if project == "melgan_neurips" else {"model_g": state}
    assert [name for name, importer in IMPORTERS.items() if importer.recognizes(content, {})] == [project]


@pytest.mark.parametrize("name", WRITERS)
def test_a_format_is_recognized_by_its_importer_alone(tmp_path, name, monkeypatch):
    monkeypatch.setattr(multi_period_discriminator, "WIDTHS", (1, 2, 8, 16, 32, 32))  # no file tells how wide they are
    path = WRITERS[name](tmp_path)
    files = opened(path)
    config = config_of(files.path, None)
    taken = [
        other
        for other, importer in IMPORTERS.items()
        if importer.recognizes(files.content, config.values if config else {})
    ]
    assert taken == [name] and recognized(files, config).name == name
    assert opened(tmp_path).path == files.path  # the folder will do
    found, told = zoo.import_checkpoint(path), zoo.import_checkpoint(path, format=name)
    assert dict(found.hparams) == dict(told.hparams)
    assert all(torch.equal(value, told.state_dict()[key]) for key, value in found.state_dict().items())


def test_what_has_no_format_is_described(tmp_path):
    content = {
        "step": 7,
        "net": {"a.weight": torch.ones(2, 3), "b.bias": torch.ones(4)},
        "more": {str(i): 0 for i in range(9)},
    }
    path = saved(tmp_path / "mine.pt", content)
    (tmp_path / "config.json").write_text('{"a": 1}')
    with pytest.raises(InputError) as caught:
        zoo.import_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message
    assert (
        f"{path} has no format that is known here: it holds step int, net.a.weight (2, 3), net.b.bias (4,)," in message
    )
    assert ", 6 more, and beside it is" in message and "config.json" in message
    assert all(f"{importer.name} ({importer.reads})" in message for importer in IMPORTERS.values())


def test_the_file_of_weights_among_others(tmp_path):
    steps = ["config.yml", "checkpoint-400000steps.pkl", "checkpoint-1000000steps.pkl"]
    assert weights_among(steps, "FOLDER") == "checkpoint-1000000steps.pkl"
    with pytest.raises(
        InputError, match=r"FOLDER holds no file netG_epoch.* or netG\.pt or .*; found a, b; name the file of weights"
    ):
        weights_among(["b", "a"], "FOLDER")


def test_safetensors_of_other_projects_are_read(tmp_path):
    import safetensors.torch

    state = layers.melgan_state("melgan_neurips", bands=4, width=2)
    safetensors.torch.save_file(state, tmp_path / "other.safetensors")
    torch.save(state, tmp_path / "other.pt")
    mel = np.float32(np.random.default_rng(0).uniform(-4, 0, (9, 4)))
    sounds = [zoo.import_checkpoint(tmp_path / f"other.{kind}").vocode(mel) for kind in ("safetensors", "pt")]
    assert torch.equal(*sounds)


def cut(path):
    """Leave half of a file, of TensorFlow's of the one with the values."""
    data = path.with_name(f"{path.name}.data-00000-of-00001")
    path = data if data.exists() else path
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def not_finite(path):
    """Make one value of a file of torch not a number."""
    content = torch.load(path)
    next(value for key, value in flat(content) if key.endswith("bias")).view(-1)[0] = torch.nan
    torch.save(content, path)


def of_another_size(path):
    """Cut a tensor of a file of torch."""
    content = torch.load(path)
    inside, key = next((inside, key) for inside, key in places(content) if key.endswith("bias"))
    inside[key] = inside[key][:-1]
    torch.save(content, path)


def places(content):
    """Each tensor's mapping and key."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from places(value)
        elif isinstance(value, torch.Tensor):
            yield content, key


def flat(content):
    return ((key, inside[key]) for inside, key in places(content))


DAMAGES = {
    cut: "cut short|ends before|lies outside|get it again",
    of_another_size: r"does not fit .* is \(\d+,\) where \(\d+,\) is expected",
    not_finite: "is not finite; choose an earlier checkpoint",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", WRITERS)
def test_a_damaged_file_is_told_in_a_line_and_leaves_nothing(tmp_path, capsys, name, damage):
    path = WRITERS[name](tmp_path)
    if not path.exists() and damage is not cut:
        pytest.skip("no file of torch")
    damage(path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SystemExit) as stop:
        main(["zoo", "import", str(path), "--output", str(tmp_path / "new" / "a_model.safetensors")])
    said = capsys.readouterr().err.strip().splitlines()
    assert stop.value.code == 2 and len(said) == 1 and re.search(DAMAGES[damage], said[0]), said
    assert sorted(tmp_path.iterdir()) == before
