"""The documents do what they say: their commands run, their Python runs, their tables name what there is."""

import inspect
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from glob import glob
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from helpers import bundle_writer, hub_server, tiny_data, tiny_zoo
from helpers import parallel_wavegan_files as parallel_wavegan
from helpers import vocoder_layers as layers
from helpers.authors_wavegan import variables
from lightning import Trainer
from PIL import Image
from torch.distributed.run import get_args_parser
from wandb.cli.cli import cli as wandb

from lightning_gans import audio, data, metrics, models, zoo
from lightning_gans.__main__ import main
from lightning_gans.callbacks.evaluation import Evaluate
from lightning_gans.cli import options
from lightning_gans.cli.main import COMMANDS
from lightning_gans.tracking.wandb import RunLogger
from lightning_gans.zoo import assets

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "configs/README.md", "zoo/README.md", "notebooks/README.md"]

MODEL = {  # what makes a paper's model small; the vocoders' hop stays
    "gan": {"hidden": 8, "units": 4, "pieces": 2},
    "cgan": {},
    "dcgan": {"width": 2},
    "controlgan": {"width": 2},
    "wgan_gp": {"width": 2},
    "r3gan": {},
    "wavegan": {"width": 1, "latent_dim": 3},
    "specgan": {"width": 1, "latent_dim": 3},
    "controlled_specgan": {"width": 1, "latent_dim": 3},
    "controlled_wavegan": {"width": 1, "latent_dim": 3},
    "melgan": {"width": 2, "blocks": 1},
    "hifigan": dict(width=16, discriminator_width=1 / 32),
    "vocos": dict(dim=8, intermediate_dim=12, num_layers=2, period_width=1 / 32, band_width=2),
    "parallel_wavegan": dict(layers=3, stacks=1, residual_channels=4, gate_channels=8, skip_channels=4),
}
DATA = {  # of a config whose data are not all there
    "wavegan_sc09": "--data.complete=false",
    "melgan_ljspeech": "--data.complete=false --data.val_pattern=LJ050-0029 --data.test_pattern=LJ014",
    "hifigan_ljspeech": "--data.complete=false --data.val_pattern=LJ050-0029 --data.test_pattern=LJ014",
}
SHORT = (
    "--data.batch_size=2 --trainer.fast_dev_run=1 --trainer.accelerator=cpu --trainer.devices=1 --evaluation.metrics=[]"
    " --checkpoint.monitor=null --trainer.enable_progress_bar=false --trainer.enable_model_summary=false"
)


