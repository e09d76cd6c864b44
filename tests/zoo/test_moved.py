import inspect

import pytest
import torch
from helpers import tiny_zoo

from lightning_gans import models, zoo
from lightning_gans.errors import InputError
from lightning_gans.zoo import moved
from lightning_gans.zoo.moved import ANY, Dropped, Renamed, Without

RULES = {
    "GAN": {
        "clip": Dropped((None, 0.0), "use --clip_norm"),
        "unused": Dropped((ANY,)),
        "loss": Without(("hinge",), "use DCGAN"),
        "width": Renamed("hidden"),
        "kind": Dropped(("plain",), "use GAN or CGAN"),
    },
    "CGAN": {"width": Dropped((ANY,))},
}


@pytest.fixture
def rules(monkeypatch):
    monkeypatch.setattr(moved, "MOVED", RULES)
    monkeypatch.setattr(moved, "DIVIDED", {"GAN": ("kind", {"labels": "CGAN"})})
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
        ({"kind": "words"}, "kind='words'; use GAN or CGAN"),
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


@pytest.mark.parametrize(
    "model, given, expected",
    [
        ("DCGAN", {"loss": "hinge", "penalty": "none", "penalty_weight": 3.0}, ("DCGAN", {"loss": "hinge"})),
        ("DCGAN", {"penalty": "gradient_penalty"}, "use WGANGP"),
        ("DCGAN", {"loss": "wasserstein"}, "use WGANGP"),
        (
            "ControlGAN",
            {"discriminator": "autoencoder", "loss": "hinge", "patience": 3},
            ("ControlGAN", {"patience": 3}),
        ),
        (
            "ControlGAN",
            {"patience": 3, "discriminator": "logit", "loss": "wasserstein", "penalty_weight": 10.0, "diversity": 0.5},
            ("LogitControlGAN", {"loss": "wasserstein", "penalty_weight": 10.0}),
        ),
        ("ControlGAN", {"discriminator": "logit", "loss": "minimax"}, "LogitControlGAN no longer takes loss='minimax'"),
    ],
)
def test_papers(model, given, expected):
    if isinstance(expected, tuple):
        assert moved.translate(model, given) == expected
    else:
        with pytest.raises(InputError, match=expected):
            moved.translate(model, given)


def test_papers_of_the_table_exist():
    names = {*moved.MOVED, *moved.LOST_TENSORS, *moved.DIVIDED}
    names |= {model for _, values in moved.DIVIDED.values() for model in values.values()}
    assert names <= set(models.__all__)
    for model, rules in moved.MOVED.items():
        arguments = inspect.signature(getattr(models, model)).parameters
        for name, rule in rules.items():
            assert (name in arguments) == isinstance(rule, Without), (model, name)
            assert not isinstance(rule, Renamed) or rule.name in arguments


def test_a_checkpoint_of_the_logit_form_of_controlgan_loads(tmp_path):
    options = dict(image_size=28, channels=1, num_classes=10, labels="class", latent_dim=3, width=2)
    module = models.LogitControlGAN(**options)
    old = {"discriminator": "logit", "loss": "non_saturating", "penalty_weight": 0.0, "patience": 5, "diversity": 0.5}
    state = module.state_dict() | {"balance": torch.zeros(()), "measure": torch.zeros(2)}
    path = tmp_path / "old.ckpt"
    torch.save({"model": "ControlGAN", "hyper_parameters": options | old, "state_dict": state}, path)
    loaded = zoo.load(path)
    assert type(loaded) is models.LogitControlGAN and loaded.untrained_networks == ()
    assert torch.equal(loaded.sample(2, seed=0), module.sample(2, seed=0))
