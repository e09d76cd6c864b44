"""A training step of every paper as on a GPU: no mixed devices, and no wait of the host for the device."""

import inspect

import pytest
import torch
from helpers.fake_cuda import DEVICE, PRECISIONS, fake_cuda, fit, run_backward
from helpers.tiny_runs import PAPERS, build
from torch import nn

from lightning_gans import models
from lightning_gans.losses import gradient_penalty
from lightning_gans.models import DCGAN


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", models.__all__)
def test_every_paper_with_its_defaults(name, precision):
    paper = getattr(models, name)
    early = {"discriminator_start": 0, "classifier_updates": 1}
    now = {key: value for key, value in early.items() if key in inspect.signature(paper).parameters}
    with fake_cuda():
        check(paper(**now), precision)


CLASSES = {name.lower() for name in models.__all__}


@pytest.mark.parametrize("name", [name for name in PAPERS if name.replace("_", "") not in CLASSES])
def test_choices_of_papers(name):
    with fake_cuda():
        check(build(name), "bf16-mixed")


def check(module, precision):
    trainer = fit(module, precision)
    assert trainer.global_step >= 1
    assert {tensor.device for tensor in module.state_dict().values()} == {DEVICE}
    for optimizer in trainer.optimizers:
        moved = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        assert moved and {p.grad.device for p in moved} == {DEVICE}


class LooksAtTheLoss(DCGAN):
    def update(self, optimizer, loss, clip_norm=None):
        if loss.item() > 100:
            return False
        return super().update(optimizer, loss, clip_norm)


class HidesATensor(DCGAN):
    def __init__(self, **options):
        super().__init__(**options)
        self.scale = torch.ones(1, 1, 1, 4)  # no buffer, and so it stays on the host

    def forward(self, z):
        return super().forward(z) * self.scale.repeat(1, 1, 1, 8)


class KeepsTheGood(DCGAN):
    def generate(self, batch):
        fake = super().generate(batch)
        return fake[fake.mean((1, 2, 3)) > 0]


@pytest.mark.parametrize(
    "paper, message",
    [
        (LooksAtTheLoss, "_local_scalar_dense"),
        (HidesATensor, "two different devices cuda:0, cpu"),
        (KeepsTheGood, "nonzero"),
    ],
)
def test_what_is_found(paper, message):
    with fake_cuda(), pytest.raises(Exception, match=message):
        fit(paper(preset="torch", image_size=32, channels=1, latent_dim=4, width=4))


def test_the_engine_of_the_test_computes_what_torchs_does(monkeypatch):
    critic = nn.Sequential(
        nn.Conv2d(1, 4, 3, 2, 1), nn.LeakyReLU(0.2), nn.GroupNorm(1, 4), nn.Flatten(), nn.Linear(64, 1)
    )
    real, fake = torch.randn(2, 3, 1, 8, 8)

    def gradients():
        torch.manual_seed(0)
        critic.zero_grad()
        (gradient_penalty(critic, real, fake) + critic(real).mean()).backward()
        return {name: parameter.grad.clone() for name, parameter in critic.named_parameters()}

    expected = gradients()
    monkeypatch.setattr("torch.autograd._engine_run_backward", run_backward)
    torch.testing.assert_close(gradients(), expected)
