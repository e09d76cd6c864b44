import hashlib

import pytest
import torch
from helpers import tiny_zoo

from lightning_gans import models, zoo
from lightning_gans.errors import InputError


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
    assert card.bytes == exported.weights.stat().st_size  # so that a download of it has a limit


@pytest.mark.parametrize("name", models.__all__)
def test_each_paper_says_in_its_first_line_what_the_card_needs(name):
    from lightning_gans.zoo.release import _skeleton

    module = tiny_zoo.tiny(name) if name in tiny_zoo.TINY else getattr(models, name)()
    paper = _skeleton(module, "a_b", "", 0)["paper"]
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


def test_a_card_with_results_is_not_given_other_weights(folder, tmp_path):
    before = tiny_zoo.entry(folder).read_bytes()
    state = {key: value + 1 for key, value in tiny_zoo.tiny("GAN").state_dict().items()}
    with pytest.raises(InputError, match=r"gan_noise\.md exists and its results belong to other weights"):
        zoo.export(tiny_zoo.checkpoint(tmp_path / "last.ckpt", state_dict=state), folder, "gan_noise")
    assert (folder / "gan_noise.safetensors").read_bytes() == before


def test_what_is_read_is_not_replaced(tmp_path):
    path = zoo.export(tiny_zoo.checkpoint(tmp_path / "last.ckpt"), tmp_path / "out", "gan_mine").weights
    before = path.read_bytes()
    path.with_suffix(".md").unlink()
    with pytest.raises(InputError, match=r"gan_mine\.safetensors is the file that is read, and would be replaced"):
        zoo.export(path, tmp_path / "out", "gan_mine")
    assert path.read_bytes() == before


def test_an_entry_is_named_after_paper_and_data(folder, tmp_path):
    with pytest.raises(InputError, match="last cannot name a model of the zoo; give --name <paper>_<dataset>"):
        zoo.export(tiny_zoo.checkpoint(tmp_path / "last.ckpt"), folder)


def test_a_checkpoint_of_the_trainer_is_exported(folder, tmp_path):
    from lightning import Trainer
    from lightning.pytorch.callbacks import ModelCheckpoint
    from torch.utils.data import DataLoader

    from lightning_gans.data.batches import ImageBatch

    module = tiny_zoo.tiny("GAN")
    data = [ImageBatch(torch.rand(1, 4, 4), torch.tensor(0)) for _ in range(8)]
    save = ModelCheckpoint(tmp_path / "run", filename="gan_noise", every_n_train_steps=2)
    trainer = Trainer(
        max_steps=2,
        limit_val_batches=0,
        accelerator="cpu",
        logger=False,
        callbacks=[save],
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(module, DataLoader(data, 2))
    exported = zoo.export(tmp_path / "run" / "gan_noise.ckpt", folder, half=False)
    assert torch.equal(zoo.load(exported.weights).sample(3, seed=1), module.sample(3, seed=1))


def test_verify_finds_pictures_and_configs_that_are_not_there(folder, tmp_path):
    tiny_zoo.entry(folder, picture="gan_noise.png")
    assert zoo.verify() == [f"card gan_noise: there is no picture {folder / 'gan_noise.png'}"]
    (folder / "gan_noise.png").write_bytes(b"")
    assert zoo.verify() == []
    (tmp_path / "configs" / "gan_mnist.yaml").unlink()
    assert "there is no config gan_mnist" in zoo.verify()[0]
