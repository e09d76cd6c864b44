"""The import rules, and what adding a paper takes: a model, a config, a card, a test, and one import line."""

import ast
import importlib.util
from pathlib import Path

import pytest
import torch
from helpers.tiny_runs import Log, SaveAfter, fit, weights
from helpers.tiny_zoo import FILLED, rewrite
from importlinter.cli import lint_imports

import lightning_gans
from lightning_gans import models, zoo
from lightning_gans.audio import CONVENTIONS
from lightning_gans.zoo.weights import build, fetch

PACKAGE = Path(lightning_gans.__file__).parent
ROOT = PACKAGE.parent

NEW_PAPER = '''"""A Paper of Tomorrow, https://arxiv.org/abs/2999.00001."""

import torch
from torch import nn

from lightning_gans.losses import adversarial_loss
from lightning_gans.training.adversarial_module import AdversarialModule


class Tomorrow(AdversarialModule):
    """Two linear maps and the hinge loss."""

    def __init__(self, image_size: int = 32, latent_dim: int = 4, lr: float = 1e-3) -> None:
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


@pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="the rules stand in the checkout's pyproject.toml")
def test_import_rules(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True, no_logo=True) == 0


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
    assert paper.lower().endswith(file.replace("_", ""))
    assert (PACKAGE / "models" / f"{file}.py").is_file()
    assert (Path(__file__).parent / "models" / f"test_{file}.py").is_file()
    assert list((ROOT / "configs").glob(f"{file}_*.yaml"))
    # the citation comes first
    assert "https://arxiv.org/abs/" in (PACKAGE / "models" / f"{file}.py").read_text().partition("\n\n")[0]


def test_a_new_paper(tmp_path, monkeypatch):
    """Thirty lines, and a name in ``models``: it trains, resumes, samples, and goes into the zoo and back."""
    path = tmp_path / "tomorrow.py"
    path.write_text(NEW_PAPER)
    spec = importlib.util.spec_from_file_location("tomorrow", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(models, "Tomorrow", module.Tomorrow, raising=False)
    monkeypatch.setattr(models, "__all__", [*models.__all__, "Tomorrow"])

    model, log = models.Tomorrow(), Log()
    before = weights(model)
    saver = SaveAfter(tmp_path / "run.ckpt", batches=6)
    trainer = fit(model, callbacks=[saver], logger=log, max_steps=9)
    assert trainer.global_step == 9
    assert all(not torch.equal(before[key], tensor) for key, tensor in weights(model).items())
    assert log.lines[0]["generator_updates"] == 1
    assert log.lines[0]["train/grad_norm_g"] > 0

    resumed = models.Tomorrow()
    fit(resumed, resume=saver.path, max_steps=9)
    torch.testing.assert_close(weights(resumed), weights(model), rtol=0, atol=0)

    trainer.save_checkpoint(tmp_path / "end.ckpt")
    exported = zoo.export(tmp_path / "end.ckpt", tmp_path / "zoo", "tomorrow_noise", half=False)
    loaded = build(fetch(exported.weights))
    assert dict(loaded.hparams) == dict(image_size=32, latent_dim=4, lr=1e-3)
    rewrite(exported.card, **FILLED)
    monkeypatch.setenv("LIGHTNING_GANS_ZOO", str(tmp_path / "zoo"))
    torch.testing.assert_close(zoo.load("tomorrow_noise").sample(3, seed=0), model.sample(3, seed=0), rtol=0, atol=0)
