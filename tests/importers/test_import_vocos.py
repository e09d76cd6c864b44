import pytest
import torch
from helpers.vocos_files import BLOCKS, small_config, small_state, written, written_out
from torchaudio.functional import melscale_fbanks

from lightning_gans import zoo
from lightning_gans.audio import MelConfig
from lightning_gans.errors import InputError
from lightning_gans.models.vocos import Vocos
from lightning_gans.networks import multi_period_discriminator
from lightning_gans.networks.inverse_stft import InverseSTFT


@pytest.fixture(autouse=True)
def small_discriminators(monkeypatch):
    """Those of periods have 0.03 million weights here in place of 41: nothing in the files says how wide they are."""
    monkeypatch.setattr(multi_period_discriminator, "WIDTHS", (1, 2, 8, 16, 32, 32))


@pytest.mark.parametrize("padding, framing", [("center", "center"), ("same", "hop")])
def test_the_generator_gives_what_it_gave(tmp_path, padding, framing):
    state = small_state()
    module = zoo.import_checkpoint(written(tmp_path, small_config(padding), state))
    assert module.untrained_networks == ("discriminator",) and not module.training
    expected = dict(name="vocos", sample_rate=8000, n_fft=64, win_length=64, hop_length=16, n_mels=8, framing=framing)
    assert module.mel_config == MelConfig.of(expected)
    mel = torch.randn(2, 8, 9)
    spectrum = written_out(state, mel, BLOCKS)
    audio = InverseSTFT(64, 16, padding)(spectrum.real, spectrum.imag)
    assert audio.std() > 0.01
    torch.testing.assert_close(module.vocode(mel)[:, 0], audio, atol=1e-5, rtol=0)


def test_the_published_sizes(tmp_path):
    """83 tensors, of which three are no weights."""
    with torch.device("meta"):
        ours = Vocos().generator.state_dict()
    state = {key: torch.zeros(value.shape) for key, value in ours.items()}
    config = small_config()
    config["feature_extractor"]["init_args"] = dict(sample_rate=24000, n_fft=1024, hop_length=256, n_mels=100)
    config["backbone"]["init_args"] = dict(input_channels=100, dim=512, intermediate_dim=1536, num_layers=8)
    config["head"]["init_args"] = dict(dim=512, n_fft=1024, hop_length=256, padding="center")
    bands = dict(f_max=12000.0, n_mels=100, sample_rate=24000)
    buffers = small_state()
    state |= {key: torch.hann_window(1024) for key in buffers if key.endswith("window")}
    state["feature_extractor.mel_spec.mel_scale.fb"] = melscale_fbanks(513, f_min=0.0, **bands)
    assert len(state) == 83 and sum(value.numel() for value in state.values()) == 13_584_998
    module = zoo.import_checkpoint(written(tmp_path, config, state))
    assert module.mel_config == Vocos().mel_config
    assert not any(value.any() for value in module.generator.state_dict().values())


def test_a_training(tmp_path):
    """With the discriminators, in a Lightning checkpoint beside the settings of the command line."""
    model = Vocos(mel=dict(name="vocos", n_fft=64, win_length=64, hop_length=16, n_mels=8, sample_rate=8000), dim=6)
    judges = {}
    for ours, theirs in (("periods", "multiperioddisc"), ("bands", "multiresddisc")):
        for key, value in getattr(model.discriminator, ours).state_dict().items():
            key = key.replace("parametrizations.weight.original0", "weight_g")
            judges[f"{theirs}.{key.replace('parametrizations.weight.original1', 'weight_v')}"] = value
    others = {"multiresddisc.discriminators.0.spec_fn.window": torch.hann_window(2048)}
    others |= {"melspec_loss.mel_spec.mel_scale.fb": torch.zeros(513, 100)}
    content = {
        "state_dict": small_state() | judges | others,
        "hyper_parameters": {"sample_rate": 8000},
        "global_step": 7,
    }
    recipe = dict(
        initial_learning_rate=3e-4, mel_loss_coeff=40, mrd_loss_coeff=1.0, num_warmup_steps=9, pretrain_mel_steps=5
    )
    config = {"model": {"class_path": "vocos.experiment.VocosExp", "init_args": small_config() | recipe}}
    name = "vocos_checkpoint_epoch=3_step=7_val_loss=1.0.ckpt"
    module = zoo.import_checkpoint(written(tmp_path, config, content, name))
    assert module.untrained_networks == ()
    found = module.hparams
    assert (found.lr, found.mel_weight, found.mrd_loss_coeff, found.warmup_steps) == (3e-4, 40, 1.0, 9)
    assert found.pretrain_mel_steps == 5
    torch.testing.assert_close(module.discriminator.state_dict(), model.discriminator.state_dict(), rtol=0, atol=0)


def test_mels_of_others(tmp_path):
    """Forks have the mels of HiFi-GAN."""
    slaney = dict(norm="slaney", mel_scale="slaney", f_max=3000.0)
    module = zoo.import_checkpoint(written(tmp_path, small_config("same", **slaney), small_state(**slaney)))
    assert (module.mel_config.scale, module.mel_config.norm, module.mel_config.f_max) == ("slaney", "slaney", 3000)


def changed(part: str, **values) -> dict:
    config = small_config()
    config[part]["init_args"] |= values
    return config


def of_class(part: str, name: str) -> dict:
    config = small_config()
    config[part]["class_path"] = name
    return config


@pytest.mark.parametrize(
    "config, message",
    [
        (
            of_class("feature_extractor", "vocos.feature_extractors.EncodecFeatures"),
            "feature_extractor is vocos.feature_extractors.EncodecFeatures, which is not read; known: vocos.feature_",
        ),
        (of_class("head", "os.system"), "head is os.system, which is not read; known: vocos.heads.ISTFTHead"),
        ({"backbone": 3}, "config.yaml has no feature_extractor.class_path; expected the settings of a Vocos"),
        (
            {**small_config(), "head": small_config()["head"] | {"init_args": ["dim"]}},
            "head.init_args is a list; expected",
        ),
        (changed("head", hop_length=8), "hop_length is 16 in one part and 8 in another; correct it"),
        (changed("head", padding="valid"), "head.padding is 'valid'; expected center or same"),
        (changed("backbone", num_layers=None), "backbone lacks num_layers; correct it"),
        (changed("backbone", dropout=0.1), "backbone has the unknown dropout; correct it"),
        (changed("backbone", adanorm_num_embeddings=4), "adanorm_num_embeddings is 4, for bandwidths of EnCodec; here"),
        (changed("backbone", num_layers=3), "pytorch_model.bin does not fit Vocos: it lacks backbone.convnext.2.gamma"),
        (changed("feature_extractor", f_max=3000.0), "mel_scale.fb is not that of its config"),
    ],
)
def test_settings_that_do_not_fit(tmp_path, config, message):
    with pytest.raises(InputError, match=message):
        zoo.import_checkpoint(written(tmp_path, config, small_state()), format="vocos")


def test_files_that_do_not_fit(tmp_path):
    path = written(tmp_path, small_config(), small_state() | {"backbone.extra": torch.ones(1), "else": torch.ones(1)})
    with pytest.raises(InputError, match="holds else, which is of no Vocos"):
        zoo.import_checkpoint(path)
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(InputError, match=r"there is no config\.json.* beside .*give --config"):
        zoo.import_checkpoint(path)
