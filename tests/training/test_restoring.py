"""Checkpoints whose parts are not what they should be: each resume is refused in one line, or goes on as it should."""

import math
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.small_run import SMALL

from lightning_gans.cli.main import main
from lightning_gans.errors import InputError, one_line
from lightning_gans.tracking.recorded import read_rows
from lightning_gans.training.restoring import PARTS

FOLDER = Path("runs/lightning_gans/job")
OPTIONS = [*SMALL, "--run.mode=disabled", "--run.id=job", "--evaluation.metrics=[]", "--checkpoint.monitor=null"]
OPTIONS += ["--trainer.limit_val_batches=0"]
MISSING = object()
VALUES = {
    "none": None,
    "list": [1],
    "int keys": {1: 2},
    "text": "x",
    "negative": -1,
    "nan": math.nan,
    "nested": [[{"a": [None]}]],
    "huge": 2**70,
    "missing": MISSING,
}
FIT, MODEL_CHECKPOINT = ("loops", "fit_loop"), ("callbacks", "ModelCheckpoint")
BATCHES, EPOCHS = (*FIT, "epoch_loop.batch_progress"), (*FIT, "epoch_progress")
OPTIMIZER = ("optimizer_states", 0)
INSIDE: list[tuple[Any, ...]] = [
    *(FIT, ("loops", "validate_loop"), (*FIT, "state_dict"), (*FIT, "epoch_loop.state_dict"), BATCHES, EPOCHS),
    *((*BATCHES, "total"), (*BATCHES, "total", "ready"), (*BATCHES, "current", "processed")),
    *((*BATCHES, "is_last_batch"), (*EPOCHS, "total"), (*EPOCHS, "current", "started"), (*EPOCHS, "current")),
    (*FIT, "epoch_loop.manual_optimization.optim_step_progress", "total", "completed"),
    *(MODEL_CHECKPOINT, (*MODEL_CHECKPOINT, "best_k_models"), (*MODEL_CHECKPOINT, "best_model_path")),
    *((*MODEL_CHECKPOINT, "dirpath"), (*MODEL_CHECKPOINT, "kth_value"), (*MODEL_CHECKPOINT, "best_model_score")),
    *(OPTIMIZER, (*OPTIMIZER, "state"), (*OPTIMIZER, "state", 0), (*OPTIMIZER, "state", 0, "step")),
    *((*OPTIMIZER, "state", 0, "exp_avg"), (*OPTIMIZER, "param_groups"), (*OPTIMIZER, "param_groups", 0)),
    *((*OPTIMIZER, "param_groups", 0, name) for name in ("lr", "betas", "params", "amsgrad", "foreach")),
    *(("hyper_parameters", name) for name in ("width", "lr", "preset", "lr_d")),
    *(("datamodule_hyper_parameters", "batch_size"), ("state_dict", "generator.model.0.weight")),
]
"""Where a value in a part stands; a callback by the beginning of its key."""


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """A run after one of its two epochs."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        main(["fit", *OPTIONS, "--trainer.max_epochs=1"])
    return folder


def mutated(checkpoint: Any, path: tuple[Any, ...], value: object) -> bool:
    """Put a value in the place of another; False where there is no such place."""
    *parents, last = path
    for key in parents:
        checkpoint = checkpoint[_key(checkpoint, key)]
    last = _key(checkpoint, last)
    if isinstance(checkpoint, dict) and last not in checkpoint:
        return False
    if value is MISSING:
        del checkpoint[last]
    else:
        checkpoint[last] = value
    return True


def _key(of: Any, key: Any) -> Any:
    return next((name for name in of if str(name).startswith(f"{key}{{")), key) if isinstance(of, dict) else key


def outcome(stopped: Path, path: tuple[Any, ...], value: object) -> str:
    """Of a resume: ``refused`` with a line, or ``used``, at the end of the second epoch and from where it was."""
    shutil.rmtree("runs", ignore_errors=True)
    shutil.copytree(stopped / "runs", "runs")
    file = FOLDER / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(file, weights_only=True)
    if not mutated(checkpoint, path, value):
        return "absent"
    torch.save(checkpoint, file)
    try:
        main(["fit", *OPTIONS, f"--ckpt_path={file}"])
    except InputError as error:
        assert "checkpoint" in str(error)
        return f"refused: {one_line(error)}"
    assert [row["generator_updates"] for row in read_rows(FOLDER / "metrics.csv")] == [1, 2, 3, 4, 5, 6]
    assert torch.load(file, weights_only=True)["global_step"] == 6
    return "used"


PLACES = [(part,) for part in PARTS] + [("hparams_name",), ("Digits",), *INSIDE]
SERIES = [(path, name) for path in PLACES for name in VALUES]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (("loops",), "none"),
        ((*OPTIMIZER, "param_groups", 0, "lr"), "missing"),
        ((*OPTIMIZER, "state", 0, "exp_avg"), "nan"),
        ((*FIT, "epoch_loop.manual_optimization.optim_step_progress", "total", "completed"), "missing"),
        ((*MODEL_CHECKPOINT, "best_k_models"), "int keys"),
    ],
    ids=str,
)
def test_a_part_that_is_not_what_it_should_be(path, name, stopped):
    assert outcome(stopped, path, VALUES[name]).startswith("refused")


def test_what_a_checkpoint_does_not_tell_costs_no_recorded_rows(stopped):
    assert outcome(stopped, ("samples_seen",), MISSING) == "used"


@pytest.mark.slow
def test_series(stopped):
    """Whatever is raised besides fails the test; those that no checkpoint of this run has are not tried."""
    found = Counter()
    for path, name in random.Random(0).sample(SERIES, 200):
        found[outcome(stopped, path, VALUES[name]).partition(":")[0]] += 1
    print(found)
    assert found["used"] + found["refused"] > 100 and found["used"] < found["refused"]
