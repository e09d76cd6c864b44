"""A run that was interrupted and resumed is the run that was not, bit for bit."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_runs import PAPERS, Log, SaveAfter, TinyImages, build, fit, state
from helpers.two_processes import INTERRUPTIONS, interrupted
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_gans.callbacks.last_checkpoint import LastCheckpoint
from lightning_gans.errors import InputError
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
@pytest.mark.parametrize(
    "options",
    [
        dict(every_n_epochs=1, save_on_train_epoch_end=True),
        dict(every_n_epochs=1),
        dict(every_n_train_steps=BATCHES),  # in the last batch, before the epoch's end
    ],
)
@pytest.mark.parametrize("length", [LENGTH, dict(max_steps=EPOCHS * BATCHES, max_epochs=-1, limit_val_batches=1)])
def test_at_an_epochs_end(name, options, length, tmp_path):
    model, log = paper(name), Log()
    saver = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, **options)
    trainer = fit(model, None, [saver], logger=log, enable_checkpointing=True, **length)
    assert_goes_on(name, tmp_path / "epoch=1.ckpt", model, trainer, log, length)


class StopAfter(Callback):
    """As early stopping and a limit of time do."""

    def __init__(self, batches: int) -> None:
        self.batches = batches

    def on_train_batch_end(self, trainer: Trainer, module: AdversarialModule, *_: Any) -> None:
        trainer.should_stop |= module.batches_seen + 1 == self.batches


ENDS = [BATCHES - 1, BATCHES, BATCHES + 1, 2 * BATCHES - 1, 2 * BATCHES]
VALIDATED = dict(limit_val_batches=1, val_check_interval=2)


@pytest.mark.parametrize(
    ("name", "way", "batches", "options", "accumulate"),
    [
        *(("gan", way, batches, {}, 1) for way in ("max_steps", "stopped", "by_hand") for batches in ENDS),
        *(("gan", "max_steps", batches, VALIDATED, 1) for batches in ENDS),
        *(("gan", "stopped", batches, {}, 2) for batches in ENDS),
        *(("dcgan_paper", "stopped", batches, VALIDATED, 1) for batches in ENDS[1:3]),
    ],
)
def test_a_longer_run_from_the_end_of_a_finished_one(name, way, batches, options, accumulate, tmp_path):
    """Before, at and behind an epoch's end: the batches that it has not seen come first."""
    callbacks = [AccumulateGradients(accumulate)] if accumulate > 1 else []
    whole = dict(max_steps=-1, max_epochs=EPOCHS) | options
    model, log = paper(name), Log()
    trainer = fit(model, None, callbacks, logger=log, **whole)

    ends = [] if way == "max_steps" else [StopAfter(batches)]
    short = whole | dict(max_steps=batches, max_epochs=-1) if way == "max_steps" else whole
    saver = LastCheckpoint()
    saver.dirpath = str(tmp_path)
    saves = [] if way == "by_hand" else [saver]
    first = fit(paper(name), None, [*callbacks, *saves, *ends], enable_checkpointing=bool(saves), **short)
    if not saves:
        first.save_checkpoint(tmp_path / "last.ckpt")
    assert_goes_on(name, tmp_path / "last.ckpt", model, trainer, log, whole, callbacks)


def test_another_batch_size_in_the_middle_of_an_epoch(tmp_path):
    """Is refused, unless as many examples make a batch of all processes; at an epoch's end any will do."""
    for batches, refused in ((BATCHES + 2, True), (2 * BATCHES, False)):
        saver = SaveAfter(tmp_path / f"{batches}.ckpt", batches)
        fit(build("gan"), TinyImages(batch_size=4), [saver], **LENGTH)
        again = partial(fit, build("gan"), TinyImages(batch_size=2), resume=saver.path, **LENGTH)
        if refused:
            with pytest.raises(InputError, match=r"batches of 4 .* of 2.*--global_batch_size 4"):
                again()
        else:
            again()


def test_a_checkpoint_of_weights_alone(tmp_path):
    trainer = fit(build("gan"))
    trainer.save_checkpoint(tmp_path / "weights.ckpt", weights_only=True)
    trainer.save_checkpoint(tmp_path / "whole.ckpt")
    whole = torch.load(tmp_path / "whole.ckpt", weights_only=True)
    torch.save({key: value for key, value in whole.items() if key != "loops"}, tmp_path / "no_loops.ckpt")
    for name in ("weights", "no_loops"):
        with pytest.raises(InputError, match="--init_from"):
            fit(build("gan"), resume=tmp_path / f"{name}.ckpt")
