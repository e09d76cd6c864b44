"""Ids of runs, their folders, and what the environment says of W&B."""

from pathlib import Path

import pytest
import yaml
from helpers.small_run import fit, run_folder

from lightning_gans.__main__ import main
from lightning_gans.cli import train
from lightning_gans.errors import InputError
from lightning_gans.tracking import run_ids
from lightning_gans.tracking.recorded import read_run
from lightning_gans.tracking.wandb import RunLogger


def test_an_id_is_made_of_any_name():
    for name in ("a:b;c,d#e?f/g'h\\i", "..", "", " ", "x" * 300, "Ünïcode 音"):
        run_ids.require_run_id(made := run_ids.new_run_id(name))
        assert len(made) <= 64
    assert run_ids.new_run_id("dcgan/mnist").startswith("dcgan-mnist-")
    assert len({run_ids.new_run_id("a").rpartition("-")[2] for _ in range(300)}) == 300


@pytest.mark.parametrize("name", ["", ".", "..", "/tmp/run", "a/b", "a:b", " a", "a\n"])
def test_what_is_no_id(name, tmp_path):
    with pytest.raises(InputError, match=r"--run\.id is .*such as run-"):
        RunLogger(folder=str(tmp_path), id=name, mode="disabled")
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_never_begun_in_the_folder_of_another(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    same = ["--run.mode=disabled", "--run.id=same"]
    fit(*same, "--trainer.max_steps=2")
    before = {path: path.read_bytes() for path in run_folder(tmp_path).rglob("*") if path.is_file()}
    elsewhere = tmp_path / "other.ckpt"
    elsewhere.write_bytes((run_folder(tmp_path) / "checkpoints" / "last.ckpt").read_bytes())
    for resumed in ([], [f"--ckpt_path={elsewhere}"]):
        with pytest.raises(SystemExit) as stop:
            fit(*same, "--trainer.max_steps=3", *resumed)
        assert stop.value.code == 2
        assert "--ckpt_path last" in (said := capsys.readouterr().err) and "same" in said
        assert {path: path.read_bytes() for path in run_folder(tmp_path).rglob("*") if path.is_file()} == before
    fit(*same, "--trainer.max_steps=3", "--ckpt_path=last")
    fit(*same, "--trainer.max_steps=4", f"--ckpt_path={run_folder(tmp_path) / 'checkpoints' / 'last.ckpt'}")


def test_the_config_of_a_resumed_run_begins_another_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for steps in (2, 3):
        fit("--run.mode=disabled", "--run.id=first", "--ckpt_path=last", f"--trainer.max_steps={steps}")
    first = run_folder(tmp_path)
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    main(["fit", f"--config={first / 'config.yaml'}", "--run.id=second", "--trainer.max_steps=4"])
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before
    updates = [row["generator_updates"] for row in read_run(first.parent / "second").rows if "train/loss_g" in row]
    assert updates == [1, 2, 3, 4]


def test_a_resumed_run_stays_in_its_folder_and_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit("--run.mode=disabled", "--trainer.max_steps=2")
    run = run_folder(tmp_path)
    said: list[str] = []
    monkeypatch.setattr(train, "rank_zero_info", said.append)
    resume = ["--run.mode=disabled", f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"]
    fit(*resume, "--trainer.max_steps=3")
    assert said == [] and yaml.safe_load((run / "config.yaml").read_text())["run"]["folder"] == "runs"
    fit(*resume, "--trainer.max_steps=4", "--run.folder=elsewhere", "--run.project=other")
    assert said == [f"The run goes on in {run}; to begin another one elsewhere give --run.id NAME, too"]
    kept = yaml.safe_load((run / "config.yaml").read_text())["run"]
    assert (kept["folder"], kept["project"]) == (str(tmp_path / "runs"), "lightning_gans")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_names_are_shown_as_they_were_given(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    logger = RunLogger("faces: 2 / 3?", folder=str(tmp_path), mode="disabled")
    assert logger._wandb_init["name"] == "faces: 2 / 3?"
    assert str(logger.version).startswith("faces- 2 - 3--")


@pytest.mark.parametrize(
    ("variables", "mode", "project"),
    [
        ({}, "disabled", "lightning_gans"),
        ({"WANDB_MODE": "dryrun"}, "offline", "lightning_gans"),
        ({"WANDB_MODE": "", "WANDB_PROJECT": "speech"}, "disabled", "speech"),
        ({"WANDB_DISABLED": "true", "WANDB_MODE": "online"}, "disabled", "lightning_gans"),
        ({"WANDB_DISABLED": "false", "WANDB_MODE": "offline"}, "offline", "lightning_gans"),
    ],
)
def test_variables_mean_what_they_mean_elsewhere(variables, mode, project, tmp_path, monkeypatch):
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    logger = RunLogger(folder=str(tmp_path), mode="disabled")
    assert (logger._wandb_init["mode"], logger.name) == (mode, project)


def test_a_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Path(RunLogger(folder="~/runs", mode="disabled").save_dir) == tmp_path / "runs"
