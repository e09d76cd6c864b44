import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from helpers.small_run import QUIET, SMALL, fit, messages, run_folder
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.strategies import SingleDeviceStrategy

from lightning_gans.__main__ import main
from lightning_gans.cli import train as cli
from lightning_gans.cli.arguments import resolve
from lightning_gans.errors import InputError
from lightning_gans.models import DCGAN

DCGAN_DIGITS = ["--config=dcgan_digits", *QUIET]
DESCRIBED = {"config.yaml", "facts.yaml"}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    return tmp_path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """last.ckpt of a finished run."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("WANDB_MODE", "disabled")
        fit("--trainer.max_epochs=1")
    return run_folder(folder) / "checkpoints" / "last.ckpt"


@pytest.fixture
def refused(capsys):
    """Runs a command that must be refused, and returns its one line."""

    def refused(*args: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(list(args))
        said = [line for line in capsys.readouterr().err.splitlines() if "Warning" not in line and line.strip()]
        said = [line for line in said if line.startswith("lightning-gans") or "rror" in line or "usage" in line]
        assert stop.value.code == 2
        assert len(said) == 1 and said[0].startswith("lightning-gans: error: "), said
        return said[0].removeprefix("lightning-gans: error: ")

    return refused


# ---- what is misspelt or does not fit


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("fitt", "unknown command 'fitt'; did you mean fit"),
        ("fit --config gan_mnistt", "there is no config gan_mnistt.*did you mean gan_mnist"),
        ("fit --config=nowhere/x.yaml", "there is no config file nowhere/x.yaml"),
        ("fit --config", "expected one argument"),
        ("fit --model DCGANN --data Digits", "unknown model 'DCGANN'; did you mean DCGAN"),
        ("fit --model=DCGAN --data=Digitz", "unknown data 'Digitz'; did you mean Digits"),
        ("fit --data Digits", "no model given; give --model NAME with one of .*DCGAN"),
        ("validate --model DCGAN", "no data given; give --data NAME with one of MNIST"),
        ("fit --model foo.Bar --data Digits", "model: foo.Bar cannot be used .No module named 'foo'"),
        ("fit --model torch.nn.Linear --data Digits", "model: .* not .* a subclass of AdversarialModule"),
        ("fit --model.help DCGANN", "unknown model 'DCGANN'; did you mean DCGAN"),
        ("fit", "no model given; give --model NAME"),
        ("fit --config dcgan_digits extra", "extra stands without an option before it"),
    ],
)
def test_a_name_that_is_not_known(args, message, refused):
    assert re.search(message, refused(*args.split()))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--trainer.max_stepss=3", "unknown option --trainer.max_stepss; did you mean --trainer.max_steps"),
        ("--model.widht=3", "model: unknown option widht; did you mean width"),
        ("--data.image_sizes=3", "data: unknown option image_sizes; did you mean image_size"),
        ("--trainer.max_steps=abc", "^trainer.max_steps is abc; expected a whole number$"),
        ("--model.width=abc", "^model: width is abc; expected a whole number( or null)?$"),
        ("--model.preset=tosch", "^model: preset is tosch; expected paper, torch$"),
        ("--evaluation.metrics=[fid_lenett]", "evaluation.metrics is fid_lenett; expected .*fid_lenet, label_accuracy"),
        ("--run.mode=onlin", "^run.mode is onlin; expected auto, online, offline, disabled$"),
        ("--trainer.callbacks=foo", "trainer.callbacks: foo is no class"),
        ("--trainer.gradient_clip_val=1", "trainer.gradient_clip_val is 1.*use --clip_norm 1, for all"),
        ("--trainer.accumulate_grad_batches=2", "trainer.accumulate_grad_batches is 2.*use --accumulate 2"),
        ("--accumulate=two", "accumulate is two; expected a whole number"),
        ("--clip_norm.c=1", r"clip_norm names c; DCGAN has g .generator., d .discriminator."),
        (
            "--accumulate=2 --global_batch_size=9",
            "is 9, which 1 process.es. with 2 batches each cannot .* such as 8",
        ),
        ("--accumulate.g=2 --global_batch_size=8", r"is 8, and accumulate .'g': 2.; give one number for all networks"),
        ("--trainer.accelerator=banana", "invalid accelerator name.*banana"),
        ("--trainer.strategy=banana", "invalid strategy name.*banana"),
        ("--trainer.devices=0", "devices='0'.*not a valid"),
        ("--global_batch_size=0", "global_batch_size is 0; expected a number of at least 1"),
        ("--run.folder=/dev/null/runs", "^/dev/null/runs cannot be written to .Not a directory.; give another folder"),
        (
            "--checkpoint.dirpath=/dev/null/x",
            "^/dev/null/x cannot be written to .*; give another folder with --checkpoint",
        ),
        (
            "--trainer.logger=false --trainer.default_root_dir=/dev/null/x",
            "^/dev/null/x cannot .* --trainer.default_root",
        ),
        ("--trainer.devices=x", "devices.* should be an int"),
        ("--trainer.check_val_every_n_epoch=0", "check_val_every_n_epoch is 0; expected a number of at least 1"),
        ("--trainer.log_every_n_steps=-1", "log_every_n_steps is -1; expected a number of at least 0"),
        ("--trainer.num_sanity_val_steps=-2", "num_sanity_val_steps is -2; expected a number of at least -1"),
        ("--trainer.val_check_interval=5000 --trainer.check_val_every_n_epoch=1", "val_check_interval.*5000"),
        ("--trainer.logger=TensorBoardLogger", "tensorboard"),
        ("--checkpoint.monitor=val/nothing", "checkpoint.monitor is val/nothing, and evaluation.metrics is .'sliced_w"),
        ("--checkpoint.monitor=sliced_wasserstein", "^checkpoint.monitor is sliced_wasserstein; expected val/sliced_w"),
        ("--checkpoint.mode=max", "^checkpoint.mode is max, which keeps the worst val/sliced_.*--checkpoint.mode min$"),
        ("--ckpt_path=last", "--ckpt_path is last.*give a file"),
        ("--ckpt_path=dcgan_digits", "--ckpt_path is dcgan_digits; expected a .ckpt file: .*--init_from"),
        ("--ckpt_path=nowhere.ckpt", "there is no file nowhere.ckpt"),
        ("--init_from=nowhere", "no model nowhere in the zoo"),
        ("--init_from=", "^a model was given as ''; expected a name"),
    ],
)
def test_an_option_that_cannot_be_used(option, message, refused):
    if "TensorBoard" in option and any(map(has, ("tensorboard", "tensorboardX"))):
        pytest.skip("TensorBoard is installed")
    assert re.search(message, refused("fit", *DCGAN_DIGITS, *option.split()))


def has(package: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(package) is not None


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--model.image_size=30", "image_size 30 is no multiple of 32"),
        (
            "--model.image_size=64",
            "image_size 32, and DCGAN takes image_size 64; use --data.image_size 64 or --model.image_size 32$",
        ),
        ("--model.channels=3", "Digits has channels 1, and DCGAN takes channels 3; use --model.channels 1$"),
        ("--data.batch_size=0", "batch_size is 0; expected a number of at least 1"),
        ("--data.batch_size=5000", "1437 training images make no batch of 5000.*--data.batch_size to at most 1437"),
        (
            "--evaluation.metrics=[parzen_ll] --checkpoint.monitor=val/parzen_ll --checkpoint.mode=max",
            "parzen_ll got 360 samples",
        ),
    ],
)
def test_sizes_that_do_not_fit(args, message, refused):
    options = ["--model.width=2", "--trainer.limit_train_batches=1", "--trainer.max_epochs=1", "--run.mode=disabled"]
    assert re.search(message, refused("fit", *DCGAN_DIGITS, *options, *args.split()))


def test_labels_that_do_not_fit(refused):
    options = ["--config=cgan_mnist", "--data=Digits", "--data.image_size=28", "--model.num_classes=9"]
    message = refused("fit", *options, *QUIET, "--trainer.logger=false")
    assert message == "Digits has num_classes 10, and CGAN takes num_classes 9; use --model.num_classes 10"


def test_no_data_and_no_network(refused, monkeypatch, here):
    def no_network(root: str, download: bool) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("torchvision.datasets.MNIST", no_network)
    message = refused("fit", "--config=gan_mnist", f"--data.root={here}", "--trainer.logger=false", *QUIET)
    assert message.startswith(f"no MNIST in {here}") and "--data.root DIR" in message and "not known" in message


def test_a_mode_in_the_environment_that_wandb_does_not_know(refused, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    assert refused("fit", *DCGAN_DIGITS) == "WANDB_MODE is sometimes; expected auto, online, offline, disabled"


def test_nothing_to_test(refused):
    for command in ("test", "validate", "predict"):
        assert refused(command, *DCGAN_DIGITS).startswith(f"no weights to {command}; give --ckpt_path FILE")


# ---- checkpoints


def test_a_checkpoint_that_cannot_be_resumed(checkpoint, refused, here):
    small = [option for option in SMALL if "width" not in option]
    message = refused("fit", *small, f"--ckpt_path={checkpoint}")
    assert "was trained with width=2, and the config says 32" in message and "--init_from" in message
    message = refused("fit", "--config=gan_mnist", f"--ckpt_path={checkpoint}")
    assert message.endswith("is a checkpoint of DCGAN, and the config's model is GAN")
    cut = here / "cut.ckpt"
    cut.write_bytes(checkpoint.read_bytes()[:-1000])
    assert f"{cut}: cut short" in refused("fit", *SMALL, f"--ckpt_path={cut}")
    cut.write_bytes(b"")
    assert str(cut) in refused("test", *SMALL, f"--ckpt_path={cut}")


def test_metrics_and_images_of_a_checkpoint(checkpoint, here, capsys):
    main(["test", *SMALL, f"--ckpt_path={checkpoint}"])
    shown = capsys.readouterr().out
    assert "test/sliced_wasserstein" in shown and "test/sliced_wasserstein_real" in shown
    main(["validate", *SMALL, f"--init_from={checkpoint}"])
    assert "val/sliced_wasserstein" in capsys.readouterr().out
    main(["predict", *SMALL, f"--ckpt_path={checkpoint}", "--trainer.limit_predict_batches=1"])
    assert len(list((here / "predictions").glob("*.png"))) == 360
    assert {path.name for path in here.iterdir()} == {"predictions"}


def test_weights_that_are_not_taken_are_named(checkpoint, monkeypatch):
    """As with the config of a run that began from weights."""
    said: list[str] = []
    monkeypatch.setattr(cli, "rank_zero_info", said.append)
    main(["validate", *SMALL, "--init_from=begun.ckpt", f"--ckpt_path={checkpoint}"])
    assert said == [f"The weights are those of --ckpt_path {checkpoint}, not of --init_from begun.ckpt"]


def test_weights_alone_are_taken_from_another_run(checkpoint):
    fit(f"--init_from={checkpoint}", "--trainer.max_steps=1", "--model.lr=1e-30", "--run.mode=disabled")
    given, last = (torch.load(path, weights_only=True) for path in (checkpoint, only_checkpoint("last.ckpt")))
    assert last["global_step"] == 1
    weights = "generator.1.weight"
    assert torch.equal(given["state_dict"][weights], last["state_dict"][weights])


def only_checkpoint(name: str) -> Path:
    return run_folder(Path()) / "checkpoints" / name


# ---- vocoders


@pytest.fixture
def vocoder(here):
    """Options of a small training on three generated recordings."""
    time = np.arange(12_000) / 22_050
    for number in range(3):
        soundfile.write(here / f"{number}.wav", 0.3 * np.sin(2 * np.pi * (200 + 100 * number) * time), 22_050)
    model = "--model=STFTMelGAN --model.width=1 --model.blocks=1"
    data = f"--data=MelFolder --data.root={here} --data.crop=2560 --data.batch_size=1 --data.val_pattern=2.wav"
    run = "--evaluation.metrics=[mel_l1,mcd] --checkpoint.monitor=val/mel_l1 --run.name=tones"
    return [*model.split(), *data.split(), *run.split(), *QUIET]


def test_a_vocoder_from_training_to_vocode(vocoder, here, capsys, monkeypatch):
    said = messages(monkeypatch)
    main(["fit", *vocoder, "--model.mel=hifigan", "--trainer.max_steps=2"])
    assert any("val/mcd" in line and "tones" in line for line in said)
    run = run_folder(here)
    samples = {str(path.relative_to(run / "samples")) for path in (run / "samples").rglob("*") if path.is_file()}
    assert samples == {"reference/000.wav", "00000002/000_generated.wav", "00000002.png"}
    last = run / "checkpoints" / "last.ckpt"
    # the folder's config has the mel once, for the model
    main(["fit", f"--config={run / 'config.yaml'}", "--trainer.max_steps=4", f"--ckpt_path={last}"])
    assert torch.load(last, weights_only=True)["global_step"] == 4
    main(["test", *vocoder, "--model.mel=hifigan", f"--ckpt_path={last}"])
    shown = capsys.readouterr().out
    assert all(f"test/{name}{end}" in shown for name in ("mel_l1", "mcd") for end in ("", "_griffin_lim"))
    main(["vocode", str(last), "0.wav", "made.wav", "--device=cpu"])
    assert soundfile.info("made.wav").frames == 12_000 // 256 * 256


def test_a_checkpoint_of_another_mel_is_refused(vocoder, here, refused):
    main(["fit", *vocoder, "--model.mel=melgan", "--trainer.max_steps=1", "--run.mode=disabled"])
    last = run_folder(here) / "checkpoints" / "last.ckpt"
    message = refused("fit", *vocoder, "--model.mel=hifigan", f"--ckpt_path={last}")
    assert "was trained with mel={'name': 'melgan', 'f_max': None, 'log': 'log10', 'epsilon': 0.0}, and" in message
    assert "the config says {'name': 'hifigan', 'f_max': 8000.0, 'log': 'ln', 'epsilon': 1e-09}; resume" in message


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            "--data.mel=tacotron2",
            "of MelFolder .tacotron2. are not those of STFTMelGAN .parallel_wavegan.: f_min 0 against",
        ),
        ("--data.context=2", "have 2 frames of context on either side, and STFTMelGAN takes 0; use --data.context 0"),
        ("--data.crop=2500", "crop is 2500 samples, .* use 2304 .9 frames. or 2560 .10 frames."),
        ("--model.ratios=[8,8,2]", "ratios 8,8,2 make 8 x 8 x 2 = 128 samples per frame, and the hop_length .* is 256"),
        ("--evaluation.metrics=[mel_l1,fid_lenet]", "has fid_lenet, and STFTMelGAN makes sounds from mels; those of"),
        ("--evaluation.metrics=[mel_l1,nn_self]", "has nn_self, and STFTMelGAN makes sounds from mels; those of"),
        ("--evaluation.repeats=3", "evaluation.repeats is 3, and a STFTMelGAN makes each utterance once"),
        ("--data=Digits", "Digits hands out no mels, and STFTMelGAN takes them"),
    ],
)
def test_what_does_not_go_with_a_vocoder(args, message, vocoder, refused):
    option = args.partition("=")[0]
    base = [given for given in vocoder if not given.startswith((f"{option}=", f"{option}."))]
    assert re.search(message, refused("fit", *base, args, "--trainer.max_steps=1", "--run.mode=disabled"))


# ---- Lightning's switches


@pytest.mark.parametrize(
    ("options", "files"),
    [
        (["--trainer.logger=false"], {"checkpoints/last.ckpt", "checkpoints/00000003.ckpt", "samples/00000003.png"}),
        (["--trainer.logger=CSVLogger"], {"metrics.csv", *DESCRIBED, "last.ckpt", "00000003.ckpt", "00000003.png"}),
        (
            ["--trainer.enable_checkpointing=false", "--run.mode=disabled"],
            {".lock", "metrics.csv", *DESCRIBED, "00000003.png"},
        ),
        (["--trainer.fast_dev_run=true"], set()),
    ],
)
def test_switches_of_the_trainer(options, files, here):
    fit(*options, "--trainer.max_epochs=1")
    written = {str(path.relative_to(here)) for path in here.rglob("*") if path.is_file()}
    written = {path for path in written if "/wandb/" not in path and not path.endswith("hparams.yaml")}
    assert {path if path in files else Path(path).name for path in written} == files


def test_a_folder_without_a_logger_is_one_run(here, refused):
    """Else the second run would replace the first one's last.ckpt, silently."""
    fit("--trainer.logger=false", "--trainer.max_epochs=1")
    last = here / "checkpoints" / "last.ckpt"
    before = last.read_bytes()
    message = refused("fit", *DCGAN_DIGITS, *SMALL, "--trainer.logger=false", "--trainer.max_epochs=1")
    assert f"--ckpt_path {last}" in message and "--trainer.default_root_dir" in message
    assert last.read_bytes() == before
    fit("--trainer.logger=false", "--trainer.max_epochs=2", f"--ckpt_path={last}")
    assert last.read_bytes() != before


