"""Files of BigVGAN's authors: they give what their networks gave, and training goes on with them."""

import contextlib
import io
import warnings

import pytest
import torch
from helpers import bigvgan_files as files
from helpers import vocoder_layers as layers

from lightning_gans import zoo
from lightning_gans.errors import InputError
from lightning_gans.models.bigvgan import PRESETS, BigVGAN

VERSIONS = {"v1": files.SMALL, "v2": files.SMALL_V2}
SPELLINGS = {"weight_norm": dict, "of_today": layers.respelled, "folded": layers.folded}


def small(version="v1", **changes):
    return files.CONFIG | VERSIONS[version] | changes


def spelled(spelling, state):
    """With the tensors that no weight norm concerns."""
    norms = {key: value for key, value in state.items() if key.endswith(("bias", "weight_g", "weight_v"))}
    return {key: value for key, value in state.items() if key not in norms} | SPELLINGS[spelling](norms)


def close(found, expected):
    assert expected.std() > 0.01
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=2e-5 * expected.abs().max().item())


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_generator_gives_what_it_gave(tmp_path, spelling, version):
    torch.manual_seed(0)
    config = small(version)
    state = files.generator_state(config)
    module = zoo.import_checkpoint(files.written(tmp_path, config, spelled(spelling, state)))
    assert not module.training
    assert module.untrained_networks == ("period_discriminator", "spectral_discriminator")
    mel = 6 * torch.rand(2, 6, 5) - 8
    expected = files.generator(state, config, mel)
    assert expected.abs().max() < 1  # nothing is cut off
    close(module.vocode(mel), expected)


@pytest.mark.parametrize(
    "changes, tensors, parameters",
    [
        ({}, 526, 13_953_474),
        ({"num_mels": 100}, 526, 14_025_154),
        (
            files.V2
            | {
                "upsample_rates": [4, 4, 2, 2, 2, 2],
                "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4],
                "upsample_initial_channel": 1536,
            },
            783,
            112_231_249,
        ),
    ],
)
def test_published_sizes(changes, tensors, parameters):
    with torch.device("meta"):
        state = files.generator_state(files.CONFIG | changes)
    assert len(state) == tensors
    assert sum(value.numel() for key, value in state.items() if not key.endswith("filter")) == parameters


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["bigvgan_generator.pt", "bigvgan_generator_3msteps.pt", "g_05000000"])
def test_discriminators_come_along(tmp_path, version, name):
    torch.manual_seed(0)
    config = small(version)
    judges = files.discriminator_states(config)
    assert len(judges["mpd"]) == 90 and len(judges["mrd"]) == (120 if version == "v2" else 54)
    files.written(tmp_path, config, files.generator_state(config), judges, name)
    module = zoo.import_checkpoint(tmp_path)  # the folder
    assert module.untrained_networks == ()
    audio = 0.3 * torch.randn(2, 1, 2048)
    with torch.no_grad():
        outputs = module.period_discriminator(audio) + module.spectral_discriminator(audio)
    for i, (logits, maps) in enumerate(outputs):
        for found, expected in zip([*maps, logits], judged(judges, config, i, audio), strict=True):
            close(found, expected)


def judged(judges, config, i, audio):
    if i < 5:
        return files.hifigan_files.period_outputs(judges["mpd"], i, audio)
    return files.spectral_outputs(judges["mrd"], config, i - 5, audio)


def test_settings_of_the_training(tmp_path):
    config = small("v2", sampling_rate=44100, learning_rate=2e-4, lambda_melloss=20)
    h = zoo.import_checkpoint(files.written(tmp_path, config, files.generator_state(config))).hparams
    assert (h.lr, h.lr_decay, h.mel_weight, h.clip_norm) == (2e-4, 0.9999996, 20.0, 500.0)
    assert (h.spectra, h.spectra_width, h.period_width, h.mel_loss) == ("cqt", 2, 1 / 32, "multi_scale")
    config = small("v1", fmax=7000)
    module = zoo.import_checkpoint(files.written(tmp_path, config, files.generator_state(config)))
    h, mel = module.hparams, module.mel_config
    assert (h.mel_weight, h.clip_norm, h.spectra, h.spectra_width) == (45.0, 1000.0, "magnitude", 1)
    assert (mel.sample_rate, mel.n_fft, mel.hop_length, mel.n_mels) == (22050, 1024, 256, 6)
    assert (mel.f_max, mel.epsilon, mel.log, mel.framing) == (7000, 1e-9, "ln", "hop")


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_told(tmp_path, preset, monkeypatch):
    """From a config of the authors; the state is left out, as most are large."""
    from lightning_gans.importers import bigvgan
    from lightning_gans.importers.imported import Config

    mel, width, rates, version = PRESETS[preset]
    theirs = {"sampling_rate": "sample_rate", "n_fft": "n_fft", "hop_size": "hop_length", "num_mels": "n_mels"}
    config = files.CONFIG | (files.V2 if version["spectra"] == "cqt" else {})
    config |= {name: mel[ours] for name, ours in theirs.items()} | {"win_size": mel["n_fft"], "fmax": mel["f_max"]}
    config |= {
        "upsample_initial_channel": width,
        "upsample_rates": list(rates),
        "upsample_kernel_sizes": [2 * rate for rate in rates],
    }
    hparams = bigvgan.arguments(Config(tmp_path / "config.json", config))
    with torch.device("meta"):
        named, told = BigVGAN(preset), BigVGAN(**hparams)
    assert dict(named.hparams) == dict(told.hparams) | {"mel": dict(named.hparams)["mel"]}
    assert named.mel_config == told.mel_config


