import pytest
import torch
from torch import nn

from lightning_gans.cpu.gated_block import pieces
from lightning_gans.cpu.parallel_wavegan import upsampling_kernels
from lightning_gans.networks.upsampling import Upsample


def test_pieces_cover_each_frame_once():
    for frames in range(1, 40):
        cut = pieces(frames, 256)
        assert [frame for first, last in cut for frame in range(first, last)] == list(range(frames))
        lengths = [last - first for first, last in cut]
        assert max(lengths) <= 11 and min(lengths) >= min(6, frames)
    assert pieces(3, 5000) == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize("frames", [1, 5, 8, 9, 10, 23])
def test_kernels_are_what_the_upsampling_does(frames):
    upsample = Upsample((2, 3, 2))
    for parameter in upsample.parameters():
        nn.init.normal_(parameter)
    c = torch.randn(1, frames, 5)
    kernels = upsampling_kernels(upsample, c)
    assert kernels.shape == (frames, 12, 2 * 2 + 1)  # two frames on either side
    windows = nn.functional.pad(c[0], (0, 0, 2, 2)).unfold(0, 5, 1)  # (L, M, R)
    expected = upsample(c.mT)[0].T.unflatten(0, (frames, 12))
    torch.testing.assert_close(kernels @ windows.mT, expected, rtol=1e-5, atol=1e-5)
