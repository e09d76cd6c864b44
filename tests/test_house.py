"""The import rules, and what adding a paper takes: its file, a config, and one import."""

import ast
import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.small_run import QUIET
from torch import Tensor

import lightning_gans
from lightning_gans import models
from lightning_gans.audio import CONVENTIONS

PACKAGE = Path(lightning_gans.__file__).parent
ROOT = PACKAGE.parent

NEW_PAPER = '''"""A Paper of Tomorrow, https://arxiv.org/abs/2999.00001."""

import torch
from torch import nn

from lightning_gans.losses import adversarial_loss
from lightning_gans.training.adversarial_module import AdversarialModule


class Tomorrow(AdversarialModule):
    """Two linear maps and the hinge loss."""

    def __init__(self, image_size: int = 64, latent_dim: int = 4, lr: float = 1e-3) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.generator = nn.Sequential(nn.Linear(latent_dim, image_size**2), nn.Tanh())
        self.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(image_size**2, 1))
        self.loss = adversarial_loss("hinge")

    def prior(self, num, generator=None):
        return torch.randn(num, self.hparams.latent_dim, generator=generator)

    def forward(self, z):
        return self.generator(z).unflatten(1, (1, self.hparams.image_size, self.hparams.image_size))

    def generate(self, batch):
        return self(self.prior(len(batch.image)))

    def training_step(self, batch, batch_idx):
        optimizer_g, optimizer_d = self.optimizers()
        fake = self.generate(batch)
        with self.toggled_optimizer(optimizer_d):
            loss_d = self.loss.discriminator(self.discriminator(batch.image), self.discriminator(fake.detach()))
            self.update(optimizer_d, loss_d)
        with self.toggled_optimizer(optimizer_g):
            loss_g = self.loss.generator(self.discriminator(fake))
            self.update(optimizer_g, loss_g, clip_norm=1.0)
        self.log_dict({"train/loss_d": loss_d, "train/loss_g": loss_g})

    def configure_optimizers(self):
        return [torch.optim.Adam(network.parameters(), self.hparams.lr) for network in self.children()]
'''

NEW_CONFIG = """\
model: {class_path: Tomorrow, init_args: {image_size: 32}}
data: {class_path: Digits, init_args: {batch_size: 300}}
trainer: {max_epochs: 50, val_check_interval: 3, log_every_n_steps: 1}
evaluation: {metrics: [sliced_wasserstein]}
checkpoint: {monitor: val/sliced_wasserstein, save_top_k: -1}
"""


@pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="the rules stand in the checkout's pyproject.toml")
def test_import_rules():
    """In a process of its own, since import-linter switches off the loggers that are there."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_central_knows_a_paper():
    papers = set(models.__all__)
    files = {getattr(models, paper).__module__.rpartition(".")[2] for paper in papers}
    conventions = set(CONVENTIONS)  # of features, some of which are called like papers
    for path in PACKAGE.rglob("*.py"):
        if path.is_relative_to(PACKAGE / "models") or path.is_relative_to(PACKAGE / "importers"):
            continue  # an importer is a paper's own: it knows the names in its authors' files
        if path == PACKAGE / "zoo" / "moved.py":
            continue  # the past of papers, which a new one does not have
        for node in ast.walk(ast.parse(path.read_text())):
            known = {getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "name", None)} & papers
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                known |= {node.value} & (papers | files - conventions)
            if isinstance(node, ast.ImportFrom):
                known |= set((node.module or "").split(".")) & files
            assert not known, f"{path}, line {node.lineno}: {known}"


@pytest.mark.parametrize("paper", models.__all__)
def test_a_paper_has_its_files(paper):
    file = getattr(models, paper).__module__.rpartition(".")[2]
    assert paper.lower() == file.replace("_", "")
    assert (PACKAGE / "models" / f"{file}.py").is_file()
    assert (Path(__file__).parent / "models" / f"test_{file}.py").is_file()
    assert list((ROOT / "configs").glob(f"{file}_*.yaml"))
    # the citation comes first
    assert "https://arxiv.org/abs/" in (PACKAGE / "models" / f"{file}.py").read_text().partition("\n\n")[0]


def values(checkpoint: Path) -> dict[str, Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def test_a_new_paper(tmp_path):
    """A model's file, a config and an import: the command line trains, resumes, samples and exports the paper."""
    package = tmp_path / "lightning_gans"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    (package / "models" / "tomorrow.py").write_text(NEW_PAPER)
    with (package / "models" / "__init__.py").open("a") as file:
        file.write('from lightning_gans.models.tomorrow import Tomorrow\n\n__all__ += ["Tomorrow"]\n')
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / "configs" / "tomorrow_digits.yaml").write_text(NEW_CONFIG)
    (tmp_path / "zoo").mkdir()

    runs, short = Path("runs/lightning_gans"), f"--config tomorrow_digits {' '.join(QUIET)} --trainer.max_steps"
    commands = [
        f"fit {short} 3 --run.id begun",
        f"fit {short} 6 --run.id begun --ckpt_path last",
        f"fit {short} 6 --run.id whole",
        f"test {short} 6 --ckpt_path {runs}/whole/checkpoints/last.ckpt",
        f"zoo export {runs}/whole/checkpoints/last.ckpt --output zoo --name tomorrow_digits --float32",
        f"sample {runs}/whole/checkpoints/last.ckpt --num 4 --output of_run.png",
        "sample zoo/tomorrow_digits.safetensors --num 4 --output of_zoo.png",
    ]
    script = "import sys; from lightning_gans.__main__ import main\nfor line in sys.stdin: main(line.split())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        input="\n".join(commands),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "WANDB_MODE": "disabled", "LIGHTNING_GANS_DATA": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "test/sliced_wasserstein" in done.stdout

    begun, whole = (values(tmp_path / runs / name / "checkpoints" / "last.ckpt") for name in ("begun", "whole"))
    torch.testing.assert_close(begun, whole, rtol=0, atol=0)
    before = values(tmp_path / runs / "begun" / "checkpoints" / "00000003.ckpt")
    assert all(not torch.equal(before[key], whole[key]) for key in whole)
    rows = list(csv.DictReader((tmp_path / runs / "begun" / "metrics.csv").open()))
    rows = [row for row in rows if row["train/loss_g"]]
    assert [float(row["generator_updates"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all(float(row["train/grad_norm_g"]) > 0 for row in rows)
    assert (tmp_path / "of_run.png").read_bytes() == (tmp_path / "of_zoo.png").read_bytes()
