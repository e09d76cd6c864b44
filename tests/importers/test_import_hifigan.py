"""Files of HiFi-GAN's authors: they give what their networks gave, and training goes on with them."""

import pytest
import torch
from helpers import hifigan_files as files
from helpers import vocoder_layers as layers
from helpers.tiny_runs import parameter_count
from torch.nn.utils import parametrize

from lightning_gans import zoo
from lightning_gans.errors import InputError

SPELLINGS = {"weight_norm": dict, "folded": layers.folded, "of_today": layers.respelled}


def small(**changes):
    return files.CONFIG | files.SMALL | changes


def close(found, expected):
    assert expected.std() > 0.01
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


@pytest.fixture(scope="module")
def judges():
    torch.manual_seed(1)
    return files.discriminator_states()


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("changes", [{}, files.V3 | {"upsample_initial_channel": 16}])
def test_a_generator_gives_what_it_gave(tmp_path, spelling, changes):
    config = small(**changes)
    state = files.generator_state(config)
    module = zoo.import_checkpoint(files.written(tmp_path, config, SPELLINGS[spelling](state), name="generator_v1"))
    assert not module.training and module.untrained_networks == ("discriminator",)
    mel = 6 * torch.rand(2, 6, 5) - 8
    close(module.vocode(mel), files.generator(state, config, mel))


def test_a_bare_state_dict_loads(tmp_path):
    state = files.generator_state(small())
    path = files.written(tmp_path, small(), {}, name="generator.pt")
    torch.save(state, path)
    assert zoo.import_checkpoint(path).untrained_networks == ("discriminator",)


@pytest.mark.parametrize(
    "changes, tensors, parameters",
    [
        ({}, 234, 13_936_130),
        (files.SMALL | {"upsample_initial_channel": 128, "num_mels": 80}, 234, 928_514),
        (files.V3, 69, 1_464_322),
    ],
)
def test_published_sizes(changes, tensors, parameters):
    state = files.generator_state(files.CONFIG | changes)
    assert (len(state), sum(value.numel() for value in state.values())) == (tensors, parameters)


def test_discriminators_come_along(tmp_path, judges):
    """The spectral norm of the first scale too, whose ``weight_v`` is a vector where others' is a direction."""
    mpd, msd = judges["mpd"], judges["msd"]
    assert (len(mpd), len(msd)) == (90, 80)
    assert msd["discriminators.0.convs.1.weight_v"].shape == (32 * 41,)
    assert msd["discriminators.1.convs.1.weight_v"].shape == (128, 32, 41)
    config = small()
    files.written(tmp_path, config, files.generator_state(config), judges)
    module = zoo.import_checkpoint(tmp_path)  # the folder
    assert module.untrained_networks == () and parameter_count(module.discriminator) == 41_105_770 + 29_618_821
    first = module.discriminator.msd.discriminators[0].convs[1]
    assert torch.equal(first.parametrizations.weight.original, msd["discriminators.0.convs.1.weight_orig"])
    assert parametrize.is_parametrized(first)
    audio = 0.3 * torch.randn(2, 1, 1000)
    with torch.no_grad():
        outputs = module.discriminator(audio)
    for i, (logits, maps) in enumerate(outputs):
        judged = files.period_outputs(mpd, i, audio) if i < 5 else files.scale_outputs(msd, i - 5, audio)
        for found, expected in zip([*maps, logits], judged, strict=True):
            close(found, expected)


def test_settings_of_the_training(tmp_path):
    config = small(fmax=7000, fmax_for_loss=10000, sampling_rate=24000, learning_rate=1e-4, lr_decay=0.99)
    module = zoo.import_checkpoint(files.written(tmp_path, config, files.generator_state(config)))
    h = module.hparams
    assert (h.lr, h.lr_decay, h.feature_weight, h.mel_weight) == (1e-4, 0.99, 2.0, 45.0)
    mel, loss = module.mel_config, module.loss_mel
    assert (mel.sample_rate, mel.n_fft, mel.hop_length, mel.n_mels) == (24000, 1024, 256, 6)
    assert (mel.f_max, loss.f_max, mel.epsilon, mel.log, mel.framing) == (7000, 10000, 1e-9, "ln", "hop")


@pytest.mark.parametrize("changes, preset", [({}, "v1"), ({"upsample_initial_channel": 128}, "v2"), (files.V3, "v3")])
def test_presets_are_told(tmp_path, changes, preset):
    config = files.CONFIG | changes
    module = zoo.import_checkpoint(files.written(tmp_path, config, files.generator_state(config)))
    assert module.hparams.preset == preset


def test_other_betas_are_told(tmp_path):
    config = small(adam_b1=0.5)
    path = files.written(tmp_path, config, files.generator_state(config))
    with pytest.warns(UserWarning, match="a training of HiFiGAN goes on without adam_b1=0.5, which it does not have"):
        zoo.import_checkpoint(path)


def without(key):
    config = small()
    del config[key]
    return config


@pytest.mark.parametrize(
    "config, message",
    [
        (without("upsample_rates"), "lacks upsample_rates; give the config.json of the training"),
        (small(upsample_rates=8), "a value is of another kind than in HiFi-GAN's config.json"),
        (small(upsample_kernel_sizes=[16, 15, 4, 4]), "a kernel of 15 at a rate of 8 makes one sample too many there"),
        (small(hop_size=128), "HiFiGAN cannot be built from it: upsample_rates 8,8,2,2 make .* = 256 samples"),
        (small(num_mels=5), r"conv_pre.weight_v is \(16, 6, 7\) where \(16, 5, 7\) is expected"),
        (small(resblock="2"), "it lacks resblocks.0.convs.0"),
    ],
)
def test_settings_that_do_not_fit(tmp_path, config, message):
    path = files.written(tmp_path, config, files.generator_state(small()))
    with pytest.raises(InputError, match=message):
        zoo.import_checkpoint(path)


def test_discriminators_that_are_damaged(tmp_path, judges):
    path = files.written(tmp_path, small(), files.generator_state(small()))
    torch.save({"mpd": {}, "steps": 7}, tmp_path / "do_00000700")
    with pytest.raises(InputError, match="do_00000700 lacks msd; get it again, or take it away to read the generator"):
        zoo.import_checkpoint(path)
    damaged = dict(judges["msd"])
    del damaged["discriminators.0.convs.0.weight_u"]
    torch.save({"mpd": judges["mpd"], "msd": damaged}, tmp_path / "do_00000700")
    with pytest.raises(InputError, match=r"lacks msd.discriminators.0.convs.0.parametrizations.weight.0._u"):
        zoo.import_checkpoint(path)


def test_without_a_config(tmp_path):
    path = files.written(tmp_path, small(), files.generator_state(small()))
    (tmp_path / "config.json").unlink()
    with pytest.raises(InputError, match="is of no use without it; give --config the one of its training"):
        zoo.import_checkpoint(path)
