"""Loading what a user has made: classes of their own, files from inside of wrappers."""

from pathlib import Path

import pytest
import torch
from helpers.tiny_runs import TinyImages
from lightning import Trainer

from lightning_gans import zoo
from lightning_gans.errors import InputError
from lightning_gans.models import DCGAN


class Deeper(DCGAN):
    """A user's own, made of a paper."""


def checkpoint(module: DCGAN, folder: Path) -> Path:
    trainer = Trainer(accelerator="cpu", logger=False, max_steps=0, enable_progress_bar=False)
    trainer.fit(module, TinyImages(size=16))
    trainer.save_checkpoint(folder / f"{type(module).__name__}.ckpt")
    return folder / f"{type(module).__name__}.ckpt"


def test_a_class_made_of_a_paper_is_loaded_once_it_is_imported(tmp_path):
    module = Deeper(image_size=16, channels=1, width=4)
    path = checkpoint(module, tmp_path)
    again = zoo.load(path)
    assert type(again) is Deeper
    assert torch.equal(again.sample(2, seed=0), module.sample(2, seed=0))
    fresh = Deeper(image_size=16, channels=1, width=4)
    zoo.init_from(fresh, path)
    assert torch.equal(fresh.sample(2, seed=0), module.sample(2, seed=0))


def test_a_class_made_of_a_paper_starts_from_the_papers_weights(tmp_path):
    paper, own = DCGAN(image_size=16, channels=1, width=4), Deeper(image_size=16, channels=1, width=4)
    zoo.init_from(own, checkpoint(paper, tmp_path))
    assert torch.equal(own.sample(2, seed=0), paper.sample(2, seed=0))
    with pytest.raises(InputError, match="holds a Deeper, and the run has a DCGAN"):
        zoo.init_from(paper, checkpoint(own, tmp_path))


def test_a_class_that_was_not_imported(tmp_path):
    path = checkpoint(DCGAN(image_size=16, channels=1, width=4), tmp_path)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"model": "os.system"}, path)
    with pytest.raises(InputError, match=r"holds a os\.system; .*imported"):
        zoo.load(path)


def test_tensors_saved_from_inside_of_wrappers(tmp_path):
    module = DCGAN(image_size=16, channels=1, width=4)
    path = checkpoint(module, tmp_path)
    content = torch.load(path, weights_only=True)
    state = {f"module.{key.replace('.', '._orig_mod.', 1)}": value for key, value in content["state_dict"].items()}
    torch.save(content | {"state_dict": state}, path)
    assert torch.equal(zoo.load(path).sample(2, seed=0), module.sample(2, seed=0))
