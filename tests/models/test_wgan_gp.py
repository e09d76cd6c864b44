import math

import pytest
import torch
from helpers.tiny_runs import Log, TinyImages, fit, parameter_count
from torch import nn

from lightning_gans.errors import InputError
from lightning_gans.models import WGANGP

TINY = dict(channels=1, latent_dim=4, width=4)


def test_parameter_counts():
    """By hand from the shapes of the authors' ``gan_cifar.py``, batch norm's gains and shifts included."""
    with torch.device("meta"):
        model = WGANGP()
    up = 25 * (512 * 256 + 256 * 128 + 128 * 3) + 256 + 128 + 3
    norms = 2 * (8192 + 256 + 128)
    assert parameter_count(model.generator) == (128 + 1) * 8192 + up + norms == 5_179_907
    down = 25 * (3 * 128 + 128 * 256 + 256 * 512) + 128 + 256 + 512
    assert parameter_count(model.discriminator) == down + 8192 + 1 == 4_114_689


def test_the_critic_has_no_batch_norm():
    model = WGANGP(**TINY)
    assert not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.discriminator.modules())
    assert sum(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.generator.modules()) == 3
    # and so it judges an image alike in any company
    images = torch.randn(3, 1, 32, 32)
    torch.testing.assert_close(model.discriminator(images)[:1], model.discriminator(images[:1]))


@pytest.mark.parametrize("size", [28, 32, 64])
def test_sizes(size):
    model = WGANGP(size, **TINY)
    images = model(model.prior(2))
    assert images.shape == (2, 1, size, size)
    assert images.abs().max() <= 1
    assert model.discriminator(images).shape == (2, 1)
    with pytest.raises(InputError, match="image_size 48 does not halve down to 4"):
        WGANGP(48, **TINY)


def test_initialization():
    """The variance of a uniform law is a third of its bound's square."""
    model = WGANGP(width=32)
    # conv: fans of 3 * 25 and 32 * 25 / 4; transposed conv: 128 * 25 / 4 and 64 * 25; linear: 128 and 2048
    expected = {
        model.discriminator[0]: 4 / (75 + 200),
        model.generator[4]: 4 / (800 + 1600),
        model.generator[0]: 2 / (128 + 2048),
    }
    for layer, variance in expected.items():
        assert layer.weight.var().item() == pytest.approx(variance, rel=0.05)
        assert layer.weight.abs().max().item() <= math.sqrt(3 * variance)
        assert not layer.bias.any()


def test_optimizers():
    for optimizer in WGANGP(**TINY).configure_optimizers():
        assert type(optimizer) is torch.optim.Adam
        assert (optimizer.defaults["lr"], optimizer.defaults["betas"]) == (1e-4, (0.0, 0.9))


def test_prior():
    z = WGANGP(**TINY).prior(20_000)
    assert z.shape == (20_000, 4)
    assert z.max() > 3 and z.std().item() == pytest.approx(1, abs=0.01)


def test_losses_by_hand(monkeypatch):
    """A critic of the constant slope 3: the difference of the means, and lambda (3 - 1)^2 = 40."""
    z = torch.randn(4, 4)
    monkeypatch.setattr(WGANGP, "prior", lambda self, num, generator=None: z)
    model, data, log = WGANGP(**TINY, n_critic=1), TinyImages(batch_size=4, count=4), Log()
    critic = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 1, bias=False))
    nn.init.constant_(critic[1].weight, 3 / 32)  # of norm 3
    model.discriminator = critic
    fake, real = model(z).detach(), data.splits["train"].image / 127.5 - 1

    fit(model, data, logger=log, max_steps=1)
    (line,) = log.lines
    assert line["train/penalty"] == pytest.approx(4)
    assert line["train/loss_d"] == pytest.approx(3 / 32 * (fake.sum() - real.sum()).item() / 4, rel=1e-5)
    assert line["train/loss_g"] == pytest.approx(-critic(fake).mean().item(), rel=1e-5)  # after the critic's update


def test_five_critic_updates_for_one_of_the_generator():
    trainer = fit(WGANGP(**TINY), logger=(log := Log()), max_steps=2, max_epochs=-1)
    assert trainer.global_step == 2
    # a value stays in the log until its epoch, of four batches, ends
    assert [line["generator_updates"] for line in log.lines] == [0, 0, 0, 0, 1, 1, 1, 1, 1, 2]