@pytest.mark.parametrize(("given", "folder"), [([], "runs"), (["--trainer.logger.save_dir", "logs"], "logs")])
def test_the_folder_of_a_logger(given, folder, capsys):
    """And -c may stand behind an option that takes no value."""
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--print_config", "-c", "dcgan_digits", "--trainer.logger", "CSVLogger", *given])
    assert not stop.value.code
    logger = yaml.safe_load(capsys.readouterr().out)["trainer"]["logger"]
    assert logger["class_path"].endswith("CSVLogger") and logger["init_args"]["save_dir"] == folder


def test_one_callback_needs_no_list():
    fit("--trainer.callbacks=lightning.pytorch.callbacks.Timer", "--trainer.fast_dev_run=true")


def test_the_strategy_is_ours_where_lightning_would_take_ddp(monkeypatch):
    """Which it is for which options is in tests/training/test_ddp.py."""
    asked: list[tuple] = []
    monkeypatch.setattr(cli, "chosen", lambda *options: asked.append(options) or SingleDeviceStrategy())
    fit("--trainer.max_steps=1", "--run.mode=disabled")
    assert asked == [("auto", "cpu", "auto", 1)]


def test_a_short_run_leaves_a_checkpoint_though_it_was_never_validated():
    fit("--trainer.max_steps=2", "--trainer.check_val_every_n_epoch=5", "--run.mode=disabled")
    assert torch.load(only_checkpoint("last.ckpt"), weights_only=True)["global_step"] == 2


