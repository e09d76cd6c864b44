import pickle

import pytest
import torch
from helpers import vocoder_layers as layers

from lightning_gans import zoo
from lightning_gans.errors import InputError

HP_STR = """
data:
  train: ''
---
train:
  optimizer: 'adam'
  adam:
    lr: 0.0002
    beta1: 0.5
---
audio:
  n_mel_channels: 80
  segment_length: 16000
  filter_length: 1024
  hop_length: 256 # WARNING: this can't be changed.
  win_length: 1024
  sampling_rate: 24000
  mel_fmin: 50.0
  mel_fmax: 7000.0
---
model:
  feat_match: 5.0
"""


@pytest.fixture(scope="module")
def judges():
    """Discriminators by project; each has 17 million weights."""
    torch.manual_seed(1)
    return {project: layers.scales_state(project) for project in ("melgan_neurips", "melgan_seungwonpark")}


def neurips(tmp_path, state, **options):
    path = tmp_path / "netG.pt"
    torch.save(state, path)
    return zoo.import_checkpoint(path, format="melgan_neurips", **options)


def seungwonpark(tmp_path, **content):
    path = tmp_path / "melgan_0123.pt"
    torch.save({"step": 7, "epoch": 1, "githash": "aca5990", **content}, path)
    return zoo.import_checkpoint(path, format="melgan_seungwonpark")


SPELLINGS = {"weight_norm": dict, "folded": layers.folded, "of_today": layers.respelled}


def close(found, expected):
    assert expected.std() > 0.01
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_authors_generator_gives_what_it_gave(tmp_path, spelling):
    state = layers.melgan_state("melgan_neurips", bands=6, width=3)
    module = neurips(tmp_path, SPELLINGS[spelling](state))
    assert not module.training and module.untrained_networks == ("discriminator",)
    mel = 5 * torch.rand(2, 6, 9) - 4
    close(module.vocode(mel), layers.melgan(state, "melgan_neurips", mel))


def test_the_authors_files_have_126_and_63_tensors(tmp_path, judges):
    state, judge = layers.melgan_state("melgan_neurips"), judges["melgan_neurips"]
    assert (len(state), len(judge), len(layers.folded(state))) == (126, 63, 84)
    assert sum(value.numel() for value in state.values()) == 4_266_050
    assert sum(value.numel() for value in judge.values()) == 16_924_086
    assert state["model.3.weight_g"].shape == (512, 1, 1) and state["model.4.shortcut.weight_v"].shape == (256, 256, 1)
    assert judge["model.disc_2.model.layer_1.0.weight_v"].shape == (64, 4, 41)
    torch.save(judge, tmp_path / "netD.pt")
    torch.save(judge, tmp_path / "optD.pt")
    neurips(tmp_path, state)
    module = zoo.import_checkpoint(tmp_path, format="melgan_neurips")  # the folder
    assert module.untrained_networks == ()
    assert module.mel_config.hparams() == dict(
        zoo.import_checkpoint(tmp_path / "netG.pt", format="melgan_neurips").mel_config.hparams()
    )
    assert module.mel_config.name == "melgan" and module.sample_rate == 22050 and not module.is_measured
    audio = 0.3 * torch.randn(2, 1, 2048)
    with torch.no_grad():
        found = module.discriminator(audio)
    for ours, theirs in zip(found, layers.scale_outputs(judge, "melgan_neurips", audio), strict=True):
        for f, t in zip([*ours[1], ours[0]], theirs, strict=True):
            close(f, t)


def test_files_of_2019_load(tmp_path):
    """They are no archives; the folder's best generator goes by another name."""
    state = layers.melgan_state("melgan_neurips", bands=4, width=2)
    torch.save(state, tmp_path / "best_netG.pt", _use_new_zipfile_serialization=False)
    module = zoo.import_checkpoint(tmp_path / "best_netG.pt", format="melgan_neurips", sample_rate=16000)
    h = module.hparams
    assert (h.width, h.blocks, h.ratios, module.mel_config.n_mels) == (2, 3, (8, 8, 2, 2), 4)
    assert module.sample_rate == 16000 and (h.feature_weight, h.fm_scale) == (10.0, "official")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_seungwonparks_generator_gives_what_it_gave(tmp_path, judges, spelling):
    state, judge = layers.melgan_state("melgan_seungwonpark"), judges["melgan_seungwonpark"]
    assert (len(state), len(judge)) == (126, 63) and "generator.13.blocks.2.4.weight_v" in state
    spelled = SPELLINGS[spelling]
    module = seungwonpark(tmp_path, model_g=spelled(state), model_d=spelled(judge), hp_str=HP_STR)
    assert module.untrained_networks == ()
    mel = 11 * torch.rand(1, 80, 7) - 10
    close(module.vocode(mel), layers.melgan(state, "melgan_seungwonpark", (mel + 5) / 5))
    audio = 0.3 * torch.randn(1, 1, 1024)
    with torch.no_grad():
        found = module.discriminator(audio)
    for ours, theirs in zip(found, layers.scale_outputs(judge, "melgan_seungwonpark", audio), strict=True):
        close(ours[1][3], theirs[3])
        torch.testing.assert_close(ours[0].double(), theirs[-1], rtol=1e-5, atol=1e-5)


