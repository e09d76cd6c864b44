"""Discriminators of magnitudes, against the counts of the authors' code."""

import numpy as np
import torch

from lightning_gans.networks.multi_resolution_discriminator import (
    MultiResolutionDiscriminator,
    ResolutionDiscriminator,
)


def test_published_size():
    network = MultiResolutionDiscriminator()
    sizes = [sum(p.numel() for p in part.parameters()) for part in network.discriminators]
    assert sizes == [93_634] * 3 and sum(sizes) == 280_902
    assert len(network.state_dict()) == 54


def test_lengths_and_maps():
    """Of 8,192 samples 4,617, 5,125 and 5,397 logits, behind five maps each."""
    outputs = MultiResolutionDiscriminator(width=2)(torch.randn(2, 1, 8192))
    assert [logits[0].numel() for logits, _ in outputs] == [4617, 5125, 5397]
    assert [tuple(h.shape[1:]) for h in outputs[0][1]] == [
        (2, 513, 68), (2, 513, 34), (2, 513, 17), (2, 513, 9), (2, 513, 9)
    ]  # fmt: skip


def test_magnitudes():
    """Of a frame in numpy: ends reflected, and a window of ones in the middle of its zeros."""
    audio = torch.rand(2, 1, 3000) - 0.5
    made = ResolutionDiscriminator((1024, 120, 600), 1).magnitude(audio)
    assert made.shape == (2, 1, 513, 25)
    padded = np.pad(audio[1, 0].double().numpy(), 452, mode="reflect")
    window = np.pad(np.ones(600), 212)
    for frame in (0, 3, 24):
        expected = np.abs(np.fft.rfft(padded[frame * 120 : frame * 120 + 1024] * window))
        np.testing.assert_allclose(made[1, 0, :, frame].numpy(), expected, atol=2e-5)


def test_silence_has_a_gradient():
    audio = torch.zeros(1, 1, 3000, requires_grad=True)
    network = MultiResolutionDiscriminator(width=2)
    sum(logits.sum() for logits, _ in network(audio)).backward()
    assert audio.grad.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
