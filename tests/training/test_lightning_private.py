"""The private names of Lightning that training relies on are still there, and still do what they did."""

from helpers.tiny_runs import build, fit
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy

from lightning_gans.training import lightning_private as private


def test_the_names_of_strategies():
    strategy = DDPStrategy(bucket_cap_mb=1, ddp_comm_hook=len, ddp_comm_state=2)
    assert private.ddp_options(strategy) == {"bucket_cap_mb": 1}
    assert (strategy._ddp_comm_hook, strategy._ddp_comm_state) == (len, 2)
    assert callable(DDPStrategy._setup_model)


def test_the_step_of_the_latest_checkpoint(tmp_path):
    checkpoint = ModelCheckpoint(dirpath=tmp_path, every_n_train_steps=2)
    assert private.saved_step(checkpoint) == 0
    fit(build("gan"), callbacks=[checkpoint], max_steps=3, enable_checkpointing=True)
    assert private.saved_step(checkpoint) == 2


def test_the_trainer_of_a_module():
    module = build("gan")
    assert private.trainer_of(module) is None
    trainer = fit(module, max_steps=1)
    assert private.trainer_of(module) is trainer