def test_seungwonparks_settings_are_in_the_checkpoint(tmp_path):
    state = layers.folded(layers.melgan_state("melgan_seungwonpark"))
    module = seungwonpark(tmp_path, model_g=state, hp_str=HP_STR)
    c, h = module.mel_config, module.hparams
    assert (c.sample_rate, c.f_min, c.f_max, c.log, c.framing) == (24000, 50, 7000, "ln", "center")
    assert (h.lr, h.feature_weight, h.loss, h.normalize) == (2e-4, 5.0, "least_squares", True)
    assert (h.multi_scale, h.adversarial_weight, h.stft_weight, h.discriminator_start) == (True, 1.0, 0.0, 0)
    assert module.is_measured and module.untrained_networks == ("discriminator",)
    module = seungwonpark(tmp_path, model_g=state)
    assert module.mel_config.hparams() == {**c.hparams(), "sample_rate": 22050, "f_min": 0.0, "f_max": 8000.0}
    for text in ("audio: [1, 2", "- 1", "audio: 7", "model:\n  feat_match: much", "a: !!python/name:os.getcwd"):
        with pytest.raises(InputError, match=r"hp_str: not "):
            seungwonpark(tmp_path, model_g=state, hp_str=text)
    with pytest.raises(
        InputError, match=r"melgan_0123\.pt: STFTMelGAN cannot be built from it: .* the hop_length .* is 300"
    ):
        seungwonpark(tmp_path, model_g=state, hp_str="audio:\n  hop_length: 300")


def test_options_that_a_format_has_no_use_for(tmp_path):
    state = layers.melgan_state("melgan_neurips", bands=4, width=2)
    (tmp_path / "args.yml").write_text("n_mel_channels: 4")
    for option in ("stats", "config"):
        with pytest.raises(InputError, match=f"--{option} is .*, and melgan_neurips has no use for it; leave it out"):
            neurips(tmp_path, state, **{option: tmp_path / "args.yml"})
    with pytest.raises(InputError, match="--sample_rate is 16000, and melgan_seungwonpark has no use for it"):
        zoo.import_checkpoint(tmp_path / "netG.pt", format="melgan_seungwonpark", sample_rate=16000)
    with pytest.raises(InputError, match=r"there is no format melgan; did you mean .*melgan_neurips"):
        zoo.import_checkpoint(tmp_path / "netG.pt", format="melgan")


@pytest.mark.parametrize("fold", [False, True])
def test_every_tensor_that_does_not_fit_is_listed(tmp_path, fold):
    state = layers.melgan_state("melgan_neurips", bands=4, width=2)
    state = layers.folded(state) if fold else state
    leaf = "weight" if fold else "weight_v"
    del state[f"model.8.{leaf}"], state["model.24.bias"]
    state["model.9.block.2.bias"] = torch.zeros(3)
    state[f"model.9.shortcut.{leaf}"] = torch.zeros(8, 8, 3)
    state[f"model.30.{leaf}"] = torch.ones(2, 2, 2)
    state["model.13.bias"] = "text"
    with pytest.raises(InputError) as error:
        neurips(tmp_path, state)
    message = str(error.value)
    assert "\n" not in message
    lacking = message.partition("it lacks ")[2].partition(";")[0]
    assert sorted(lacking.split(", ")) == sorted([f"model.8.{leaf}", "model.24.bias"])
    unknown = message.partition("it has unknown ")[2].partition(";")[0]
    assert unknown == f"model.30.{leaf}"
    for wrong in (
        "model.9.block.2.bias is (3,) where (8,) is expected",
        f"model.9.shortcut.{leaf} is (8, 8, 3) where (8, 8, 1) is expected",
        "model.13.bias is a str where (4,) is expected",
    ):
        assert wrong in message
    assert message.count(" is expected") == 3


def test_files_that_are_no_checkpoints(tmp_path):
    with pytest.raises(InputError, match=r"holds no file netG\.pt or best_netG\.pt or .*; found nothing"):
        zoo.import_checkpoint(tmp_path, format="melgan_neurips")
    with pytest.raises(InputError, match=r"netG\.pt holds no generator .* found weight; choose another checkpoint or"):
        neurips(tmp_path, {"weight": torch.ones(2)})
    with pytest.raises(InputError, match=r"netG\.pt holds a Tensor; expected a mapping"):
        neurips(tmp_path, torch.ones(2))
    with pytest.raises(InputError, match=r"holds no MelGAN of seungwonpark: expected model_g, found step, epoch"):
        seungwonpark(tmp_path)
    path = tmp_path / "netG.pt"
    whole = tmp_path / "whole.pt"
    torch.save(layers.melgan_state("melgan_neurips", bands=4, width=2), whole)
    for content in (b"", b"text", whole.read_bytes()[:-1000], pickle.dumps({"a": print}, protocol=2)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"netG\.pt: cut short, or it holds more .* get it again") as e:
            zoo.import_checkpoint(path, format="melgan_neurips")
        assert "\n" not in str(e.value)


def test_nothing_is_unpickled(tmp_path):
    marker = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return type(marker).touch, (marker,)

    with pytest.raises(InputError, match="which is not unpickled"):
        neurips(tmp_path, {"model.1.weight_v": Trap()})
    assert not marker.exists()
    torch.load(tmp_path / "netG.pt", weights_only=False)  # the trap does spring
    assert marker.exists()