def test_another_filter_is_refused(tmp_path):
    config = small()
    state = files.generator_state(config)
    state["resblocks.3.activations.2.upsample.filter"] = torch.ones(1, 1, 12) / 12
    with pytest.raises(InputError, match=r"resblocks\.3\.activations\.2\.upsample\.filter is another filter than"):
        zoo.import_checkpoint(files.written(tmp_path, config, state))


def without(key):
    config = small()
    del config[key]
    return config


@pytest.mark.parametrize(
    "config, message",
    [
        (without("upsample_rates"), "lacks upsample_rates; give the config.json of the training"),
        (without("snake_logscale"), "lacks snake_logscale; give the config.json of the training"),
        (small(upsample_rates=8), "a value is of another kind than in BigVGAN's config.json"),
        (
            small(activation="snake"),
            "has activation=snake; the generator here has activation=snakebeta; choose another",
        ),
        (small(resblock="2"), "has resblock=2; the generator here has resblock=1"),
        (
            small(upsample_kernel_sizes=[16, 15, 4, 4]),
            r"has upsample_kernel_sizes=\[16, 15, 4, 4\]; the .*=\[16, 16, 4, 4\]",
        ),
        (small(hop_size=128), "BigVGAN cannot be built from it: upsample_rates 8,8,2,2 make .* = 256 samples"),
        (small(num_mels=5), r"conv_pre.weight_v is \(16, 6, 7\) where \(16, 5, 7\) is expected"),
        (small(use_bias_at_final=False), "it has unknown conv_post.bias"),
    ],
)
def test_settings_that_do_not_fit(tmp_path, config, message):
    path = files.written(tmp_path, config, files.generator_state(small()))
    with pytest.raises(InputError, match=message) as caught:
        zoo.import_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_discriminators_that_are_others(tmp_path):
    """An error where they are there, as nothing in their shapes tells; a warning where they are not."""
    config = small(mpd_reshapes=[3, 5, 7, 11, 13])
    state, judges = files.generator_state(config), files.discriminator_states(config)
    path = files.written(tmp_path, config, state)
    with pytest.warns(UserWarning, match=r"a training of BigVGAN goes on without mpd_reshapes=\[3, 5, 7, 11, 13\]"):
        zoo.import_checkpoint(path)
    files.written(tmp_path, config, state, judges)
    with pytest.raises(InputError, match=r"mpd_reshapes=\[3, 5, 7, 11, 13\], which the discriminators here do"):
        zoo.import_checkpoint(path)
    files.written(tmp_path, small(), state, judges)
    torch.save({"mpd": {}, "steps": 7}, tmp_path / "bigvgan_discriminator_optimizer.pt")
    with pytest.raises(
        InputError, match=r"optimizer\.pt lacks mrd; get it again, or take it away to read the generator"
    ):
        zoo.import_checkpoint(path)
    del judges["mrd"]["discriminators.0.convs.0.bias"]
    files.written(tmp_path, small(), state, judges)
    with pytest.raises(InputError, match=r"it lacks discriminators\.0\.convs\.0\.bias"):
        zoo.import_checkpoint(path)


# ---- the authors' package


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated")
@pytest.mark.parametrize("version", VERSIONS)
def test_as_the_authors_package(tmp_path, version):
    """A checkpoint that it writes, and what its networks make: generator and discriminators."""
    authors = pytest.importorskip(
        "bigvgan.bigvgan", reason="the authors' package is not installed: pip install bigvgan"
    )
    discriminators = pytest.importorskip("bigvgan.discriminators")
    if version == "v2":
        pytest.importorskip("nnAudio")
    torch.manual_seed(0)
    config = authors.AttrDict(small(version))
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        generator, mpd = authors.BigVGAN(config), discriminators.MultiPeriodDiscriminator(config)
        spectral = discriminators.MultiScaleSubbandCQTDiscriminator if version == "v2" else None
        mrd = (spectral or discriminators.MultiResolutionDiscriminator)(config)
    for name, parameter in generator.named_parameters():
        if name.endswith(("alpha", "beta")):
            torch.nn.init.normal_(parameter, std=0.3)
    states = {"mpd": mpd.state_dict(), "mrd": mrd.state_dict()}
    module = zoo.import_checkpoint(files.written(tmp_path, small(version), generator.state_dict(), states))
    mel, audio = 6 * torch.rand(2, 6, 5) - 8, 0.3 * torch.randn(2, 1, 2048)
    with torch.no_grad():
        assert (module.vocode(mel) - generator(mel)).abs().max() < 1e-5
        for ours, theirs in ((module.period_discriminator, mpd), (module.spectral_discriminator, mrd)):
            for (logits, maps), part in zip(ours(audio), theirs.discriminators, strict=True):
                expected, expected_maps = part(audio)
                assert (logits.flatten(1) - expected.flatten(1)).abs().max() < 1e-5
                for found, h in zip([*maps, logits], expected_maps, strict=False):
                    assert (found - h).abs().max() < 1e-4
