import math

import numpy as np
import pytest

from lightning_gans.networks.upsampling import ratios_for, strides_for


@pytest.mark.parametrize(
    "hop, ratios", [(256, (8, 8, 4)), (300, (6, 5, 5, 2)), (16, (8, 2)), (22, (2, 11)), (441, (7, 7, 3, 3))]
)
def test_ratios_that_make_a_hop(hop, ratios):
    assert ratios_for(hop) == ratios
    assert np.prod(ratios) == hop


@pytest.mark.parametrize(
    "length, strides",
    [
        (16384, (4, 4, 4, 4, 4)),
        (32768, (4, 4, 4, 4, 4, 2)),
        (65536, (4, 4, 4, 4, 4, 4)),
        (8192, (4, 4, 4, 4, 2)),
        (24000, (4, 3, 5, 5, 5)),
    ],
)
def test_strides(length, strides):
    assert strides_for(length, 16) == strides
    assert 16 * math.prod(strides) == length
