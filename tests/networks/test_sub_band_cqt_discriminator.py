"""Discriminators of constant-Q spectra, against the counts and lengths of the authors' code."""

import pytest
import torch
from torch.nn.functional import leaky_relu

from lightning_gans.audio import cqt
from lightning_gans.networks.sub_band_cqt_discriminator import MultiScaleSubBandCQTDiscriminator


@pytest.mark.parametrize("width, parameters", [(32, 286_368), (128, 4_454_304)])
def test_published_size(width, parameters):
    with torch.device("meta"):
        network = MultiScaleSubBandCQTDiscriminator(24000, width=width)
    assert sum(p.numel() for p in network.parameters()) == parameters
    # theirs are 120: with a kernel of the resampling and four tensors of the transform in each of three
    assert len(network.state_dict()) == 120 - 3 * 5


def test_lengths_and_maps():
    network = MultiScaleSubBandCQTDiscriminator(24000, width=1)
    outputs = network(torch.rand(1, 1, 65536) - 0.5)
    assert [tuple(logits.shape) for logits, _ in outputs] == [(1, 1, 257, 27), (1, 1, 513, 41), (1, 1, 513, 54)]
    assert [tuple(h.shape[2:]) for h in outputs[0][1]] == [(257, n) for n in (216, 108, 54, 27, 27)]


def test_octaves_have_a_first_layer_each():
    """Written out for one of them: the lowest octave goes through the first of the layers."""
    network = MultiScaleSubBandCQTDiscriminator(8000, (256,), (3,), width=2)
    (part,), audio = network.discriminators, torch.rand(2, 1, 2048) - 0.5
    octaves = cqt.octaves_of(audio, 9)
    spectrum = cqt.constant_q(octaves, 16000, 256, 3)
    logits, maps = part(octaves)
    columns = [conv(spectrum[:, :, 3 * i : 3 * i + 3].mT) for i, conv in enumerate(part.conv_pres)]
    h = leaky_relu(part.convs[0](torch.cat(columns, -1)), 0.1)
    torch.testing.assert_close(maps[0], h)
    dilations = [conv.dilation for conv in part.convs[1:4]]
    assert dilations == [(1, 1), (2, 1), (4, 1)]
    torch.testing.assert_close(logits, part.conv_post(maps[-1]))
    assert len(maps) == 5


def test_float32_under_any_precision(monkeypatch):
    network, seen = MultiScaleSubBandCQTDiscriminator(8000, width=2), []
    conv1d = torch.nn.functional.conv1d
    monkeypatch.setattr(cqt, "conv1d", lambda x, *a, **k: seen.append((x.dtype, (y := conv1d(x, *a, **k)).dtype)) or y)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(torch.rand(1, 1, 2048).bfloat16())
    assert set(seen) == {(torch.float32, torch.float32)}
    assert outputs[0][0].dtype == torch.bfloat16
    assert network.double()(torch.rand(1, 1, 2048).double())[0][0].dtype == torch.float64
