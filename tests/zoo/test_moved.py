import inspect

import pytest
import torch
from helpers import tiny_mels, tiny_sounds, tiny_zoo
from helpers.tiny_runs import SaveAfter, build, fit, state

from lightning_gans import models, zoo
from lightning_gans.errors import InputError
from lightning_gans.training.checkpoints import CheckpointFiles
from lightning_gans.zoo import moved
from lightning_gans.zoo.moved import ANY, Dropped, Without

RULES = {
    "GAN": {
        "clip": Dropped((None, 0.0), "use --clip_norm"),
        "unused": Dropped((ANY,)),
        "loss": Without(("hinge",), "use DCGAN"),
        "kind": Dropped(("plain",), "use GAN or CGAN"),
    },
    "CGAN": {"kind": Dropped((ANY,)), "hidden": Dropped((ANY,))},
}


@pytest.fixture
def rules(monkeypatch):
    monkeypatch.setattr(moved, "MOVED", RULES)
    monkeypatch.setattr(
        moved, "RECAST", {"GAN": lambda given: ("CGAN" if given.get("kind") == "labels" else "GAN", given)}
    )
    monkeypatch.setattr(moved, "LOST_TENSORS", {"GAN": ("balance",)})


@pytest.mark.parametrize(
    "given, expected",
    [
        ({"hidden": 8, "loss": "minimax"}, ("GAN", {"hidden": 8, "loss": "minimax"})),
        ({"clip": None, "unused": 3, "lr": 0.1}, ("GAN", {"lr": 0.1})),
        ({"kind": "plain", "clip": 0.0, "hidden": 8}, ("GAN", {"hidden": 8})),
        ({"kind": "labels", "hidden": 8, "lr": 0.1}, ("CGAN", {"lr": 0.1})),
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
    hparams = dict(module.hparams) | {"unused": 3}
    state = module.state_dict() | {"balance": torch.zeros(())}
    loaded = zoo.load(tiny_zoo.checkpoint(tmp_path / "old.ckpt", hyper_parameters=hparams, state_dict=state))
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
    assert {*moved.MOVED, *moved.LOST_TENSORS, *moved.RECAST} <= set(models.__all__)
    for model, rules in moved.MOVED.items():
        arguments = inspect.signature(getattr(models, model)).parameters
        for name, rule in rules.items():
            assert (name in arguments) == isinstance(rule, Without), (model, name)


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


@pytest.mark.parametrize("conditioning", ["concat", "projection"])
def test_wavegan_with_labels(conditioning, tmp_path):
    assert moved.translate("WaveGAN", {"num_classes": None, "conditioning": conditioning, "width": 8}) == (
        "WaveGAN",
        {"width": 8},
    )
    module = tiny_sounds.wavegan(num_classes=3, projection=conditioning == "projection")
    hparams = {key: value for key, value in module.hparams.items() if key != "projection"}
    content = {"model": "WaveGAN", "hyper_parameters": hparams | {"conditioning": conditioning}}
    torch.save(content | {"state_dict": module.state_dict()}, tmp_path / "old.ckpt")
    loaded = zoo.load(tmp_path / "old.ckpt")
    assert type(loaded).__name__ == "ConditionalWaveGAN"
    assert torch.equal(loaded.sample(2, seed=0), module.sample(2, seed=0))
    _, today = moved.translate("WaveGAN", {"num_classes": 3})
    assert today == {"num_classes": 3, "projection": False, "length": 16384, "latent_dim": 100}


# ---- vocoders: the weights of losses are compared by what they multiply


@pytest.mark.parametrize(
    "given, expected",
    [
        ({"width": 8, "lr": 1e-3}, ("MelGAN", {"width": 8, "lr": 1e-3})),
        (
            {
                "discriminator": "multi_scale",
                "loss": "hinge",
                "aux_loss": "none",
                "aux_weight": 2.0,
                "normalize": False,
            },
            ("MelGAN", {}),
        ),
        (
            {"aux_loss": "stft", "aux_weight": 2.0, "discriminator_start": 9, "lr": 1e-3},
            (
                "STFTMelGAN",
                {
                    "mel": "melgan",
                    "lr": 1e-3,
                    "normalize": False,
                    "multi_scale": True,
                    "loss": "hinge",
                    "adversarial_weight": 1.0,
                    "feature_weight": pytest.approx(10 * 0.8 / 3),
                    "stft_weight": 2.0,
                    "discriminator_start": 9,
                },
            ),
        ),
    ],
)
def test_other_trainings_of_melgan_are_a_class_of_their_own(given, expected):
    assert moved.translate("MelGAN", given) == expected
    assert moved.translate(*expected) == expected


def test_melgan_of_seungwonpark():
    given = {"loss": "least_squares", "fm_scale": "paper", "feature_weight": 5.0, "normalize": True, "mel": "tacotron2"}
    model, today = moved.translate("MelGAN", given)
    assert (model, today["mel"], today["feature_weight"], today["stft_weight"]) == ("STFTMelGAN", "tacotron2", 5.0, 0.0)
    assert today["loss"] == "least_squares" and "fm_scale" not in today


def test_older_words_for_stft_melgan():
    """Which melgan_callie names today."""
    given = {"aux_loss": "none", "discriminator": "parallel_wavegan", "fm_scale": "paper"}
    assert moved.translate("STFTMelGAN", given) == ("STFTMelGAN", {"stft_weight": 0.0, "multi_scale": False})
    with pytest.raises(InputError, match=r"fm_scale='official'; give feature_weight times 0\.2667"):
        moved.translate("STFTMelGAN", {"fm_scale": "official"})


def test_the_discriminator_of_parallel_wavegan():
    given = {"preset": "ljspeech", "discriminator": "parallel_wavegan", "feature_weight": 0.0, "layers": 9}
    assert moved.translate("ParallelWaveGAN", given) == ("ParallelWaveGAN", {"preset": "ljspeech", "layers": 9})
    given |= {"discriminator": "multi_scale", "mel": None}
    expected = {"kernel": 3, "feature_weight": 0.0, "lr_decay_steps": 200_000, "layers": 9}
    assert moved.translate("ParallelWaveGAN", given) == ("MultiScaleParallelWaveGAN", expected)
    given = {"preset": "paper", "discriminator": "multi_scale", "clip_norm_g": None, "upsample_scales": (4, 5, 3, 5)}
    _, today = moved.translate("ParallelWaveGAN", given | {"mel": "vocos"})
    assert (today["clip_norm_g"], today["stft_reduction"], today["mel"]) == (0.0, "example", "vocos")
    with pytest.raises(InputError, match="use MultiScaleParallelWaveGAN, with the mel"):
        moved.translate("ParallelWaveGAN", given)
    with pytest.raises(InputError, match=r"feature_weight=2\.0; use MultiScaleParallelWaveGAN"):
        moved.translate("ParallelWaveGAN", {"feature_weight": 2.0})


@pytest.mark.parametrize(
    "name, options, today",
    [
        ("melgan", dict(normalize=False, discriminator="multi_scale", loss="hinge", aux_loss="none"), "MelGAN"),
        ("stft_melgan", dict(discriminator="parallel_wavegan", aux_loss="stft", feature_weight=0.0), "STFTMelGAN"),
        ("parallel_wavegan", dict(discriminator="parallel_wavegan", feature_weight=0.0), "ParallelWaveGAN"),
        ("multi_scale", dict(discriminator="multi_scale", preset="ljspeech"), "MultiScaleParallelWaveGAN"),
    ],
)
def test_vocoders_of_older_versions_load(name, options, today, tmp_path):
    module = getattr(tiny_mels, f"tiny_{name}")()
    older = "MelGAN" if "melgan" in name else "ParallelWaveGAN"
    shared = {key: value for key, value in module.hparams.items() if key not in ("multi_scale", "stft_weight")}
    content = {"model": older, "hyper_parameters": shared | options, "state_dict": module.state_dict()}
    torch.save(content, tmp_path / "old.ckpt")
    with tiny_mels.small_discriminators():
        loaded, mel = zoo.load(tmp_path / "old.ckpt"), torch.rand(1, 8, 9) - 3
    assert type(loaded).__name__ == today
    torch.testing.assert_close(loaded.vocode(mel, seed=0), module.vocode(mel, seed=0), rtol=0, atol=1e-5)


def test_a_checkpoint_of_the_logit_form_of_controlgan_resumes(tmp_path):
    module = build("controlgan_logit")
    fit(module, callbacks=[saver := SaveAfter(tmp_path / "today.ckpt", batches=2)], max_steps=4)
    content = torch.load(saver.path, weights_only=True)
    content["model"], content["hyper_parameters"]["discriminator"] = "ControlGAN", "logit"
    content["state_dict"] |= {"balance": torch.zeros(()), "measure": torch.zeros(2)}
    torch.save(content, tmp_path / "old.ckpt")
    resumed = build("controlgan_logit", seed=1)
    fit(resumed, resume=tmp_path / "old.ckpt", max_steps=4, plugins=[CheckpointFiles(moved.checkpoint)])
    torch.testing.assert_close(state(resumed), state(module), rtol=0, atol=0)