def test_the_last_checkpoint_is_the_last_though_an_earlier_one_is_better(monkeypatch):
    values = iter([1.0, 2.0, 3.0])
    monkeypatch.setattr(
        cli.Evaluate, "_values", lambda self, trainer: {"sliced_wasserstein": torch.tensor(next(values))}
    )
    fit("--trainer.max_epochs=3", "--run.mode=disabled")
    folder = only_checkpoint("").parent
    assert sorted(path.name for path in folder.joinpath("checkpoints").iterdir()) == ["00000003.ckpt", "last.ckpt"]
    assert torch.load(only_checkpoint("last.ckpt"), weights_only=True)["global_step"] == 9


def test_a_progress_bar_can_be_had(capsys):
    options = [option for option in SMALL if "progress" not in option]
    main(["fit", *options, "--trainer.max_epochs=1", "--run.mode=disabled"])
    captured = capsys.readouterr()
    assert "Epoch 0" in captured.out + captured.err and "train/loss_g" in captured.out + captured.err


def test_a_bug_is_not_taken_for_bad_input(monkeypatch):
    def broken(self, num, generator=None):
        raise ValueError("a bug")

    monkeypatch.setattr(DCGAN, "prior", broken)
    with pytest.raises(ValueError, match="a bug") as raised:
        fit("--run.mode=disabled")
    assert not isinstance(raised.value, InputError)


