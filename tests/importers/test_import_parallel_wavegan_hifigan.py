"""HiFi-GAN from kan-bayashi's project: other names, normalized features, and two layers that differ."""

import re

import pytest
import torch
from helpers import hifigan_files as files
from helpers import vocoder_layers as layers
from helpers.parallel_wavegan_files import imported, written

from lightning_gans.errors import InputError

LEAKY = {"nonlinear_activation": "LeakyReLU", "nonlinear_activation_params": {"negative_slope": 0.1}}
MONO = {"in_channels": 1, "out_channels": 1, "bias": True}
FEATURES = {"sampling_rate": 22050, "fft_size": 1024, "hop_size": 256, "win_length": None, "window": "hann"}
FEATURES |= {"num_mels": 6, "fmin": 80, "fmax": 7600, "format": "hdf5"}
GENERATOR = {
    "in_channels": 6,
    "out_channels": 1,
    "channels": 16,
    "kernel_size": 7,
    "upsample_scales": [8, 8, 2, 2],
    "upsample_kernel_sizes": [16, 16, 4, 4],
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilations": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "use_additional_convs": True,
    "bias": True,
    "use_weight_norm": True,
    **LEAKY,
}
SCALES = MONO | LEAKY | {"kernel_sizes": [15, 41, 5, 3], "channels": 128, "max_downsample_channels": 1024}
SCALES |= {"max_groups": 16, "downsample_scales": [4, 4, 4, 4, 1]}
PERIODS = MONO | LEAKY | {"kernel_sizes": [5, 3], "channels": 32, "downsample_scales": [3, 3, 3, 3, 1]}
PERIODS |= {"max_downsample_channels": 1024, "use_weight_norm": True, "use_spectral_norm": False}
CONFIG = FEATURES | {
    "generator_type": "HiFiGANGenerator",
    "generator_params": GENERATOR,
    "discriminator_type": "HiFiGANMultiScaleMultiPeriodDiscriminator",
    "discriminator_params": {
        "scales": 3,
        "scale_downsample_pooling": "AvgPool1d",
        "scale_downsample_pooling_params": {"kernel_size": 4, "stride": 2, "padding": 2},
        "scale_discriminator_params": SCALES,
        "follow_official_norm": True,
        "periods": [2, 3, 5, 7, 11],
        "period_discriminator_params": PERIODS,
    },
    "use_stft_loss": False,
    "use_mel_loss": True,
    "use_feat_match_loss": True,
    "feat_match_loss_params": {key: False for key in ("average_by_discriminators", "average_by_layers")}
    | {"include_final_outputs": True},
    "generator_adv_loss_params": {"average_by_discriminators": False},
    "discriminator_adv_loss_params": {"average_by_discriminators": False},
    "lambda_aux": 45.0,
    "lambda_adv": 1.0,
    "lambda_feat_match": 2.0,
    "discriminator_train_start_steps": 0,
    **{
        f"{network}_{key}": value
        for network in ("generator", "discriminator")
        for key, value in {
            "optimizer_type": "Adam",
            "optimizer_params": {"lr": 2e-4, "betas": [0.5, 0.9], "weight_decay": 0.0},
            "scheduler_type": "MultiStepLR",
            "scheduler_params": {"gamma": 0.5, "milestones": [200_000, 400_000, 600_000, 800_000]},
            "grad_norm": -1,
        }.items()
    },
}
"""The parts of ``hifigan.v1.yaml`` for LJ Speech that an import looks at, narrow."""
AUTHORS = files.CONFIG | files.SMALL
V3 = {"resblock_kernel_sizes": [3, 5, 7], "resblock_dilations": [[1, 2], [2, 6], [3, 12]]}
V3 |= {"upsample_scales": [8, 8, 4], "upsample_kernel_sizes": [16, 16, 8], "use_additional_convs": False}


def their_generator(state):
    """From the authors' names to those of this project, as its users convert checkpoints."""
    result = {}
    for key, value in state.items():
        for pattern, name in (
            (r"^conv_pre", "input_conv"),
            (r"^conv_post", "output_conv.1"),
            (r"^ups\.(\d+)", r"upsamples.\1.1"),
            (r"^resblocks\.(\d+)\.convs\.(\d+)", r"blocks.\1.convs1.\2.1"),
            (r"^resblocks\.(\d+)\.(convs[12])\.(\d+)", r"blocks.\1.\2.\3.1"),
        ):
            key = re.sub(pattern, name, key)
        result[key] = value
    return result


def their_discriminator(states):
    mpd = {re.sub(r"\.convs\.(\d)", r".convs.\1.0", key.replace("conv_post", "output_conv")): value
           for key, value in states["mpd"].items()}  # fmt: skip
    msd = {re.sub(r"\.convs\.(\d)", r".layers.\1.0", key.replace("conv_post", "layers.7")): value
           for key, value in states["msd"].items()}  # fmt: skip
    return {f"{name}.{key}": value for name, part in (("mpd", mpd), ("msd", msd)) for key, value in part.items()}


