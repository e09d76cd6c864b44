import re
import sys
import types

import numpy as np
import pytest
import torch
import vocoder_layers as layers
import yaml

from lightning_gans import commands, models, zoo
from lightning_gans.errors import InputError

SCHEDULE = {"step_size": 200_000, "gamma": 0.5}
RECIPE = {
    "sampling_rate": 22050,
    "fft_size": 1024,
    "hop_size": 256,
    "win_length": None,
    "window": "hann",
    "num_mels": 80,
    "fmin": 80,
    "fmax": 7600,
    "global_gain_scale": 1.0,
    "trim_silence": True,
    "format": "hdf5",
    "stft_loss_params": {
        "fft_sizes": [1024, 2048, 512],
        "hop_sizes": [120, 240, 50],
        "win_lengths": [600, 1200, 240],
        "window": "hann_window",
    },
    "lambda_adv": 4.0,
    "batch_size": 6,
    "batch_max_steps": 25600,
    "generator_optimizer_params": {"lr": 0.0001, "eps": 1.0e-6, "weight_decay": 0.0},
    "generator_scheduler_params": SCHEDULE,
    "generator_grad_norm": 10,
    "discriminator_optimizer_params": {"lr": 0.00005, "eps": 1.0e-6, "weight_decay": 0.0},
    "discriminator_scheduler_params": SCHEDULE,
    "discriminator_grad_norm": 1,
    "discriminator_train_start_steps": 100_000,
    "train_max_steps": 400_000,
    "outdir": "exp/train_nodev_ljspeech_parallel_wavegan.v1",
    "version": "0.4.1",
}
LEAKY = {"nonlinear_activation": "LeakyReLU", "nonlinear_activation_params": {"negative_slope": 0.2}}
PWG_D = {
    "in_channels": 1,
    "out_channels": 1,
    "kernel_size": 3,
    "layers": 10,
    "conv_channels": 64,
    "bias": True,
    "use_weight_norm": True,
    **LEAKY,
}
SCALES_D = {
    "in_channels": 1,
    "out_channels": 1,
    "scales": 3,
    "downsample_pooling": "AvgPool1d",
    "downsample_pooling_params": {"kernel_size": 4, "stride": 2, "padding": 1, "count_include_pad": False},
    "kernel_sizes": [5, 3],
    "channels": 16,
    "max_downsample_channels": 1024,
    "downsample_scales": [4, 4, 4, 4],
    "use_weight_norm": True,
    **LEAKY,
}
MULTI_SCALE = {"discriminator_type": "MelGANMultiScaleDiscriminator", "discriminator_params": SCALES_D}
MATCHING = {"use_feat_match_loss": True, "lambda_feat_match": 25.0}
SMALL = {"hop_size": 8, "fft_size": 64, "num_mels": 6, "fmin": 0, "fmax": None}


def pwg_config(bands=80, scales=(4, 4, 4, 4), layers=30, stacks=3, kernel=3, width=64, **changes):
    params = {
        "in_channels": 1,
        "out_channels": 1,
        "kernel_size": kernel,
        "layers": layers,
        "stacks": stacks,
        "residual_channels": width,
        "gate_channels": 2 * width,
        "skip_channels": width,
        "aux_channels": bands,
        "aux_context_window": 2,
        "dropout": 0.0,
        "use_weight_norm": True,
        "upsample_net": "ConvInUpsampleNetwork",
        "upsample_params": {"upsample_scales": list(scales)},
    }
    return RECIPE | {"generator_params": params, "discriminator_params": PWG_D} | changes


def small_config(**changes):
    return pwg_config(6, (4, 2), 4, 2, 3, 8, **SMALL, **changes)


def small_state():
    return layers.pwg_state(6, (4, 2), 4, 3, 8, 16, 8)


def melgan_config(bands=80, channels=512, **changes):
    params = {
        "in_channels": bands,
        "out_channels": 1,
        "kernel_size": 7,
        "channels": channels,
        "upsample_scales": [8, 8, 2, 2],
        "stack_kernel_size": 3,
        "stacks": 3,
        "use_weight_norm": True,
        "use_causal_conv": False,
    }
    return RECIPE | {"generator_type": "MelGANGenerator", "generator_params": params} | changes