def snippets(document: str) -> list[tuple[str, str]]:
    """What a document tells to type, in its order: the language, and a command or a block of Python."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
    assert {language for language, _ in found} <= {"console", "python", "bibtex"}, "what is that, and who checks it?"
    typed = []
    for language, content in found:
        if language == "console":  # a command that ends with a backslash goes on in the next line
            lines = content.replace("\\\n", "").splitlines()
            assert all(line.startswith("$ ") for line in lines), lines
            typed += [(language, line.removeprefix("$ ")) for line in lines]
        elif language == "python":
            typed.append((language, content))
    return typed


def value(words: list[str], option: str) -> str:
    """The word behind an option, or nothing."""
    return words[words.index(option) + 1] if option in words else ""


def small(config: str) -> list[str]:
    """What makes a second of a command that trains or evaluates."""
    model = [f"--model.{name}={value}" for name, value in MODEL[config.rpartition("_")[0]].items()]
    return [*model, *DATA.get(config, "").split(), *SHORT.split()]


def write_zoo(folder: Path) -> None:
    """Small models under the names of the released ones."""
    for name in zoo.names():
        card = zoo.card(name)
        options = yaml.safe_load(assets.config(card.config).read_text())["model"]
        given = options.get("init_args", {}) if isinstance(options, dict) else {}
        module = getattr(models, card.model)(**given | MODEL[card.config.rpartition("_")[0]])
        tiny_zoo.entry(folder, name, module, config=card.config)


def write_foreign() -> None:
    """Checkpoints of other projects."""
    parallel_wavegan.written(Path(), parallel_wavegan.small_config(), parallel_wavegan.small_state())
    torch.save(layers.melgan_state("melgan_neurips", width=3), "netG.pt")
    bundle_writer.write_bundle(Path("model.ckpt-100000"), variables())


def write_voice(folder: Path) -> None:
    """Recordings with the mels that a text-to-speech system would predict for them."""
    config = audio.MelConfig.of("hifigan")
    for number in range(4):
        tiny_data.write_sound(folder / f"{number}.wav", 22050)
        samples = torch.from_numpy(soundfile.read(folder / f"{number}.wav", dtype="float32")[0])
        np.save(folder / f"{number}.npy", audio.log_mel(samples, config).T.numpy())


@pytest.fixture(scope="module", autouse=True)
def machine(tmp_path_factory):
    """What a reader has: data sets, a zoo, a run, sounds, and checkpoints of other projects."""
    folder = tmp_path_factory.mktemp("machine")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tiny_data.write_all(folder / "DIR")
        write_zoo(folder / "zoo")
        write_foreign()
        patch.setenv("LIGHTNING_GANS_DATA", str(folder / "DIR"))
        patch.setenv("LIGHTNING_GANS_CACHE", str(folder / "cache"))
        patch.setenv("LIGHTNING_GANS_ZOO", str(folder / "zoo"))
        limits = ["--trainer.fast_dev_run=false", "--trainer.limit_train_batches=3", "--trainer.max_epochs=1"]
        main(["fit", "--config=dcgan_mnist", "--run.id=RUN", "--run.mode=offline", *small("dcgan_mnist"), *limits])
        checkpoints = Path("runs/lightning_gans/RUN/checkpoints")
        shutil.copy(checkpoints / "last.ckpt", checkpoints / "00010000.ckpt")
        Path("FOLDER").mkdir()
        tiny_data.write_sound(Path("in.wav"), 22050)
        shutil.copy("in.wav", "FOLDER")
        shutil.copy("zoo/melgan_callie.safetensors", "my_melgan.safetensors")
        mel = zoo.load("parallel_wavegan_callie").mel(torch.from_numpy(soundfile.read("in.wav", dtype="float32")[0]))
        np.save("mel.npy", mel.T.numpy())
        write_voice(folder / "DIR" / "my_voice")
        with hub_server.serving(folder) as hub:
            name = "parallel_wavegan_callie.safetensors"
            hub.add("OWNER/REPO", {name: Path("zoo", name).read_bytes()})
            yield


def lightning_gans(words: list[str]) -> None:
    """Run the command; of one for several processes, and of one that only prints, read the options."""
    words = [path for word in words for path in (sorted(glob(word)) if "*" in word else [word])]
    if words[0] not in ("fit", "validate", "test", "predict"):
        return main(words)
    several = {"--trainer.devices", "--trainer.num_nodes"} & set(words)
    if not several and not {"--print_config", "--model.help"} & set(words):
        return main([*words, *small(value(words, "--config") or f"{value(words, '--model').lower()}_mine")])
    with pytest.raises(SystemExit) as stop:
        main([*words, "--print_config"] if several else words)
    assert not stop.value.code


def run(command: str) -> None:
    """Run a command, or check what can be checked of it here."""
    program, *words = shlex.split(command, comments=True)
    if program == "lightning-gans":
        lightning_gans(words)
    elif program == "make":
        subprocess.run(["make", "-n", *words], cwd=ROOT, check=True, capture_output=True)
    elif program == "pip":
        assert words == ["install", "--constraint", "constraints.txt", "."] and (ROOT / words[2]).is_file()
    elif program == ".venv/bin/python":  # takes minutes: tests/test_notebooks.py has its function
        assert words == ["notebooks/execute.py"] and (ROOT / words[0]).is_file()
    elif program == "torchrun":
        given = get_args_parser().parse_args(words)
        assert given.module and given.training_script == "lightning_gans"
        lightning_gans(given.training_script_args)
    elif program == "sbatch":  # with an srun that prints what it is to run
        Path("bin").mkdir(exist_ok=True)
        Path("bin/srun").write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
        Path("bin/srun").chmod(0o755)
        job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "2", "SLURM_NTASKS_PER_NODE": "4"}
        environment = os.environ | job | {"PATH": f"bin:{os.environ['PATH']}"}
        script = ["bash", ROOT / words[0], *words[1:]]
        started = subprocess.run(script, env=environment, check=True, capture_output=True, text=True).stdout.split("\n")
        assert started[0] == "lightning-gans"
        lightning_gans(started[1:-1])
    elif program == "wandb":
        words = [str(ROOT / word) if word.startswith("configs/") else word for word in words]
        words = [word if "offline-run" not in word else glob("runs/wandb/offline-run*")[0] for word in words]
        wandb.commands[words[0]].make_context(words[0], words[1:])
    else:
        raise AssertionError(f"{program} is not checked by this test")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_everything_that_it_tells_to_type_runs(document, capsys):
    failed, names = [], {}
    for language, content in snippets(document):
        try:
            if language == "console":
                run(content)
            else:
                exec(compile(content.replace("max_steps=500", "fast_dev_run=True"), document, "exec"), names)
        except (Exception, SystemExit) as error:
            said = capsys.readouterr().err.strip().rpartition("\n")[2]
            failed.append(f"{content}\n    {type(error).__name__}: {error} {said}")
    assert not failed, "\n".join(failed)
    assert snippets(document)


def first_column(document: str, heading: str) -> list[str]:
    """The names in backticks of the first column of the table below a heading."""
    below = (ROOT / document).read_text().partition(f"{heading}\n")[2].partition("\n#")[0]
    rows = [line.split("|")[1] for line in below.splitlines() if line.startswith("| ")]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


@pytest.mark.parametrize(
    ("document", "heading", "there_is"),
    [
        ("configs/README.md", "## Data", data.__all__),
        ("configs/README.md", "## Metrics", metrics.METRICS),
        ("zoo/README.md", "### Mel conventions", audio.CONVENTIONS),
    ],
)
def test_a_table_names_what_there_is(document, heading, there_is):
    assert sorted(name for name in first_column(document, heading) if "/" not in name) == sorted(there_is)


def test_the_table_of_papers_names_every_class_with_its_file_and_source():
    row = re.compile(r"^\| \[.*\]\((https:.*)\).* \| \[.*\]\((.*)\) \| (`.*`) \|$", re.MULTILINE)
    rows = [
        (url, file, name)
        for url, file, names in row.findall((ROOT / "README.md").read_text())
        for name in re.findall(r"\w+", names)
    ]
    assert sorted(name for *_, name in rows) == sorted(models.__all__)
    for url, file, name in rows:
        module = sys.modules[getattr(models, name).__module__]
        assert (ROOT / file).samefile(module.__file__) and url in module.__doc__


@pytest.mark.parametrize("option", [name for name in first_column("configs/README.md", "## Options")])
def test_an_option_of_the_table_is_one(option):
    files = {"NAME": "dcgan_mnist", "FILE": "runs/lightning_gans/RUN/checkpoints/last.ckpt"}
    words = [files.get(word, word) for word in option.split()]
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config=dcgan_mnist", *words, "--print_config"])
    assert not stop.value.code


@pytest.mark.parametrize("document", DOCUMENTS)
def test_an_option_in_the_text_is_one(document):
    functions = [options.options, zoo.listing]
    for command in COMMANDS.values():
        functions += command.values() if isinstance(command, dict) else [command]
    plain = {"config", "ckpt_path"}.union(*(inspect.signature(function).parameters for function in functions))
    classes = {
        "model": [getattr(models, name) for name in models.__all__],
        "data": [getattr(data, name) for name in data.__all__],
        "trainer": [Trainer],
        "run": [RunLogger],
        "evaluation": [Evaluate],
    }
    text = re.sub(r"^```.*?^```$", "", (ROOT / document).read_text(), flags=re.MULTILINE | re.DOTALL)
    for option in re.findall(r"--([\w.-]+)", " ".join(re.findall(r"`[^`]+`", text))):
        group, _, name = option.replace("-", "_").rpartition(".")
        takers = [base for kind in classes.get(group, []) for base in kind.__mro__]
        known = plain if not group else {"g", "d", "c"} if group in plain else set()
        assert name in known.union(*(inspect.signature(taker).parameters for taker in takers)), option


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\((?!http)([^)#]*)(?:#[^)]*)?\)", (ROOT / document).read_text()):
        assert (ROOT / document).parent.joinpath(target).exists(), target


def test_the_picture_is_made_by_its_script_and_small(tmp_path, monkeypatch, data_root):
    monkeypatch.setenv("LIGHTNING_GANS_DATA", str(data_root))
    monkeypatch.setenv("MPLBACKEND", "agg")
    runpy.run_path(str(ROOT / "zoo/samples.py"))["main"](tmp_path / "samples.png")
    committed = ROOT / "zoo/samples.png"
    with Image.open(committed) as expected, Image.open(tmp_path / "samples.png") as made:
        assert made.size == expected.size
    assert committed.stat().st_size < 150_000
