import re
import sys
import types

import numpy as np
import pytest
import torch
from helpers import vocoder_layers as layers
from helpers.parallel_wavegan_files import (
    MATCHING,
    MULTI_SCALE,
    PWG_D,
    SMALL,
    imported,
    melgan_config,
    pwg_config,
    small_config,
    small_state,
    written,
)

from lightning_gans import models, zoo
from lightning_gans.cli import main as commands
from lightning_gans.errors import InputError


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
    assert isinstance(module, models.MultiScaleParallelWaveGAN)
    assert (h.feature_weight, h.adversarial_weight) == (25.0, 4.0)
    mel, noise = mel_of(module, 20, batch=2), torch.randn(2, 1, 128)
    with torch.no_grad():
        close(module(mel, noise), layers.pwg(state, noise, normalized(mel), (4, 2), 6, 2, 5))
        audio = 0.3 * torch.randn(1, 1, 1024)
        found = module.discriminator(audio)
    for ours, theirs in zip(found, layers.scale_outputs(judge, "parallel_wavegan", audio), strict=True):
        torch.testing.assert_close(ours[0].double(), theirs[-1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fold", [False, True])
def test_its_melgan_gives_what_it_gave(tmp_path, fold):
    state, judge = layers.melgan_state("parallel_wavegan", bands=6, width=3), layers.pwg_judge_state()
    assert len(state) == 126 and "melgan.21.skip_layer.weight_v" in state
    config = melgan_config(6, 48, num_mels=6, discriminator_params=PWG_D)
    path = written(tmp_path, config, layers.folded(state) if fold else state, judge)
    module = imported(path)
    h = module.hparams
    assert isinstance(module, models.STFTMelGAN) and (h.width, h.blocks, h.ratios) == (3, 3, (8, 8, 2, 2))
    mel = mel_of(module, 8, batch=2)
    close(module.vocode(mel), layers.melgan(state, "parallel_wavegan", normalized(mel)))


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
    with pytest.raises(InputError, match=r"stats\.h5: not a mean and a deviation, or cut short \('scale'\)"):
        imported(path)


def test_statistics_that_cannot_be_used(tmp_path):
    path = written(tmp_path, small_config(), small_state())
    good = np.ones((2, 6))
    for stats, message in [
        (np.ones((3, 6)), r"not a mean and a deviation"),
        (np.ones((2, 5)), r"the mean, of shape \(5,\), is not 6 finite values; give"),
        (good * [[1], [0]], r"the deviation, of shape \(6,\), is not 6 finite values above 0; give"),
        (good * np.nan, r"the mean, .* finite"),
        (np.array([None] * 12).reshape(2, 6), "not a .npy array of plain values"),
    ]:
        np.save(tmp_path / "mine.npy", stats)
        with pytest.raises(InputError, match=rf"mine\.npy.*{message}"):
            imported(path, stats=tmp_path / "mine.npy")
    with pytest.raises(InputError, match=r"there is no file .*none\.npy; give --stats an existing one"):
        imported(path, stats=tmp_path / "none.npy")
    with pytest.raises(InputError, match=r"--stats is .*config\.yml; expected the stats\.h5 or stats\.npy"):
        imported(path, stats=tmp_path / "config.yml")


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
