"""The discriminators of spectra in bands, against the counts of the authors' code of Vocos."""

import pytest
import torch

from lightning_gans.networks.multi_band_stft_discriminator import BandSTFTDiscriminator, MultiBandSTFTDiscriminator


def test_published_size():
    network = MultiBandSTFTDiscriminator()
    counts = [sum(p.numel() for p in part.parameters()) for part in network.discriminators]
    assert counts == [471_330] * 3
    assert sum(counts) == 1_413_990


def test_bands():
    network = MultiBandSTFTDiscriminator(width=1)
    assert network.discriminators[0].bands == [(0, 102), (102, 256), (256, 512), (512, 768), (768, 1025)]
    assert network.discriminators[2].bands == [(0, 25), (25, 64), (64, 128), (128, 192), (192, 257)]


def test_logits_and_maps():
    """Of 16,384 samples; the first layer of each band gives no map."""
    outputs = MultiBandSTFTDiscriminator(width=2)(torch.randn(2, 1, 16_384))
    assert [tuple(logits.shape) for logits, _ in outputs] == [(2, 1, 33, 130), (2, 1, 65, 66), (2, 1, 129, 34)]
    assert [len(maps) for _, maps in outputs] == [20, 20, 20]
    bins = [102, 154, 256, 256, 257]
    for band, count in enumerate(bins):
        halves = [-(-count // 2), -(-count // 4), -(-count // 8), -(-count // 8)]
        assert [tuple(h.shape[1:]) for h in outputs[0][1][4 * band :][:4]] == [(2, 33, n) for n in halves]


def test_the_spectrum_knows_neither_loudness_nor_offset():
    """A tone of a whole number of periods in a frame: its peak of 0.8 is a quarter of the window's sum in its bin."""
    network = BandSTFTDiscriminator(64)
    tone = torch.cos(2 * torch.pi * 8 * torch.arange(640) / 64)[None, None]
    spectrum = network.spectrum(0.01 * tone + 0.3)
    assert spectrum.shape == (1, 2, 41, 33)
    middle = spectrum[0, :, 20]
    assert middle.square().sum(0).sqrt()[[7, 8, 9, 20]].tolist() == pytest.approx([6.4, 12.8, 6.4, 0], abs=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network.spectrum(0.01 * tone + 0.3), spectrum)


def test_bands_meet_in_the_last_layer_only():
    network = BandSTFTDiscriminator(256, width=2)
    spectrum = torch.randn(1, 2, 9, 129, requires_grad=True)
    network.spectrum = lambda audio: spectrum
    _, maps = network(torch.zeros(1, 1, 512))
    maps[7].sum().backward()  # the last of the second band
    touched = spectrum.grad.abs().sum((0, 1, 2)).nonzero().flatten()
    assert network.bands[1] == (12, 32) and (touched.min().item(), touched.max().item()) == (12, 31)
