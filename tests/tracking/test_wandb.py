import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import wandb
import yaml
from helpers import tiny_sounds, wandb_file
from helpers.small_run import fit, messages, run_folder
from lightning import Trainer
from lightning.pytorch.loggers import WandbLogger
from PIL import Image

from lightning_gans.__main__ import main
from lightning_gans.callbacks.samples import LogSamples
from lightning_gans.callbacks.throughput import Throughput
from lightning_gans.data import Digits
from lightning_gans.metrics import METRICS
from lightning_gans.tracking.recorded import read_run
from lightning_gans.tracking.report import ReportRun
from lightning_gans.tracking.wandb import RunLogger
from lightning_gans.zoo import assets

KEYS = {
    "train/loss_d",
    "train/loss_g",
    "train/grad_norm_d",
    "train/grad_norm_g",
    "perf/samples_per_second",
    "val/sliced_wasserstein",
    "val/samples.count",
}


@pytest.fixture(scope="module", autouse=True)
def no_account():
    """A machine without a W&B key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WANDB_API_KEY", raising=False)
        patch.delenv("WANDB_MODE", raising=False)
        patch.setenv("NETRC", "/nonexistent")
        yield


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished run: two epochs of three updates; the folder, and what was said."""
    folder = tmp_path_factory.mktemp("done")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        said = messages(patch)
        fit("--run.tags=[mine]", "--run.group=seeds", "--run.log_model=end")
    return folder, said


def test_all_metrics_are_recorded_along_generator_updates(done):
    rows = wandb_file.history(wandb_file.run_file(done[0] / "runs"))
    assert KEYS <= {key for row in rows for key in row}
    assert all("generator_updates" in row for row in rows)
    assert [row["generator_updates"] for row in rows if "train/loss_g" in row] == [1, 2, 3, 4, 5, 6]
    assert [row["generator_updates"] for row in rows if "val/sliced_wasserstein" in row] == [3, 6]
    assert [row["generator_updates"] for row in rows if "val/samples.count" in row] == [3, 6]


def test_the_axis_of_every_panel_is_generator_updates(done):
    defined = {}
    for record in wandb_file.records(wandb_file.run_file(done[0] / "runs")):
        if record.WhichOneof("record_type") == "metric":
            defined[record.metric.name or record.metric.glob_name] = record.metric
    assert defined["*"].step_metric == "generator_updates"  # the last definition holds
    assert defined["*"].options.step_sync


def test_metrics_are_summed_up_by_their_best_and_last_value(done):
    path, last = wandb_file.run_file(done[0] / "runs"), {}
    for record in wandb_file.records(path):
        if record.WhichOneof("record_type") == "summary":
            last |= {".".join(item.nested_key): json.loads(item.value_json) for item in record.summary.update}
    values = [row["val/sliced_wasserstein"] for row in wandb_file.history(path) if "val/sliced_wasserstein" in row]
    assert last["val/sliced_wasserstein"] == {"min": min(values), "last": values[-1]}
    summaries = {
        record.metric.name: {kind.name for kind, chosen in record.metric.summary.ListFields() if chosen}
        for record in wandb_file.records(path)
        if record.WhichOneof("record_type") == "metric"
    }
    assert summaries["val/parzen_ll"] == {"max", "last"} and summaries["val/nn_self"] == {"min", "max", "last"}
    assert {f"val/{name}" for name in METRICS} <= set(summaries)


def test_facts_are_recorded_and_lie_beside_the_run(done):
    path, folder = wandb_file.run_file(done[0] / "runs"), run_folder(done[0])
    facts = yaml.safe_load((folder / "facts.yaml").read_text())
    config = wandb_file.config(path)
    assert {key: config[key] for key in facts} == facts
    data = Digits()
    data.setup("fit")
    assert facts["data_fingerprint"] == data.fingerprint()
    assert (facts["processes"], facts["global_batch_size"]) == (1, 16)
    assert set(facts["versions"]) == {"lightning_gans", "lightning", "torch"}
    assert facts["commit"] == assets.commit()
    groups = [r.run.run_group for r in wandb_file.records(path) if r.WhichOneof("record_type") == "run"]
    assert set(groups) == {"seeds"}