def close(found, expected):
    assert expected.std() > 0.001
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


@pytest.fixture(scope="module")
def judges():
    torch.manual_seed(1)
    return files.discriminator_states(last_kernel=2)


@pytest.mark.filterwarnings("ignore:.*goes on without")
@pytest.mark.parametrize("spelling", [dict, layers.folded, layers.respelled])
@pytest.mark.parametrize("changes", [{}, V3])
def test_a_generator_gives_what_it_gave(tmp_path, spelling, changes):
    authors = AUTHORS | (files.V3 | files.SMALL if changes else {})
    state = files.generator_state(authors)
    config = CONFIG | {"generator_params": GENERATOR | changes}
    module = imported(written(tmp_path, config, their_generator(spelling(state))))
    assert module.untrained_networks == ("discriminator",)
    mel = torch.empty(2, 6, 5).uniform_(-6, 0)
    mean, scale = (torch.linspace(*ends, 6, dtype=torch.float64)[:, None] for ends in ((-4, -2), (0.5, 1)))
    close(module.vocode(mel), files.generator(state, authors, (mel.double() - mean) / scale))


@pytest.mark.filterwarnings("ignore:.*goes on without")
def test_discriminators_come_along(tmp_path, judges):
    """Their last layers along a period have a kernel of 2, and the strides are those of the config."""
    judge = their_discriminator(judges)
    assert len(judge) == 170
    module = imported(written(tmp_path, CONFIG, their_generator(files.generator_state(AUTHORS)), judge))
    assert module.untrained_networks == ()
    assert sum(p.numel() for p in module.discriminator.parameters()) == 70_719_471
    audio = 0.3 * torch.randn(2, 1, 1500)
    with torch.no_grad():
        outputs = module.discriminator(audio)
    for i, (logits, maps) in enumerate(outputs):
        strides = (1, 4, 4, 4, 4, 1, 1)
        judged = (
            files.period_outputs(judges["mpd"], i, audio)
            if i < 5
            else files.scale_outputs(judges["msd"], i - 5, audio, strides)
        )
        for found, expected in zip([*maps, logits], judged, strict=True):
            close(found, expected)


@pytest.mark.filterwarnings("ignore:.*goes on without")
def test_discriminators_without_norms_begin_anew(tmp_path, judges):
    judge = their_discriminator({"mpd": judges["mpd"], "msd": layers.folded(judges["msd"])})
    path = written(tmp_path, CONFIG, their_generator(files.generator_state(AUTHORS)), judge)
    with pytest.warns(UserWarning, match=r"the first scale has no spectral norm, as before version 0\.6; both"):
        assert imported(path).untrained_networks == ("discriminator",)


def test_the_recipe(tmp_path):
    path = written(tmp_path, CONFIG, their_generator(files.generator_state(AUTHORS)))
    missing = r"goes on without generator_optimizer_type='Adam', .*betas=\[0\.5, 0\.9\].*weight_decay=0\.0.*MultiStepLR"
    with pytest.warns(UserWarning, match=missing):
        module = imported(path)
    h, loss = module.hparams, module.loss_mel
    assert (h.feature_weight, h.mel_weight, h.lr, h.period_last_kernel) == (2.0, 45.0, 2e-4, 2)
    assert h.scale_strides == (4, 4, 4, 4, 1) and module.is_measured
    assert (module.mel_config.f_min, loss.f_min, loss.f_max, loss.log, loss.framing) == (
        80,
        80,
        7600,
        "log10",
        "center",
    )
    params = {
        "fs": 22050,
        "fft_size": 1024,
        "hop_size": 256,
        "num_mels": 80,
        "fmin": 0,
        "fmax": 11025,
        "log_base": None,
    }
    with pytest.warns(UserWarning, match="goes on without"):
        loss = imported(
            written(tmp_path, CONFIG | {"mel_loss_params": params}, their_generator(files.generator_state(AUTHORS)))
        ).loss_mel
    assert (loss.f_min, loss.f_max, loss.log, loss.n_mels) == (0, None, "ln", 80)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"generator_params": GENERATOR | {"use_causal_conv": True}}, "generator_params has use_causal_conv=True"),
        ({"generator_params": GENERATOR | {"in_channels": 7}}, "num_mels is 6, and the generator takes 7; correct it"),
        (
            {"generator_params": GENERATOR | {"channels": "wide"}},
            "a value is of another kind than in ParallelWaveGAN's",
        ),
        ({"discriminator_type": "StyleMelGANDiscriminator"}, "which is not read with HiFiGANGenerator"),
        (
            {"discriminator_params": {"scale_discriminator_params": SCALES | {"channels": 64}}},
            "scale_discriminator_params has channels=64, where the networks here have 128 alone",
        ),
    ],
)
def test_other_networks_are_refused(tmp_path, changes, message):
    path = written(tmp_path, CONFIG | changes, their_generator(files.generator_state(AUTHORS)))
    with pytest.raises(InputError, match=message):
        imported(path)
