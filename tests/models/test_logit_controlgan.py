"""What is this form's own; what both forms share is in test_controlgan.py."""

import math

import pytest
import torch
from helpers.tiny_runs import CLASSES, SIZE, Gradients, Log, fit, parameter_count, weights
from torch import nn

from lightning_gans.errors import InputError
from lightning_gans.models import ControlGAN, LogitControlGAN

TINY = dict(image_size=SIZE, channels=1, num_classes=CLASSES, labels="class", latent_dim=4, width=4)


def test_parameter_counts():
    """D is DCGAN's, half as wide and without biases; G and C are those of the first form."""
    with torch.device("meta"):
        model, first = LogitControlGAN(), ControlGAN()
    kernels = 25 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512)
    assert parameter_count(model.discriminator) == kernels + 2 * (128 + 256 + 512) + 512 * 16 == 4_315_584
    for network in ("generator", "classifier"):
        assert parameter_count(getattr(model, network)) == parameter_count(getattr(first, network))


def test_unknown_loss():
    with pytest.raises(InputError, match=r"unknown loss 'minimax'; expected non_saturating .* wasserstein"):
        LogitControlGAN(**TINY, loss="minimax")


@pytest.mark.parametrize("loss", ["non_saturating", "hinge", "least_squares", "wasserstein"])
@pytest.mark.parametrize("penalty_weight", [0.0, 10.0])
def test_logit_form(loss, penalty_weight):
    model = LogitControlGAN(**TINY, penalty_weight=penalty_weight, loss=loss)
    norms = sum(isinstance(layer, nn.BatchNorm2d) for layer in model.discriminator)
    assert norms == (0 if penalty_weight else 2)
    assert not any(p.any() for name, p in model.discriminator.named_parameters() if name.endswith("bias"))
    before, log = weights(model), Log()
    trainer = fit(model, callbacks=[gradients := Gradients()], logger=log)
    assert set(gradients.largest) == set(before)
    assert all(tensor.isfinite().all() for tensor in weights(model).values())
    # a fresh critic is indifferent, and flat: 10 (0 - 1)^2
    indifferent = {"non_saturating": math.log(4), "hinge": 2, "least_squares": 0.5, "wasserstein": 0}[loss]
    assert log.lines[0]["train/loss_d"] == pytest.approx(indifferent + penalty_weight, rel=0.05, abs=0.3)
    assert trainer.lr_scheduler_configs == []
    assert not any("balance" in key or "convergence" in key for key in log.lines[-1])