def test_checkpoints_are_kept_as_artifacts_on_request(done):
    path, folder = wandb_file.run_file(done[0] / "runs"), run_folder(done[0])
    logged = [r.artifact for r in wandb_file.records(path) if r.WhichOneof("record_type") == "artifact"]
    assert [(each.name, each.type) for each in logged] == [(f"model-{folder.name}", "model")] * 2
    assert ["best" in each.aliases for each in logged] == [True, False]
    assert {"last", "latest"} <= set(logged[1].aliases)
    (content,) = logged[1].manifest.contents
    assert (content.path, content.size) == ("model.ckpt", (folder / "checkpoints" / "last.ckpt").stat().st_size)


def test_the_axis_counts_updates_where_one_takes_two_batches(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit("--model.preset=paper", "--trainer.max_epochs=1", "--trainer.limit_train_batches=5", "--run.mode=disabled")
    rows = read_run(run_folder(tmp_path)).rows
    axis = [row["generator_updates"] for row in rows if "perf/samples_per_second" in row]
    assert axis == [1, 1, 2, 2, 3]


def test_the_record_holds_the_whole_config_and_the_tags(done):
    path = wandb_file.run_file(done[0] / "runs")
    config = wandb_file.config(path)
    assert (config["paper"], config["data"], config["width"]) == ("DCGAN", "Digits", 2)
    written = yaml.safe_load((run_folder(done[0]) / "config.yaml").read_text())
    assert config["cli"] == written
    assert written["trainer"]["max_epochs"] == 2 and written["data"]["init_args"]["batch_size"] == 16
    tags = [set(r.run.tags) for r in wandb_file.records(path) if r.WhichOneof("record_type") == "run"]
    assert tags[-1] == {"mine", "DCGAN", "Digits"}


def test_the_picture_is_a_grid_of_64_digits(done):
    (logged, *_) = sorted((done[0] / "runs").glob("wandb/*/files/media/images/val/samples_*.png"))
    shown = np.asarray(Image.open(logged).convert("L"))
    assert shown.shape == (8 * 34 + 2,) * 2  # 8 x 8 images of 32, with 2 pixels between them
    beside = np.asarray(Image.open(run_folder(done[0]) / "samples" / "00000003.png").convert("L"))
    assert np.abs(shown.astype(int) - beside).max() <= 1


def test_the_end_says_where_everything_lies(done):
    folder, (report,) = done[0], [text for text in done[1] if "W&B" in text]
    lines = dict(line.split(maxsplit=1) for line in report.replace("W&B run", "W&B").replace("to resume", "resume")
                 .strip().splitlines())  # fmt: skip
    for name in ("checkpoint", "resume", "samples", "metrics"):
        assert (folder / lines[name].strip()).is_file(), name
    offline = lines["W&B"].split("  (")[0].strip()
    assert (folder / offline).is_dir() and f"wandb sync {offline}" in report
    assert "after 3 updates" in lines["val/sliced_wasserstein"] and lines["val/sliced_wasserstein"].endswith("after 6")


def test_several_runs_in_a_process_are_several_records(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        fit("--trainer.max_steps=1", f"--run.name={name}", "--evaluation.metrics=[]", "--checkpoint.monitor=null")
    files = sorted(tmp_path.glob("runs/wandb/offline-run-*/run-*.wandb"))
    assert sorted(file.stem.split("-")[1] for file in files) == ["first", "second"]
    for file in files:
        assert [row["generator_updates"] for row in wandb_file.history(file) if "train/loss_g" in row] == [1]
        assert not any(record.WhichOneof("record_type") == "artifact" for record in wandb_file.records(file))


def test_a_config_of_the_user_in_the_current_folder_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text("trainer: {max_steps: 1}  # mine\n")
    fit("--config=config.yaml", "--trainer.fast_dev_run=true")
    fit("--config=config.yaml", "--trainer.logger=false")
    assert Path("config.yaml").read_text().endswith("# mine\n")
    assert not Path("runs").exists()


def test_a_run_is_resumed_in_its_own_folder_by_its_own_config(done, tmp_path, monkeypatch):
    folder = run_folder(done[0])
    monkeypatch.chdir(done[0])
    main(
        [
            "fit",
            f"--config={folder / 'config.yaml'}",
            f"--ckpt_path={folder / 'checkpoints' / 'last.ckpt'}",
            "--trainer.max_epochs=3",
        ]
    )
    assert run_folder(done[0]) == folder
    last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert (last["global_step"], last["epoch"]) == (9, 2)
    assert (folder / "samples" / "00000009.png").is_file()


def test_private_names_of_lightnings_logger(tmp_path):
    """On which RunLogger's silence on anonymous runs and its way to go offline depend."""
    logger = WandbLogger(save_dir=tmp_path, mode="online")  # begins nothing yet
    assert logger._experiment is None and {"anonymous", "mode"} <= set(logger._wandb_init)


def test_mode_disabled_writes_no_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit("--run.mode=disabled", "--trainer.max_steps=1")
    assert not list(tmp_path.glob("runs/wandb/*run-*")) and run_folder(tmp_path).is_dir()
    assert "WANDB_API_KEY" not in os.environ


# ---- sounds


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    """A finished run of a WaveGAN with three classes: two epochs of five updates."""
    folder = tmp_path_factory.mktemp("heard")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        said = messages(patch)
        logger = RunLogger("sounds", mode="offline")
        trainer = Trainer(
            accelerator="cpu",
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            num_sanity_val_steps=0,
            max_epochs=2,
            log_every_n_steps=1,
            logger=logger,
            callbacks=[LogSamples(num=4), Throughput(), ReportRun()],
        )
        trainer.fit(tiny_sounds.wavegan(n_critic=1, num_classes=3), tiny_sounds.Noises())
        wandb.finish()
    return folder, said


def test_clips_and_their_picture_are_recorded_along_generator_updates(heard):
    rows = wandb_file.history(wandb_file.run_file(heard[0] / "runs"))
    for name in ("val/samples", "val/spectrograms"):
        assert [row["generator_updates"] for row in rows if f"{name}.count" in row] == [5, 10]
    (clips, _) = [
        {key.removeprefix("val/samples."): value for key, value in row.items() if key.startswith("val/samples.")}
        for row in rows
        if "val/samples.count" in row
    ]
    assert (clips["_type"], clips["count"]) == ("audio", 4)
    assert clips["captions"] == ["000: hum", "001: hiss", "002: click", "003: hum"]
    assert [row["generator_updates"] for row in rows if "perf/audio_seconds_per_second" in row] == list(range(1, 11))


def test_the_recorded_clips_are_those_beside_the_run(heard):
    media = heard[0] / "runs" / "wandb"
    logged = sorted(path.read_bytes() for path in media.glob("offline-run-*/files/media/audio/val/samples_*.wav"))
    beside = sorted(path.read_bytes() for path in (run_folder(heard[0]) / "samples").glob("*/*.wav"))
    assert len(set(beside)) == 8 and logged == beside
    pictures = [
        {np.asarray(Image.open(path)).tobytes() for path in paths}
        for paths in (
            media.glob("offline-run-*/files/media/images/val/spectrograms_*.png"),
            (run_folder(heard[0]) / "samples").glob("*.png"),
        )
    ]
    assert len(pictures[0]) == 2 and pictures[0] == pictures[1]


def test_the_end_says_where_the_clips_lie(heard):
    (report,) = [text for text in heard[1] if "W&B" in text]
    lines = dict(line.split(maxsplit=1) for line in report.replace("W&B run", "W&B").strip().splitlines())
    assert (heard[0] / lines["samples"].strip()).is_file()
    assert len(list((heard[0] / lines["clips"].strip()).glob("*.wav"))) == 4


def test_no_program_of_the_current_folders_repository_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in ("init -q", "-c user.name=a -c user.email=a commit -q --allow-empty -m first"):
        subprocess.run(["git", *command.split()], check=True)
    (tmp_path / "a").touch()
    subprocess.run(["git", "add", "a"], check=True)
    ran = tmp_path / "ran"
    subprocess.run(["git", "config", "core.fsmonitor", f"touch {ran}; false"], check=True)
    subprocess.run(["git", "status"], check=True, capture_output=True)
    assert ran.exists()
    ran.unlink()
    monkeypatch.setenv("WANDB_SAVE_CODE", "true")
    logger = RunLogger(mode="offline")
    logger.experiment.finish()
    assert not ran.exists()
