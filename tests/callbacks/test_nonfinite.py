from types import SimpleNamespace

import pytest
import torch
from helpers.small_run import fit, run_folder
from helpers.small_trainer import Noise, trainer
from helpers.tiny_runs import build

from lightning_gans.__main__ import main
from lightning_gans.callbacks.nonfinite import NonFiniteLoss, StopAtNonFiniteLoss
from lightning_gans.models import GAN
from lightning_gans.training.nonfinite import NonFiniteLosses


class Explode(GAN):
    """A GAN whose generator's loss is NaN in batch 3, or whose weights are, which the loss tells a batch later."""

    def __init__(self, what: str) -> None:
        super().__init__((1, 4, 4), latent_dim=3, hidden=8, units=4)
        self.what = what
        given = self.loss.generator
        self.loss = self.loss._replace(
            generator=lambda fake: given(fake) * (torch.nan if self.what == "loss" and self.batches_seen == 3 else 1)
        )

    def training_step(self, batch, batch_idx) -> None:
        super().training_step(batch, batch_idx)
        if self.what == "weights" and self.batches_seen == 3:
            self.generator.hidden1.weight.data[0, 0] = torch.inf


@pytest.mark.parametrize("what", ["loss", "weights"])
def test_what_is_not_finite_stays_out_of_every_checkpoint(what, here):
    from lightning.pytorch.callbacks import ModelCheckpoint

    every = ModelCheckpoint(dirpath=here, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    run = trainer(StopAtNonFiniteLoss(), every, enable_checkpointing=True)
    with pytest.raises(NonFiniteLoss) as raised:
        run.fit(Explode(what), Noise())
    kept = sorted(here.glob("*.ckpt"), key=lambda path: path.stat().st_mtime)
    assert len(kept) >= 3 and str(kept[-1]) in str(raised.value)
    for path in kept:
        assert all(value.isfinite().all() for value in torch.load(path, weights_only=True)["state_dict"].values())
    told = "the loss of Explode's generator is not finite at batch 3" if what == "loss" else "generator.hidden1.weight"
    assert told in str(raised.value) and "\n" not in str(raised.value)


def test_the_command_line_stops_at_a_loss_that_is_not_finite(here, capsys):
    fit("--trainer.max_epochs=1", "--run.name=good")
    good = run_folder(here) / "checkpoints" / "last.ckpt"
    with pytest.raises(SystemExit) as stop:
        fit("--model.lr=1e30", f"--init_from={good}", "--trainer.max_epochs=5")
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lightning-gans")]
    assert line.startswith("lightning-gans: error: the loss of DCGAN's") and "is not finite at batch 0" in line
    assert main.__module__ == "lightning_gans.__main__"


def test_the_network_that_went_first_is_named():
    """D's infinite loss infects G within the same batch."""
    losses = NonFiniteLosses()
    losses.first = {"d": torch.tensor(4), "g": torch.tensor(4)}
    module = SimpleNamespace(networks={"g": "generator", "d": "discriminator"}, nonfinite=losses)
    run = SimpleNamespace(strategy=SimpleNamespace(reduce=lambda tensor, reduce_op: tensor), checkpoint_callbacks=[])
    with pytest.raises(NonFiniteLoss, match="discriminator is not finite at batch 4"):
        StopAtNonFiniteLoss().check(run, module)
    losses.first["g"] = torch.tensor(3)
    with pytest.raises(NonFiniteLoss, match="generator is not finite at batch 3"):
        StopAtNonFiniteLoss().check(run, module)


def test_statistics_that_are_not_finite_on_another_rank_stop_this_one():
    """Else it would wait for the other one; the reduction is replaced by the other's judgement."""
    module = build("dcgan_torch")
    names = [name for name, value in module.state_dict().items() if value.is_floating_point()]
    other = torch.tensor([float(name != "generator.2.running_var") for name in names])
    strategy = SimpleNamespace(reduce=lambda tensor, reduce_op: {"min": torch.minimum}[reduce_op](tensor, other))
    run = SimpleNamespace(strategy=strategy, checkpoint_callbacks=[])
    module._trainer = SimpleNamespace(fit_loop=SimpleNamespace(total_batch_idx=7))
    with pytest.raises(NonFiniteLoss, match=r"DCGAN \(generator.2.running_var\) are not finite after batch 7"):
        StopAtNonFiniteLoss().on_save_checkpoint(run, module, {"state_dict": module.state_dict()})
