"""HiFi-GAN's multi-scale discriminator, against the counts and lengths of the authors' code."""

import pytest
import torch
from torch.nn.utils import parametrize

from lightning_gans.networks.multi_scale_discriminator import MultiScaleDiscriminator


def test_published_size():
    """Spectral norm has no parameters; 9,874,306 with weight norm each."""
    network = MultiScaleDiscriminator()
    sizes = [sum(p.numel() for p in part.parameters()) for part in network.discriminators]
    assert sizes == [9_870_209, 9_874_306, 9_874_306]
    folded = sum(m.weight.numel() + m.bias.numel() for m in network.modules() if parametrize.is_parametrized(m))
    assert folded == 29_610_627
    assert len(network.state_dict()) == 80
    groups = [[conv.groups for conv in part.convs] for part in network.discriminators]
    assert groups == [[1, 4, 16, 16, 16, 16, 1]] * 3


@pytest.mark.parametrize("strides, lengths", [((2, 2, 4, 4, 1), [128, 65, 33]), ((4, 4, 4, 4, 1), [32, 17, 9])])
def test_lengths_and_maps(strides, lengths):
    outputs = MultiScaleDiscriminator(strides, 1 / 32)(torch.randn(2, 1, 8192))
    assert [logits.shape for logits, _ in outputs] == [(2, 1, length) for length in lengths]
    assert [[h.shape[1] for h in maps] for _, maps in outputs] == [[4, 4, 8, 16, 32, 32, 32]] * 3


def test_pooling_by_hand():
    """Four samples to one in steps of two; at the ends, two zeros count."""
    network, seen = MultiScaleDiscriminator(width=1 / 32), []
    for part in network.discriminators:
        part.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0, 0]))
        part.forward = lambda audio: (audio, [])
    network(torch.arange(1.0, 9)[None, None])
    assert seen[1].tolist() == [(1 + 2) / 4, (1 + 2 + 3 + 4) / 4, 4.5, 6.5, (7 + 8) / 4]
    assert seen[2].tolist() == pytest.approx([(0.75 + 2.5) / 4, (0.75 + 2.5 + 4.5 + 6.5) / 4, (4.5 + 6.5 + 3.75) / 4])


def test_norms():
    """The first scale's matrices have a largest singular value of one; those of the others are their directions'."""
    network = MultiScaleDiscriminator(width=1 / 32)
    for _ in range(300):
        network(torch.randn(1, 1, 256))
    network.eval()
    first, *others = network.discriminators
    for conv in (*first.convs, first.conv_post):
        assert torch.linalg.matrix_norm(conv.weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-3)
    for part in others:
        for conv in (*part.convs, part.conv_post):
            assert set(conv.parametrizations["weight"].state_dict()) == {"original0", "original1"}
