import inspect
from pathlib import Path

import pytest
import torch
import yaml

from lightning_gans import data, models
from lightning_gans.audio import MelConfig
from lightning_gans.cli import train as cli
from lightning_gans.cli.arguments import resolve
from lightning_gans.data.audio.folder import AudioFolder
from lightning_gans.data.images.base import ImageDataModule
from lightning_gans.errors import InputError
from lightning_gans.metrics import METRICS
from lightning_gans.models.parallel_wavegan import PRESETS
from lightning_gans.training.compatibility import check_data
from lightning_gans.training.vocoder import Vocoder
from lightning_gans.zoo import assets

RUNS = [name for name in assets.config_names() if name != "ddp"]


def build(monkeypatch, *args: str) -> cli.Command:
    """What a command line builds, without running it."""
    monkeypatch.setattr(cli.Command, "_run_subcommand", lambda self, subcommand: None)
    return cli.command(["fit", *args, "--trainer.accelerator=cpu", "--trainer.logger=false"])


def content(name: str) -> dict:
    return yaml.safe_load(assets.config(name).read_text())


@pytest.mark.parametrize("name", RUNS)
def test_every_config_builds_a_model_that_fits_its_data(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    built = build(monkeypatch, "--config", name)
    paper = name.rpartition("_")[0].replace("_", "")
    assert type(built.model).__name__.lower().endswith(paper)
    if isinstance(built.datamodule, ImageDataModule):
        monkeypatch.setattr(built.datamodule, "num_classes", built.datamodule.num_classes or built.model.num_classes)
        check_data(built.model, built.datamodule)
    if isinstance(built.datamodule, AudioFolder):
        if built.datamodule.label_pattern:  # which finds the classes in the files
            monkeypatch.setattr(built.datamodule, "num_classes", built.model.num_classes)
        check_data(built.model, built.datamodule)
        return
    if isinstance(built.model, Vocoder):
        check_data(built.model, built.datamodule)
        built.model._check_mel(built.datamodule)
        assert built.model.vocode(torch.zeros(80, 8) - 2, seed=0).shape == (1, 1, 8 * built.datamodule.mel.hop_length)
        return
    images = built.model.sample(2, seed=0)
    assert images.shape == (2, *built.datamodule.image_shape) and images.abs().max() <= 1


@pytest.mark.parametrize("name", RUNS)
def test_every_config_monitors_a_metric_that_it_computes(name):
    """But where none of them says which sample is better."""
    config = content(name)
    monitor, metrics = config["checkpoint"]["monitor"], config["evaluation"]["metrics"]
    if all(METRICS[metric].higher_is_better is None for metric in metrics):
        assert monitor is None
        return
    assert monitor.removeprefix("val/") in metrics
    higher = METRICS[monitor.removeprefix("val/")].higher_is_better
    assert config["checkpoint"].get("mode", "min") == ("max" if higher else "min")


@pytest.mark.parametrize("name", RUNS)
def test_every_config_validates_and_so_saves_before_its_end(name):
    trainer = content(name)["trainer"]
    if "max_steps" in trainer:  # the last checkpoint is saved at the end of training in any case
        return
    assert trainer["max_epochs"] % trainer.get("check_val_every_n_epoch", 1) == 0


@pytest.mark.parametrize("name", RUNS)
def test_no_config_repeats_a_default(name):
    config = content(name)
    for key, package in (("model", models), ("data", data)):
        if isinstance(config[key], dict):
            classes = reversed(getattr(package, config[key]["class_path"]).__mro__)
            defaults = {k: v for c in classes for k, v in inspect.signature(c.__init__).parameters.items()}
            for option, value in config[key]["init_args"].items():
                if option != "batch_size":  # worth saying, as time and memory hang on it
                    assert defaults[option].default != value, f"{key}.{option}"


def test_the_configs_of_image_papers_are_there():
    assert {
        "gan_mnist",
        "cgan_mnist",
        "controlgan_mnist",
        "controlgan_celeba",
        "dcgan_digits",
        "dcgan_mnist",
        "dcgan_celeba",
        "dcgan_faces",
        "wgan_gp_mnist",
        "r3gan_mnist",
        "r3gan_faces",
        "ddp",
    } <= set(assets.config_names())


def test_configs_are_layered_from_left_to_right(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("trainer: {max_epochs: 7}\nmodel: {init_args: {hidden: 5}}\n")
    built = build(
        monkeypatch,
        "--config",
        "gan_mnist",
        "-c",
        "ddp",
        "-c=mine.yaml",
        "--trainer.devices=2",
        "--data.root=elsewhere",
    )
    assert built.trainer.world_size == 2 and built.trainer.max_epochs == 7
    assert built.trainer.check_val_every_n_epoch == 5  # of gan_mnist
    assert built.model.hparams.hidden == 5 and built.model.hparams.units == 240
    assert built.datamodule.root == Path("elsewhere")
    assert built.config["fit"]["run"]["name"] == "gan_mnist"


@pytest.mark.parametrize(
    ("args", "mel", "context"),
    [
        ("--model=MelGAN", "melgan", 0),
        ("--model=MelGAN --model.mel=hifigan", "hifigan", 0),
        ("--model=ParallelWaveGAN --model.preset=ljspeech", "parallel_wavegan", 2),
        ("--model=ParallelWaveGAN --data.crop=24000", PRESETS["paper"].mel, 2),
        (
            "--model=ParallelWaveGAN --model.mel=tacotron2 --model.upsample_scales=[8,32] --model.aux_context=3",
            "tacotron2",
            3,
        ),
    ],
)
@pytest.mark.parametrize("data_name", ["LJSpeech", "MelFolder"])
def test_the_data_make_the_mels_of_the_model(args, mel, context, data_name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    built = build(monkeypatch, f"--data={data_name}", *args.split())
    assert built.datamodule.mel == built.model.mel_config == MelConfig.of(mel)
    assert built.datamodule.context == built.model.context == context
    assert MelConfig.of(built.config["fit"]["data"]["init_args"]["mel"]) == MelConfig.of(
        mel
    )  # a resumed run has it too


def test_mels_that_were_given_stay(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    built = build(monkeypatch, "--model=MelGAN", "--data=MelFolder", "--data.mel=vocos", "--data.context=1")
    assert built.datamodule.mel == MelConfig.of("vocos") and built.datamodule.context == 1
    with pytest.raises(InputError, match=r"the mels of MelFolder .vocos. are not those of MelGAN .*sample_rate 24000"):
        built.model._check_mel(built.datamodule)
    # what the data would take on its own is not taken for "not given"
    built = build(
        monkeypatch, "--model=MelGAN", "--model.mel=hifigan", "--data=MelFolder", "--data.mel=parallel_wavegan"
    )
    with pytest.raises(
        InputError, match=r"the mels of MelFolder .parallel_wavegan. are not those of MelGAN .hifigan.: "
    ):
        built.model._check_mel(built.datamodule)
    built = build(monkeypatch, "--model=MelGAN", "--model.mel=hifigan", "--data=MelFolder", "--data.mel=hifigan")
    built.model._check_mel(built.datamodule)
    other = build(monkeypatch, "--model=MelGAN", "--data=Digits")  # whose arguments name no mels
    assert type(other.datamodule).__name__ == "Digits"


def test_a_file_of_the_user_wins_over_a_packaged_config(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("gan_mnist").write_text("model: DCGAN\ndata: {class_path: Digits, init_args: {image_size: 64}}\n")
    assert type(build(monkeypatch, "--config=gan_mnist").datamodule).__name__ == "Digits"


@pytest.mark.parametrize("option", ["--run.id", "--run.name", "--run.group", "--init_from"])
def test_a_value_that_is_a_configs_name_stays_a_value(option):
    words = resolve(["fit", "--config", "gan_mnist", "--trainer.max_epochs", "3", option, "gan_mnist"])
    assert words[-1] == f"{option}=gan_mnist" and sum(word.startswith("--config=") for word in words) == 1


def test_the_printed_config_builds_the_same(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        build(monkeypatch, "--config=controlgan_mnist", "--model.width=8", "--print_config")
    assert not stop.value.code
    Path("printed.yaml").write_text(capsys.readouterr().out)
    built, direct = (
        build(monkeypatch, *args)
        for args in (["--config=printed.yaml"], ["--config=controlgan_mnist", "--model.width=8"])
    )
    assert dict(built.model.hparams) == dict(direct.model.hparams) and built.model.hparams["width"] == 8
    assert dict(built.datamodule.hparams) == dict(direct.datamodule.hparams)
    assert built.trainer.max_epochs == direct.trainer.max_epochs
    same = zip(built.model.parameters(), direct.model.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in same)  # the seed is in it


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {class_path: DCGAN, init_args: {widht: 3}}\ndata: Digits", "unknown option widht; did you mean width"),
        ("model: {class_path: DCGANN}\ndata: Digits", "unknown model 'DCGANN'; did you mean DCGAN"),
        ("model: DCGAN\ndata: Digitz", "unknown data 'Digitz'; did you mean Digits"),
        ("model: DCGAN\ndata: Digits\ntrainr: {max_steps: 3}", "unknown option trainr.max_steps; did you mean trainer"),
        ("model: DCGAN\ndata: Digits\ntrainer: {max_stepz: 3}", "unknown option .*max_stepz; did you mean .*max_steps"),
        ("model: [a\nb: {", "mine.yaml: not YAML.*line 2"),
        ("", "mine.yaml is empty; expected options by name"),
        ("- a\n- b", "mine.yaml holds a list; expected options by name"),
    ],
)
def test_what_is_wrong_in_a_config_is_named(text, message, monkeypatch, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        build(monkeypatch, f"--config={path}")


SWEEPS = sorted((assets.configs() / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_sweep_runs_commands_that_there_are(path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    sweep = yaml.safe_load(path.read_text())
    assert sweep["program"] == "lightning-gans" and sweep["command"][:2] == ["${program}", "fit"]
    fixed = [word for word in sweep["command"][2:] if word != "${args}"]
    for end in (0, -1):  # both ends of each parameter, as the agent writes them
        values = {name: p.get("values", [p.get("min"), p.get("max")])[end] for name, p in sweep["parameters"].items()}
        built = build(monkeypatch, *fixed, *(f"--{name}={value}" for name, value in values.items()))
        for name, value in values.items():
            assert built.model.hparams[name.removeprefix("model.")] == value
    config = content(path.stem)
    assert sweep["metric"]["name"] == config["checkpoint"]["monitor"]
    assert sweep["metric"]["goal"] == {"max": "maximize", "min": "minimize"}[config["checkpoint"].get("mode", "min")]
