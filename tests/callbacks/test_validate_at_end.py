"""The end of a run: what is reported, shown and kept is of the network that it ended with."""

import pytest
import torch
from helpers.small_run import fit, run_folder

from lightning_gans.callbacks.preemption import StopOnSignal
from lightning_gans.tracking.recorded import read_run

OPTIONS = ["--run.mode=offline", "--trainer.limit_train_batches=4", "--trainer.max_epochs=-1"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def validated(folder) -> list[float]:
    return [row["generator_updates"] for row in read_run(folder).rows if "val/sliced_wasserstein" in row]


@pytest.mark.parametrize("every", ["1", "10"])
def test_a_run_ends_with_a_validation(every, here):
    fit(*OPTIONS, f"--trainer.check_val_every_n_epoch={every}", "--trainer.max_steps=6")
    run = run_folder(here)
    assert validated(run) == ([4, 6] if every == "1" else [6])
    assert (run / "samples" / "00000006.png").is_file()
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 6
    (best,) = (path for path in (run / "checkpoints").iterdir() if path.name != "last.ckpt")
    (state,) = (state for key, state in last["callbacks"].items() if "ModelCheckpoint" in key and state["monitor"])
    assert state["best_model_path"] == str(best)
    if every == "10":
        assert best.name == "00000006.ckpt"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--trainer.max_steps=6", "--validate_at_end=false"], [4]),
        (["--trainer.max_steps=8"], [4, 8]),
        (["--trainer.max_steps=6", "--trainer.limit_val_batches=0", "--checkpoint.monitor=null"], []),
    ],
    ids=["not asked for", "done", "none at all"],
)
def test_not_twice_and_not_unasked(options, expected, here):
    fit(*OPTIONS, *options)
    assert validated(run_folder(here)) == expected


@pytest.mark.parametrize("options", [[], ["--ema=0.9"]], ids=["", "ema"])
def test_a_longer_run_is_the_one_that_was_never_stopped(options, here):
    options = [*OPTIONS, *options, "--trainer.check_val_every_n_epoch=2"]
    for name, steps in (("straight", [11]), ("parts", [6, 11])):
        for number in steps:
            fit(*options, f"--run.id={name}", "--ckpt_path=last", f"--trainer.max_steps={number}")
    states = [
        torch.load(f"runs/lightning_gans/{name}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("straight", "parts")
    ]
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)


def test_a_run_that_is_stopped_at_an_epochs_end_and_again_in_the_next(here, monkeypatch):
    """Lightning does not count the epoch as begun that a resumed run begins with."""
    stops, end = {4, 5}, StopOnSignal.on_train_batch_end

    def stop(self, trainer, module, *args):
        self.received = 143 if trainer.global_step in stops else 0
        stops.discard(trainer.global_step)
        end(self, trainer, module, *args)

    options = [*OPTIONS, "--ckpt_path=last", "--trainer.max_steps=10"]
    fit(*options, "--run.id=straight", "--trainer.limit_val_batches=1")
    monkeypatch.setattr(StopOnSignal, "on_train_batch_end", stop)
    while stops:
        with pytest.raises(SystemExit, match="143"):
            fit(*options, "--run.id=parts", "--trainer.limit_val_batches=1")
    fit(*options, "--run.id=parts", "--trainer.limit_val_batches=1")
    states = [
        torch.load(f"runs/lightning_gans/{name}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("straight", "parts")
    ]
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)
