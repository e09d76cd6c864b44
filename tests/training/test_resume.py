"""A run that was interrupted and resumed is the run that was not, bit for bit."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from helpers.tiny_runs import PAPERS, Log, SaveAfter, build, fit, state
from helpers.two_processes import INTERRUPTIONS, interrupted
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_gans.models import ControlGAN
from lightning_gans.training.accumulation import AccumulateGradients
from lightning_gans.training.adversarial_module import AdversarialModule
from lightning_gans.training.resume import GRADIENTS

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*callbacks used to create the checkpoint.*", "ignore:.*no pre-optimization state.*"
)
EPOCHS, BATCHES = 3, 4
LENGTH = dict(max_steps=-1, max_epochs=EPOCHS, limit_val_batches=1)


def paper(name: str) -> AdversarialModule:
    """ControlGAN with controllers that move fast, and rates that are halved soon."""
    if name != "controlgan":
        return build(name)
    torch.manual_seed(0)
    return ControlGAN(
        **build(name).hparams | dict(width=2, gamma_rate=0.5, balance_rate=0.5, patience=0, diversity=0.9, lr_c=1e-2)
    )


def momenta(trainer: Trainer) -> list[list[torch.Tensor]]:
    return [
        [value for of_parameter in optimizer.state.values() for value in of_parameter.values()]
        for optimizer in trainer.optimizers
    ]


def assert_goes_on(
    name: str,
    checkpoint: Path,
    straight: AdversarialModule,
    trainer: Trainer,
    log: Log,
    length: dict[str, int] = LENGTH,
    callbacks: Sequence[Callback] = (),
) -> None:
    resumed_log, resumed = Log(), paper(name)
    with torch.no_grad():
        for parameter in resumed.parameters():
            parameter.add_(1)  # everything has to come from the file
    resumed_trainer = fit(resumed, None, callbacks, logger=resumed_log, resume=checkpoint, **length)
    torch.testing.assert_close(state(resumed), state(straight), rtol=0, atol=0)
    torch.testing.assert_close(momenta(resumed_trainer), momenta(trainer), rtol=0, atol=0)
    rates = [[o.param_groups[0]["lr"] for o in t.optimizers] for t in (trainer, resumed_trainer)]
    assert rates[0] == rates[1]
    losses = [[line for line in lines if "train/loss_g" in line] for lines in (log.lines, resumed_log.lines)]
    assert 0 < len(losses[1]) < len(losses[0])
    expected = losses[0][-len(losses[1]) :]
    # a line also shows what earlier batches of the epoch logged, which a resumed run has not seen
    assert [{k: line[k] for k in seen} for line, seen in zip(expected, losses[1], strict=True)] == losses[1]
    assert resumed_trainer.global_step == trainer.global_step


@pytest.mark.parametrize("name", PAPERS)
def test_mid_epoch(name, tmp_path):
    model, log = paper(name), Log()
    saver = SaveAfter(tmp_path / "mid.ckpt", BATCHES + 2)
    trainer = fit(model, None, [saver], logger=log, **LENGTH)
    assert_goes_on(name, saver.path, model, trainer, log)


@pytest.mark.parametrize("where", INTERRUPTIONS)
def test_in_either_epoch_with_processes_that_load_or_without(where, tmp_path):
    """On one process; on two in test_distributed.py."""
    straight, resumed, began = interrupted(tmp_path, 1, *where)
    torch.testing.assert_close(resumed, straight, rtol=0, atol=0)
    assert not torch.equal(began["generator.1.weight"], straight["generator.1.weight"])


@pytest.mark.parametrize("name", PAPERS)
def test_between_the_batches_of_an_update(name, tmp_path):
    """The gradients of the batches before are in the checkpoint."""
    model, log = paper(name), Log()
    saver, accumulate = SaveAfter(tmp_path / "mid.ckpt", BATCHES + 1), AccumulateGradients(3)
    trainer = fit(model, None, [saver, accumulate], logger=log, **LENGTH)
    saved = torch.load(saver.path, weights_only=True)[GRADIENTS]
    assert saved and all(part["batches"] in (1, 2) for part in saved.values())
    assert_goes_on(name, saver.path, model, trainer, log, callbacks=[AccumulateGradients(3)])


@pytest.mark.parametrize("name", ["gan", "controlgan", "dcgan_paper"])
def test_in_the_end_hook_of_an_epochs_last_batch(name, tmp_path):
    model, log = paper(name), Log()
    saver = SaveAfter(tmp_path / "last_batch.ckpt", BATCHES)
    trainer = fit(model, None, [saver], logger=log, **LENGTH)
    assert_goes_on(name, saver.path, model, trainer, log)


@pytest.mark.parametrize("name", ["gan", "controlgan"])
@pytest.mark.parametrize("options", [dict(every_n_epochs=1, save_on_train_epoch_end=True), dict(every_n_epochs=1)])
@pytest.mark.parametrize("length", [LENGTH, dict(max_steps=EPOCHS * BATCHES, max_epochs=-1, limit_val_batches=1)])
def test_at_an_epochs_end(name, options, length, tmp_path):
    model, log = paper(name), Log()
    saver = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, **options)
    trainer = fit(model, None, [saver], logger=log, enable_checkpointing=True, **length)
    assert_goes_on(name, tmp_path / "epoch=1.ckpt", model, trainer, log, length)


def test_a_longer_run_from_the_end_of_a_finished_one(tmp_path):
    """``max_steps`` first 6, in mid-epoch, then 12."""
    model, log = paper("gan"), Log()
    trainer = fit(model, logger=log, **LENGTH)
    saver = ModelCheckpoint(tmp_path, save_last=True, every_n_train_steps=3)
    fit(paper("gan"), None, [saver], enable_checkpointing=True, max_steps=6, limit_val_batches=1)
    assert_goes_on("gan", tmp_path / "last.ckpt", model, trainer, log)
