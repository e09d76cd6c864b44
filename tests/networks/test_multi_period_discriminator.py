"""HiFi-GAN's multi-period discriminator, against the counts of the authors' code."""

import pytest
import torch
from torch.nn.utils import parametrize

from lightning_gans.networks.multi_period_discriminator import MultiPeriodDiscriminator, PeriodDiscriminator


def test_published_size():
    """41,105,770 parameters with weight norm, 41,092,165 without."""
    network = MultiPeriodDiscriminator()
    assert sum(p.numel() for p in network.parameters()) == 41_105_770
    folded = sum(m.weight.numel() + m.bias.numel() for m in network.modules() if parametrize.is_parametrized(m))
    assert folded == 41_092_165


def test_lengths_and_maps():
    """Of 8,192 samples: 102, 102, 105, 105, 110 logits, behind five maps each."""
    outputs = MultiPeriodDiscriminator(width=1 / 32)(torch.randn(2, 1, 8192))
    assert [logits[0].numel() for logits, _ in outputs] == [102, 102, 105, 105, 110]
    assert [[h.shape[1] for h in maps] for _, maps in outputs] == [[1, 4, 16, 32, 32]] * 5


@pytest.mark.parametrize("period", [2, 3, 5])
def test_phases_do_not_meet(period):
    """A sample reaches the logits of its own phase only."""
    audio = torch.randn(1, 1, 600, requires_grad=True)
    logits, _ = PeriodDiscriminator(period, width=1 / 8)(audio)
    logits[..., 1].sum().backward()
    touched = audio.grad[0, 0].nonzero().flatten() % period
    assert set(touched.tolist()) == {1}
