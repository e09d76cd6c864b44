"""The average of the generator's weights, on all papers and through checkpoints."""

import pytest
import torch
from helpers.small_run import fit as run
from helpers.tiny_runs import G_UPDATES, PAPERS, SaveAfter, build, data_for, fit, state
from lightning import Callback

from lightning_gans import zoo
from lightning_gans.errors import InputError
from lightning_gans.training.ema import AverageGenerator
from lightning_gans.training.resume import CURRENT_NETWORKS

DECAY = 0.75


class Seen(Callback):
    """G's weights after each update, and in validations."""

    def __init__(self) -> None:
        self.trained, self.evaluated = [], []

    def on_train_batch_end(self, trainer, module, *_):
        if trainer.global_step > len(self.trained):
            self.trained.append(state(module.generator))

    def on_validation_batch_end(self, trainer, module, *_):
        self.evaluated.append(state(module.generator))


def averaged(history, key):
    """By the definition, from the first update on."""
    value = history[0][key].double()
    for weights in history[1:]:
        value = DECAY * value + (1 - DECAY) * weights[key].double()
    return value


@pytest.mark.parametrize("name", PAPERS)
def test_validations_and_checkpoints_have_the_average(name, tmp_path):
    module, seen, average = build(name), Seen(), AverageGenerator(DECAY)
    trainer = fit(
        module, callbacks=[seen, average], max_steps=4, max_epochs=-1, limit_val_batches=1, val_check_interval=4
    )
    keys = [key for key, value in seen.trained[0].items() if value.is_floating_point()]
    assert len(seen.trained) == 4 and seen.evaluated
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    content = torch.load(tmp_path / "run.ckpt", weights_only=True)
    for key in keys:
        expected = averaged(seen.trained, key)
        torch.testing.assert_close(content["state_dict"][f"generator.{key}"].double(), expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(content[CURRENT_NETWORKS][f"generator.{key}"], seen.trained[-1][key], rtol=0, atol=0)
        torch.testing.assert_close(module.generator.state_dict()[key], seen.trained[-1][key], rtol=0, atol=0)
    released = zoo.fetch(tmp_path / "run.ckpt").state
    assert all(torch.equal(released[f"generator.{key}"], content["state_dict"][f"generator.{key}"]) for key in keys)
    # what was looked at in the last validation is the average of the updates up to there
    updates = G_UPDATES.get(name, (1, 2, 3, 4))[3]
    for key in keys:
        expected = averaged(seen.trained[:updates], key)
        torch.testing.assert_close(seen.evaluated[0][key].double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["gan", "dcgan_torch", "wavegan", "specgan"])
def test_a_resumed_run_goes_on_with_both(name, tmp_path):
    options = dict(max_steps=6, max_epochs=-1)
    straight, saver, average = build(name), SaveAfter(tmp_path / "mid.ckpt", 5), AverageGenerator(DECAY)
    fit(straight, callbacks=[average, saver], **options)
    resumed, again = build(name, seed=1), AverageGenerator(DECAY)
    fit(resumed, callbacks=[again], resume=saver.path, **options)
    torch.testing.assert_close(state(resumed), state(straight), rtol=0, atol=0)
    one, other = (state(callback.average) for callback in (average, again))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_training_does_not_see_it():
    plain, module = build("dcgan_torch"), build("dcgan_torch")
    fit(plain, max_steps=6, limit_val_batches=1)
    fit(module, callbacks=[AverageGenerator(DECAY)], max_steps=6, limit_val_batches=1)
    torch.testing.assert_close(state(module), state(plain), rtol=0, atol=0)


def test_resuming_without_it_is_refused(tmp_path):
    saver = SaveAfter(tmp_path / "mid.ckpt", 2)
    fit(build("gan"), callbacks=[AverageGenerator(DECAY), saver], max_steps=4)
    with pytest.raises(
        InputError, match="trained with an average of the generator's weights; resume with the same --ema"
    ):
        fit(build("gan"), resume=saver.path, max_steps=6)


def test_an_older_run_can_begin_with_it(tmp_path):
    saver = SaveAfter(tmp_path / "mid.ckpt", 2)
    fit(build("gan"), callbacks=[saver], max_steps=4)
    module, average = build("gan"), AverageGenerator(DECAY)
    fit(module, callbacks=[average], resume=saver.path, max_steps=3)
    torch.testing.assert_close(state(average.average.module["generator"]), state(module.generator), rtol=0, atol=0)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_training_has_its_weights_back_after_a_validation_that_failed(error):
    class Fail(Callback):
        def on_validation_batch_end(self, trainer, module, *_):
            seen.evaluated.append(state(module.generator))
            raise error

    module, seen = build("gan"), Seen()
    with pytest.raises((error, SystemExit)):  # Lightning exits after an interrupt
        fit(module, callbacks=[seen, AverageGenerator(DECAY), Fail()], limit_val_batches=1, val_check_interval=2)
    torch.testing.assert_close(state(module.generator), seen.trained[1], rtol=0, atol=0)
    assert not torch.equal(seen.evaluated[0]["output.weight"], seen.trained[1]["output.weight"])


def test_a_second_fit_begins_a_new_average():
    """Shorter than the first, whose count of updates it never reaches."""
    average = AverageGenerator(DECAY)
    fit(build("gan"), callbacks=[average], max_steps=4)
    module, seen = build("gan"), Seen()
    fit(module, callbacks=[seen, average], max_steps=3)
    for key, value in average.average.module["generator"].state_dict().items():
        torch.testing.assert_close(value.double(), averaged(seen.trained, key), rtol=1e-5, atol=1e-6)


def test_a_file_is_validated_as_it_is(tmp_path):
    """By a callback that has the average of another run."""
    average, seen, saver = AverageGenerator(DECAY), Seen(), SaveAfter(tmp_path / "other.ckpt", 2)
    fit(build("gan"), callbacks=[AverageGenerator(DECAY), saver])
    trainer = fit(module := build("gan", seed=1), callbacks=[seen, average], limit_val_batches=1)
    trainer.validate(module, data_for(module), ckpt_path=saver.path, verbose=False, weights_only=True)
    content = torch.load(saver.path, weights_only=True)["state_dict"]
    expected = {key.removeprefix("generator."): value for key, value in content.items() if key.startswith("generator")}
    torch.testing.assert_close(seen.evaluated[-1], expected, rtol=0, atol=0)


def test_a_checkpoint_of_a_validation_has_both_in_their_places(tmp_path):
    class SaveInValidation(Callback):
        def on_validation_batch_end(self, trainer, module, *_):
            trainer.save_checkpoint(tmp_path / "validation.ckpt")

    seen = Seen()
    callbacks = [seen, AverageGenerator(DECAY), SaveInValidation()]
    fit(build("gan"), callbacks=callbacks, limit_val_batches=1, val_check_interval=2)
    content = torch.load(tmp_path / "validation.ckpt", weights_only=True)
    key = "output.weight"
    assert torch.equal(content[CURRENT_NETWORKS][f"generator.{key}"], seen.trained[1][key])
    expected = averaged(seen.trained, key)
    torch.testing.assert_close(content["state_dict"][f"generator.{key}"].double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("decay", [0.0, 1.0, -1.0, 2.0])
def test_impossible_decays(decay):
    with pytest.raises(InputError, match=r"decay is .*; expected a number (above 0|below 1)"):
        AverageGenerator(decay)


def test_the_option(tmp_path, monkeypatch, capsys):
    """A run that is stopped, and resumed by its own config."""
    monkeypatch.chdir(tmp_path)
    run("--ema=0.5", "--trainer.max_steps=3")
    (checkpoint,) = tmp_path.glob("runs/lightning_gans/*/checkpoints/last.ckpt")
    content = torch.load(checkpoint, weights_only=True)
    (key, *_) = content[CURRENT_NETWORKS]
    assert not torch.equal(content["state_dict"][key], content[CURRENT_NETWORKS][key])
    with pytest.raises(SystemExit, match="2"):
        run("--trainer.max_steps=4", f"--ckpt_path={checkpoint}")
    assert "resume with the same --ema DECAY" in capsys.readouterr().err
    run("--ema=0.5", "--trainer.max_steps=4", f"--ckpt_path={checkpoint}")
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 4