def written(tmp_path, config, generator, discriminator=None, stats=True, bands=None):
    """The three files of a training; those of the config and the statistics have the names that are looked for."""
    networks = {"generator": generator} | ({"discriminator": discriminator} if discriminator else {})
    optimizer = {"state": {0: {"step": 7, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    path = tmp_path / "checkpoint-400000steps.pkl"
    torch.save({"model": networks, "optimizer": {"generator": optimizer}, "steps": 400_000, "epochs": 9}, path)
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    if stats:
        bands = bands or config["num_mels"]
        np.save(tmp_path / "stats.npy", np.stack([np.linspace(-4, -2, bands), np.linspace(0.5, 1, bands)]))
    return path


def imported(path, **options):
    return zoo.import_checkpoint("parallel_wavegan", path, **options)


def mel_of(module, frames, batch=1):
    """Within the convention, and before the mean and the deviation of each band are taken out."""
    return torch.empty(batch, module.mel_config.n_mels, frames).uniform_(-6, 0)


def close(found, expected):
    assert expected.std() > 0.01
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def normalized(mel):
    mean, scale = (torch.linspace(*ends, mel.shape[1], dtype=torch.float64)[:, None] for ends in ((-4, -2), (0.5, 1)))
    return (mel.double() - mean) / scale


SPELLINGS = {"weight_norm": dict, "folded": layers.folded, "of_today": layers.respelled}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_parallel_wavegan_v1_gives_what_it_gave(tmp_path, spelling):
    state, judge = layers.pwg_state(), layers.pwg_judge_state()
    assert (len(state), len(judge), len(layers.folded(state))) == (349, 30, 221)
    assert sum(value.numel() for value in state.values()) == 1_346_042
    assert sum(value.numel() for value in judge.values()) == 99_842
    assert state["upsample_net.upsample.up_layers.7.weight_v"].shape == (1, 1, 1, 9)
    assert state["conv_layers.29.conv.weight_g"].shape == (128, 1, 1)
    spelled = SPELLINGS[spelling]
    module = imported(written(tmp_path, pwg_config(), spelled(state), spelled(judge)))
    assert isinstance(module, models.ParallelWaveGAN)
    assert not module.training and module.untrained_networks == () and module.is_measured
    mel, noise = mel_of(module, 11), torch.randn(1, 1, 7 * 256)  # four frames of context
    with torch.no_grad():
        audio, logits = module(mel, noise), module.discriminator(noise)[0][0]
    close(audio, layers.pwg(state, noise, normalized(mel)))
    close(logits, layers.pwg_judge(judge, noise))


def test_the_kernel_and_the_discriminator_of_v3(tmp_path):
    state = layers.pwg_state(6, (4, 2), 6, 5, 8, 16, 12)
    judge = layers.scales_state("parallel_wavegan")
    assert len(judge) == 63 and "discriminators.2.layers.0.1.weight_g" in judge
    config = pwg_config(6, (4, 2), 6, 2, 5, 8, **SMALL, **MULTI_SCALE, **MATCHING)
    config["generator_params"]["skip_channels"] = 12
    module = imported(written(tmp_path, config, state, judge))
    h = module.hparams
    assert (h.kernel, h.layers, h.stacks, h.skip_channels, h.gate_channels) == (5, 6, 2, 12, 16)
    assert (h.discriminator, h.feature_weight, h.adversarial_weight) == ("multi_scale", 25.0, 4.0)
    mel, noise = mel_of(module, 20, batch=2), torch.randn(2, 1, 128)
    with torch.no_grad():
        close(module(mel, noise), layers.pwg(state, noise, normalized(mel), (4, 2), 6, 2, 5))
        audio = 0.3 * torch.randn(1, 1, 1024)
        found = module.discriminator(audio)
    for ours, theirs in zip(found, layers.scale_outputs(judge, "parallel_wavegan", audio), strict=True):
        torch.testing.assert_close(ours[-1].double(), theirs[-1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fold", [False, True])
def test_its_melgan_gives_what_it_gave(tmp_path, fold):
    state, judge = layers.melgan_state("parallel_wavegan", bands=6, width=3), layers.pwg_judge_state()
    assert len(state) == 126 and "melgan.21.skip_layer.weight_v" in state
    config = melgan_config(6, 48, num_mels=6, discriminator_params=PWG_D)
    path = written(tmp_path, config, layers.folded(state) if fold else state, judge)
    module = imported(path)
    h = module.hparams
    assert isinstance(module, models.MelGAN) and (h.width, h.blocks, h.ratios) == (3, 3, (8, 8, 2, 2))
    mel = mel_of(module, 8, batch=2)
    close(module.vocode(mel), layers.melgan(state, "parallel_wavegan", normalized(mel)))


def test_the_recipe_comes_along(tmp_path):
    module = imported(written(tmp_path, small_config(), small_state()))
    h, c = module.hparams, module.mel_config
    assert (h.lr_g, h.lr_d, h.lr_decay_steps, h.clip_norm_g, h.clip_norm_d) == (1e-4, 5e-5, 200_000, 10, 1)
    assert (h.adversarial_weight, h.feature_weight, h.discriminator_start) == (4.0, 0.0, 100_000)
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
    assert (h.fm_scale, h.loss, h.aux_loss, h.normalize) == ("paper", "least_squares", "stft", True)
    assert (h.discriminator, h.discriminator_start, h.lr) == ("multi_scale", 100_000, 1e-4)


def test_what_the_training_step_does_not_have_is_named(tmp_path):
    changes = {"generator_optimizer_type": "Adam", "generator_scheduler_params": {"step_size": 5, "gamma": 0.1}}
    path = written(tmp_path, small_config(**changes, use_mel_loss=True), small_state())
    with pytest.warns(
        UserWarning,
        match=r"without generator_optimizer_type='Adam', .*gamma=0\.1, use_mel_loss=True, .*step_size=200000",
    ):
        module = imported(path)
    assert module.hparams.lr_decay_steps == 5


def test_a_run_starts_from_an_imported_file(tmp_path, capsys):
    state, judge = small_state(), layers.pwg_judge_state()
    path = written(tmp_path / ".", small_config(), state, judge)
    config, stats = (tmp_path / name for name in ("config.yml", "stats.npy"))
    options = f"--format parallel_wavegan --checkpoint {path} --config {config} --stats {stats}"
    output = tmp_path / "out" / "pwg_mine.safetensors"
    commands.main(f"zoo import {options} --output {output}".split())
    assert capsys.readouterr().out.startswith(f"{output} (")
    module, original = zoo.load(output), imported(path, config=config, stats=stats)
    assert dict(module.hparams) == dict(original.hparams)
    mel = mel_of(module, 9)
    assert torch.equal(module.vocode(mel, seed=3), original.vocode(mel, seed=3))
    assert not torch.equal(module.vocode(mel, seed=3), module.vocode(mel, seed=4))
    fresh = models.ParallelWaveGAN(**original.hparams)
    assert not fresh.is_measured
    assert zoo.init_from(fresh, output) == [] and fresh.is_measured
    torch.testing.assert_close(fresh.mel_scale, torch.linspace(0.5, 1, 6))
    assert torch.equal(fresh.discriminator.conv_layers[18].bias, judge["conv_layers.18.bias"])


def test_a_folded_row_of_zeros_stays_zero(tmp_path):
    state = layers.folded(small_state())
    state["conv_layers.1.conv.weight"][3] = 0
    module = imported(written(tmp_path, small_config(), state))
    weight = module.generator.conv_layers[1].conv.weight
    assert (weight[3] == 0).all() and torch.allclose(weight, state["conv_layers.1.conv.weight"], atol=1e-6)


def fake_h5py(**content):
    """What this package uses of h5py, which need not be installed: the sets of a file, as arrays."""

    class File(dict):
        def __init__(self, path, mode="r"):
            super().__init__({name: np.asarray(values, np.float32) for name, values in content.items()})

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    return types.SimpleNamespace(File=File)


def test_statistics_in_hdf5(tmp_path, monkeypatch):
    path = written(tmp_path, small_config(), small_state(), stats=False)
    with pytest.raises(
        InputError, match=r"there is no stats\.h5 or stats\.npy beside .*\.pkl, .* give --stats the one"
    ):
        imported(path)
    (tmp_path / "stats.h5").write_bytes(b"\x89HDF")
    monkeypatch.setitem(sys.modules, "h5py", None)  # as if it were not installed
    with pytest.raises(InputError, match=r"stats\.h5 is HDF5, which h5py reads: pip install h5py, or ") as error:
        imported(path)
    monkeypatch.setitem(sys.modules, "h5py", fake_h5py(mean=np.arange(6) - 9, scale=[np.full(6, 2)]))
    module = imported(path)
    assert module.mel_mean.tolist() == [-9, -8, -7, -6, -5, -4] and module.mel_scale.tolist() == [2] * 6
    (code,) = re.findall(r'python -c "([^"]*)"', str(error.value))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", fake_h5py(mean=np.arange(6) - 9, scale=np.full(6, 3)))
    exec(code, {})
    assert imported(path, stats="stats.npy").mel_scale.tolist() == [3] * 6
    monkeypatch.setitem(sys.modules, "h5py", fake_h5py(mean=np.arange(6)))
    with pytest.raises(InputError, match=r"stats\.h5 cannot be read as a mean and a deviation \('scale'\)"):
        imported(path)


def test_statistics_that_cannot_be_used(tmp_path):
    path = written(tmp_path, small_config(), small_state())
    good = np.ones((2, 6))
    for stats, message in [
        (np.ones((3, 6)), r"cannot be read as a mean and a deviation"),
        (np.ones((2, 5)), r"the mean, of shape \(5,\), is not 6 finite values; give"),
        (good * [[1], [0]], r"the deviation, of shape \(6,\), is not 6 finite values above 0; give"),
        (good * np.nan, r"the mean, .* finite"),
        (np.array([None] * 12).reshape(2, 6), r"cannot be read .*allow_pickle"),
    ]:
        np.save(tmp_path / "mine.npy", stats)
        with pytest.raises(InputError, match=rf"--stats .*mine\.npy.*{message}"):
            imported(path, stats=tmp_path / "mine.npy")
    with pytest.raises(InputError, match=r"there is no file .*none\.npy; give --stats an existing one"):
        imported(path, stats=tmp_path / "none.npy")
    with pytest.raises(InputError, match=r"--stats is .*config\.yml; expected the stats\.h5 or stats\.npy"):
        imported(path, stats=tmp_path / "config.yml")


REFUSED = [
    ({"generator_type": "HiFiGANGenerator"}, {}, "generator_type is HiFiGANGenerator, which is not read; known: Par"),
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
        ("a: !!python/object/apply:os.getcwd []", "is not YAML of plain values .*python/object"),
        ("a: [1", "is not YAML of plain values"),
        ("- 1", "is no mapping"),
    ]:
        config.write_text(text)
        with pytest.raises(InputError, match=rf"--config .*config\.yml {message}") as error:
            imported(path)
        assert "\n" not in str(error.value)
    config.unlink()
    with pytest.raises(InputError, match=r"there is no config\.yml or config\.yaml beside .* give --config"):
        imported(path)


def test_checkpoints_that_do_not_fit(tmp_path):
    state, judge = small_state(), layers.pwg_judge_state()
    del judge["conv_layers.4.bias"], state["first_conv.weight_g"]
    state["conv_layers.4.conv.bias"] = torch.zeros(16)
    path = written(tmp_path, small_config(), state, judge)
    with pytest.raises(InputError) as error:
        imported(path)
    assert (
        "it lacks first_conv.weight_g, conv_layers.4.bias; it has unknown conv_layers.4.conv.bias; choose another"
        in str(error.value)
    )
    path = written(tmp_path, pwg_config(6, (4, 2), 30, 3, 3, 8, **SMALL), small_state())
    with pytest.raises(InputError, match=r"it lacks conv_layers\.4\.conv\.bias, .*, and 274 more; choose"):
        imported(path)  # 26 blocks with 11 tensors each, of which 12 are named
    with pytest.raises(InputError, match="--length is 9, and parallel_wavegan has no use for it"):
        imported(path, length=9)
    torch.save({"model": small_state()}, path)
    with pytest.raises(
        InputError, match=r"expected model\.generator, found model; choose another checkpoint or --form"
    ):
        imported(path)
    archive = tmp_path / "ljspeech_parallel_wavegan.v1.tar.gz"
    archive.write_bytes(b"")
    with pytest.raises(InputError, match=r"is an archive; unpack it"):
        imported(archive)


def test_an_import_draws_no_random_number(tmp_path):
    path = written(tmp_path, small_config(), small_state())
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    imported(path)
    assert torch.equal(torch.rand(3), expected)
