import pytest
import torch
from helpers import tiny_zoo

from lightning_gans import zoo
from lightning_gans.errors import InputError
from lightning_gans.zoo import moved
from lightning_gans.zoo.moved import ANY, Divided, Dropped, Renamed, Without

RULES = {
    "GAN": {
        "clip": Dropped((None, 0.0), "use --clip_norm"),
        "unused": Dropped((ANY,)),
        "loss": Without(("hinge",), "use DCGAN"),
        "width": Renamed("hidden"),
        "kind": Divided({"plain": "GAN", "labels": "CGAN"}),
    },
    "CGAN": {"width": Dropped((ANY,))},
}


@pytest.fixture
def rules(monkeypatch):
    monkeypatch.setattr(moved, "MOVED", RULES)
    monkeypatch.setattr(moved, "LOST_TENSORS", {"GAN": ("balance",)})


@pytest.mark.parametrize(
    "given, expected",
    [
        ({"hidden": 8, "loss": "minimax"}, ("GAN", {"hidden": 8, "loss": "minimax"})),
        ({"clip": None, "unused": 3, "lr": 0.1}, ("GAN", {"lr": 0.1})),
        ({"clip": 0.0, "width": 8}, ("GAN", {"hidden": 8})),
        ({"kind": "plain", "width": 8}, ("GAN", {"hidden": 8})),
        ({"kind": "labels", "width": 8, "lr": 0.1}, ("CGAN", {"lr": 0.1})),
    ],
)
def test_what_has_the_same_meaning_is_translated(rules, given, expected):
    before = dict(given)
    assert moved.translate("GAN", given) == expected
    assert given == before
    assert moved.translate(*expected) == expected  # what is of today stays


@pytest.mark.parametrize(
    "given, message",
    [
        ({"clip": 1.0}, r"old\.ckpt: GAN no longer takes clip=1\.0; use --clip_norm"),
        ({"loss": "hinge"}, "loss='hinge'; use DCGAN"),
        ({"kind": "words"}, "kind='words'.*'plain' or 'labels'"),
    ],
)
def test_what_is_gone_says_where_it_went(rules, given, message):
    with pytest.raises(InputError, match=message):
        moved.translate("GAN", given, "old.ckpt")


def test_files_of_older_versions_load(rules, tmp_path):
    module = tiny_zoo.tiny("GAN")
    hparams = dict(module.hparams) | {"unused": 3, "width": 8}
    del hparams["hidden"]
    state = module.state_dict() | {"balance": torch.zeros(())}
    loaded = zoo.load(tiny_zoo.checkpoint(tmp_path / "old.ckpt", hyper_parameters=hparams, state_dict=state))
    assert loaded.hparams.hidden == 8
    assert torch.equal(loaded.sample(2, seed=0), module.sample(2, seed=0))
    with pytest.raises(InputError, match="use --clip_norm"):
        zoo.load(tiny_zoo.checkpoint(tmp_path / "old.ckpt", hyper_parameters=hparams | {"clip": 1.0}))