# ---- help


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--model.help=DCGAN", "--model.preset"),
        ("--data.help=MNIST", "--data.image_size"),
        ("--trainer.help", "--trainer.max_steps"),
        ("--run.help", "--run.project"),
        ("--evaluation.help", "--evaluation.metrics"),
        ("--samples.help", "--samples.num"),
        ("--checkpoint.help", "--checkpoint.monitor"),
    ],
)
def test_groups_of_options_have_a_help_of_their_own(option, told, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fit", option])
    out = capsys.readouterr().out
    assert not stop.value.code and told in out
    others = {"--trainer", "--run", "--evaluation", "--samples", "--checkpoint"} - {option.partition(".")[0]}
    assert not any(f"{other}." in out for other in others)


# ---- arguments of older versions


def test_a_config_of_an_older_version_goes_on_working(here, capsys):
    """The model of all configs and options together becomes one of today; the rest stays."""
    mel = {"name": "hifigan"}
    model = {"class_path": "lightning_gans.models.MelGAN", "init_args": {"mel": mel, "aux_loss": "stft"}}
    (here / "old.yaml").write_text(yaml.safe_dump({"model": model, "data": "MelFolder", "trainer": {"max_steps": 7}}))
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "fit",
                "--config",
                "old.yaml",
                "--model.width",
                "2",
                "--model.mel.f_max=9000",
                "--data.crop=2560",
                "--print_config",
            ]
        )
    assert not stop.value.code
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["model"]["class_path"] == "lightning_gans.models.STFTMelGAN"
    arguments = config["model"]["init_args"]
    assert (arguments["width"], arguments["stft_weight"]) == (2, 1.0)
    assert arguments["mel"] == {"name": "hifigan", "f_max": 9000}
    assert config["trainer"]["max_steps"] == 7 and config["data"]["init_args"]["crop"] == 2560


def test_a_number_of_an_older_version_in_any_spelling(refused):
    words = ["fit", "--model=MelGAN", "--model.aux_loss=stft", "--data=LJSpeech"]
    for weight in ("10", "1e1"):
        assert f"--model.feature_weight={10 * 4 / 5 / 3}" in resolve([*words, f"--model.feature_weight={weight}"])
    assert refused(*words, "--model.feature_weight=much") == "feature_weight is much; expected a number"


@pytest.mark.parametrize(
    "words", ["--model=DCGAN --model.loss=wasserstein", "--config=dcgan_mnist --model.loss minimax"]
)
def test_a_choice_that_a_paper_lost_says_where_it_is(words, refused):
    assert re.search("DCGAN no longer takes loss='.*'; use .*WGANGP", refused("fit", "--data=Digits", *words.split()))


def test_names_of_lightnings_command_line_that_are_overridden_though_private():
    for name in ("_instantiate_trainer", "_parse_ckpt_path", "_get"):
        assert callable(getattr(LightningCLI, name)), name
