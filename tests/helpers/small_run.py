"""A training of a second or two through the command line."""

from pathlib import Path

from lightning_gans.__main__ import main
from lightning_gans.callbacks import predictions, preemption
from lightning_gans.tracking import report, wandb

QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"]
SMALL = [
    "--config=dcgan_digits",
    "--model.width=2",
    "--data.batch_size=16",
    "--trainer.limit_train_batches=3",
    "--trainer.max_epochs=2",
    "--trainer.check_val_every_n_epoch=1",
    "--trainer.log_every_n_steps=1",
    "--trainer.num_sanity_val_steps=0",
    *QUIET,
]


def fit(*extra: str) -> None:
    main(["fit", *SMALL, *extra])


def run_folder(folder: Path) -> Path:
    """The only run below a folder."""
    (path,) = (folder / "runs" / "lightning_gans").iterdir()
    return path


def messages(monkeypatch) -> list[str]:
    """What is said to the user from here on; Lightning's own handler writes past pytest's capture."""
    said: list[str] = []
    for module in (predictions, preemption, report, wandb):
        monkeypatch.setattr(module, "rank_zero_info", said.append)
    return said
