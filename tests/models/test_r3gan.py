import math

import pytest
import torch
from helpers.tiny_runs import Log, TinyImages, fit, parameter_count
from torch import nn

from lightning_gans.errors import InputError
from lightning_gans.losses.penalties import judged
from lightning_gans.models import R3GAN
from lightning_gans.models.r3gan import Resample, ResidualBlock, half_cosine

TINY = dict(channels=1, latent_dim=4, widths=(8,) * 4, group_size=4, blocks=1)
LARGE = dict(group_size=32, num_classes=1000)


@pytest.mark.parametrize(
    ("arguments", "generator", "discriminator"),
    [
        (dict(), 20_732_160, 20_683_776),
        (dict(num_classes=10), 20_781_952, 21_280_512),
        (dict(image_size=64, widths=(768,) * 4 + (384,)), 22_429_824, 22_381_440),
        (dict(image_size=256, widths=(768,) * 4 + (384, 192, 96)), 23_057_952, 23_009_568),
        (dict(widths=(1536,) * 4, **LARGE), 82_914_304, 86_548_992),
        (dict(image_size=64, widths=(1536,) * 5, **LARGE), 103_570_432, 107_205_120),
    ],
)
def test_parameter_counts(arguments, generator, discriminator):
    """Those of the authors' code for each row of table 9."""
    with torch.device("meta"):
        model = R3GAN(**arguments)
    assert parameter_count(model.generator) == generator
    assert parameter_count(model.discriminator) == discriminator


def test_resampling_has_zeros_around_the_image():
    ones = torch.ones(1, 2, 4, 4)
    up = Resample(up=True)(ones)
    assert up.shape == (1, 2, 8, 8)
    assert [up[0, 0, 0, 0].item(), up[0, 1, 0, 3].item(), up[0, 1, 3, 3].item()] == [0.5625, 0.75, 1]
    assert (Resample(up=False)(ones) == 0.765625).all()


def test_a_block_is_the_identity_at_first():
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(ResidualBlock(8, 4, 1.0)(x), x)


def test_both_penalties_are_equal_at_first():
    """Every block is the identity, so that D is linear in the image."""
    critic = R3GAN(**TINY).discriminator
    (_, r1), (_, r2) = (judged(critic, torch.randn(2, 1, 32, 32)) for _ in range(2))
    torch.testing.assert_close(r1, r2)


def test_initialization():
    model = R3GAN(widths=(64,) * 4)
    first, grouped, last = (layer for layer in model.generator.layers[0].layers if isinstance(layer, nn.Conv2d))
    gain = math.sqrt(2 / 1.04) * 8**-0.25
    assert first.weight.std().item() == pytest.approx(gain / 8, rel=0.05)
    assert grouped.weight.std().item() == pytest.approx(gain / 12, rel=0.05)
    assert not last.weight.any()


def test_half_cosine():
    assert [half_cosine((2e-4, 5e-5), n) for n in (0, 0.5, 1, 3)] == pytest.approx([2e-4, 1.25e-4, 5e-5, 5e-5])


def test_labels_decide():
    model = R3GAN(num_classes=3, **TINY)
    z, label = model.prior(1), torch.eye(3)
    images = [model(z, row[None]) for row in label]
    assert not torch.equal(images[0], images[1])
    assert not torch.equal(*(model.discriminator(images[0], row[None]) for row in label[:2]))


@pytest.mark.parametrize("gain", [1, 2])
def test_losses_by_hand(gain, monkeypatch):
    """A critic of slope 3: R1 and R2 are 9 each; the losses compare each real image with one fake.

    D sees both augmented, here multiplied by the gain, and the penalties are of the images before that.
    """
    monkeypatch.setattr("lightning_gans.models.r3gan.augment", lambda image, p: gain * image)
    z = torch.randn(1, 4).expand(4, 4)  # equal fakes: the order of the real images does not matter
    monkeypatch.setattr(R3GAN, "prior", lambda self, num, generator=None: z)
    model, data, log = R3GAN(**TINY, gamma=(1.0, 1.0)), TinyImages(batch_size=4, count=4), Log()
    critic = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 1, bias=False))
    nn.init.constant_(critic[1].weight, 3 / 32)
    model.discriminator = type("Critic", (nn.Sequential,), {"forward": lambda s, x, label: s[0](x)})(critic)
    fake, real = model(z).detach(), data.splits["train"].image / 127.5 - 1
    gap = critic(gain * real) - critic(gain * fake)

    fit(model, data, logger=log, max_steps=1, max_epochs=2)
    first, second = log.lines[0], log.lines[-1]
    assert (first["train/r1"], first["train/r2"]) == (pytest.approx(9 * gain**2),) * 2
    assert first["train/loss_d"] == pytest.approx(nn.functional.softplus(-gap).mean().item(), rel=1e-4)
    gap = critic(gain * real) - critic(gain * fake)  # after the critic's update
    assert second["train/loss_g"] == pytest.approx(nn.functional.softplus(gap).mean().item(), rel=1e-4)


def test_schedules_count_the_images_that_d_has_seen(monkeypatch):
    """At a batch of four and a burn-in of 8 images: the third pair of steps is at the end."""
    seen, shares = [], []
    monkeypatch.setattr("lightning_gans.models.r3gan.augment", lambda image, p: shares.append(p) or image)

    class Watched(R3GAN):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            seen.append([(group["lr"], *group["betas"]) for o in self.trainer.optimizers for group in o.param_groups])

    fit(Watched(**TINY, burn_in=8), max_steps=3, max_epochs=-1)
    rates = [half_cosine((2e-4, 5e-5), n) for n in (0, 0, 0.5, 0.5, 1, 1)]
    moments = [half_cosine((0.9, 0.99), n) for n in (0, 0, 0.5, 0.5, 1, 1)]
    assert seen == [[(lr, 0.0, beta2)] * 2 for lr, beta2 in zip(rates, moments, strict=True)]
    assert shares == pytest.approx([0] * 4 + [0.275] * 4 + [0.55] * 4)  # real and generated images alike


def test_what_does_not_fit():
    with pytest.raises(InputError, match=r"4 widths, .* of 32 pixels, and image_size is 64"):
        R3GAN(64)
    with pytest.raises(InputError, match="whole groups of 16"):
        R3GAN(widths=(768, 768, 768, 100))
