import pytest
from helpers import vocoder_layers as layers
from helpers.parallel_wavegan_files import (
    MATCHING,
    MULTI_SCALE,
    PWG_D,
    imported,
    melgan_config,
    small_config,
    small_state,
    written,
)

from lightning_gans.__main__ import main
from lightning_gans.errors import InputError


def test_the_recipe_comes_along(tmp_path):
    module = imported(written(tmp_path, small_config(), small_state()))
    h, c = module.hparams, module.mel_config
    assert (h.lr_g, h.lr_d, h.lr_decay_steps, h.clip_norm_g, h.clip_norm_d) == (1e-4, 5e-5, 200_000, 10, 1)
    assert (h.preset, h.adversarial_weight, h.discriminator_start) == ("ljspeech", 4.0, 100_000)
    assert (h.stft_reduction, h.recompute_fake, h.aux_context) == ("batch", True, 2)
    assert (c.log, c.floor, c.framing, c.win_length, c.f_max, c.hop_length) == ("log10", 1e-10, "center", 64, None, 8)
    changes = {
        "generator_grad_norm": -1,
        "discriminator_train_start_steps": 3,
        "lambda_adv": 2.5,
        "update_prediction_after_generator_update": False,
        "win_length": 48,
        "log_base": None,
        "sampling_rate": 16000,
    }
    h = imported(written(tmp_path, small_config(**changes), small_state())).hparams
    assert (h.clip_norm_g, h.discriminator_start, h.adversarial_weight, h.recompute_fake) == (0.0, 3, 2.5, False)
    assert (h.mel["win_length"], h.mel["log"], h.mel["sample_rate"]) == (48, "ln", 16000)


def test_the_recipe_of_melgan_v3(tmp_path):
    """There, 4 x the mean over scales and 4 x 25 x the mean over maps; here, sums of 3 and of 18."""
    state = layers.melgan_state("parallel_wavegan", bands=6, width=3)
    module = imported(written(tmp_path, melgan_config(6, 48, num_mels=6, **MULTI_SCALE, **MATCHING), state))
    h = module.hparams
    assert h.adversarial_weight == pytest.approx(4 / 3) and h.feature_weight == pytest.approx(100 / 18)
    assert (h.loss, h.stft_weight, h.normalize) == ("least_squares", 1.0, True)
    assert (h.multi_scale, h.discriminator_start, h.lr) == (True, 100_000, 1e-4)


def test_what_the_training_step_does_not_have_is_named(tmp_path):
    changes = {"generator_optimizer_type": "Adam", "generator_scheduler_params": {"step_size": 5, "gamma": 0.1}}
    path = written(tmp_path, small_config(**changes, use_mel_loss=True), small_state())
    with pytest.warns(
        UserWarning,
        match=r"without generator_optimizer_type='Adam', .*gamma=0\.1, use_mel_loss=True, .*step_size=200000",
    ):
        module = imported(path)
    assert module.hparams.lr_decay_steps == 5


REFUSED = [
    ({"generator_type": "StyleMelGANGenerator"}, {}, "generator_type is StyleMelGANG.*, which is not read; known: Par"),
    ({"discriminator_type": "StyleMelGANDiscriminator"}, {}, "discriminator_type is StyleMelGAND.* known: .*MelGANMu"),
    ({}, {"use_causal_conv": True}, "generator_params has use_causal_conv=True, where the networks here have False"),
    ({}, {"upsample_net": "UpsampleNetwork"}, "upsample_net='UpsampleNetwork', where .* 'ConvInUpsampleNetwork'"),
    ({}, {"upsample_params": {"upsample_scales": [4, 2], "freq_axis_kernel_size": 3}}, "freq_axis_kernel_size=3"),
    ({}, {"spectral_tricks": 1}, "generator_params has spectral_tricks=1, which is not known"),
    ({}, {"aux_channels": 7}, "num_mels is 6, and the generator takes 7"),
    ({}, {"layers": 5}, "5 layers cannot be cut into 2 stacks"),
    ({}, {"layers": "five"}, "cannot be built from it"),
    ({}, {"residual_channels": [8]}, "cannot be built from it"),
    ({"discriminator_params": PWG_D | {"layers": 8}}, {}, "discriminator_params has layers=8"),
    ({"discriminator_params": PWG_D | {"nonlinear_activation_params": {"negative_slope": 0.1}}}, {}, "0.1}, where"),
    ({"window": "hamming"}, {}, "window='hamming'"),
    ({"log_base": 2.0}, {}, "log_base is 2.0; the mels here have 10, or null"),
    ({"sampling_rate_for_feats": 16000}, {}, "sampling_rate_for_feats=16000"),
    ({"hop_size": 16}, {}, "upsample_scales 4,2 make .* the hop_length of mel parallel_wavegan is 16"),
    (MATCHING, {}, "use_feat_match_loss is set, and ParallelWaveGANDiscriminator has no features"),
    ({"lambda_adv": "much"}, {}, "a value is of another kind .*much"),
    ({"generator_params": "none"}, {}, "a value is of another kind"),
]


@pytest.mark.parametrize(("changes", "params", "message"), REFUSED)
def test_another_architecture_is_refused_by_name(tmp_path, changes, params, message):
    config = small_config()
    config["generator_params"] = config["generator_params"] | params
    path = written(tmp_path, config | changes, small_state())
    with pytest.raises(InputError, match=message) as error:
        imported(path)
    assert "\n" not in str(error.value)


def test_the_misspelt_kernels_of_old_configs(tmp_path):
    state = layers.melgan_state("parallel_wavegan", bands=6, width=3)
    for kernels, fits in (([16, 16, 4, 4], True), ([16, 16, 8, 4], False)):
        config = melgan_config(6, 48, num_mels=6)
        config["generator_params"] = config["generator_params"] | {"upsample_kernal_sizes": kernels}
        path = written(tmp_path, config, state)
        if fits:
            assert imported(path).hparams.ratios == (8, 8, 2, 2)
        else:
            with pytest.raises(InputError, match=r"has upsample_kernal_sizes=\[16, 16, 8, 4\], where the networks"):
                imported(path)


def test_configs_are_plain_values(tmp_path):
    path = written(tmp_path, small_config(), small_state())
    config = tmp_path / "config.yml"
    for text, message in [
        ("a: !!python/object/apply:os.getcwd []", "not YAML of plain values.*python/object"),
        ("a: [1", "not YAML of plain values"),
        ("- 1", "is no mapping"),
    ]:
        config.write_text(text)
        with pytest.raises(InputError, match=rf"config\.yml.*{message}") as error:
            imported(path)
        assert "\n" not in str(error.value)
    config.unlink()
    with pytest.raises(
        InputError, match=r"there is no config\.json, config\.yml, config\.yaml beside .* give --config"
    ):
        imported(path)


@pytest.mark.parametrize("key", ["sampling_rate", "fft_size", "hop_size", "num_mels", "win_length", "fmin", "fmax"])
def test_a_convention_that_is_left_out_is_not_guessed(tmp_path, capsys, key):
    config = small_config()
    del config[key]
    path = written(tmp_path, config, small_state(), bands=6)
    with pytest.raises(SystemExit) as stop:
        main(["zoo", "import", str(path), "--output", str(tmp_path / "new")])
    said = capsys.readouterr().err.strip().splitlines()
    assert stop.value.code == 2 and len(said) == 1 and f"config.yml lacks {key}; give the one" in said[0]
    assert not (tmp_path / "new").exists()
