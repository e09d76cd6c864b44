import numpy as np
import pytest

from lightning_gans.networks.upsampling import ratios_for


@pytest.mark.parametrize(
    "hop, ratios", [(256, (8, 8, 4)), (300, (6, 5, 5, 2)), (16, (8, 2)), (22, (2, 11)), (441, (7, 7, 3, 3))]
)
def test_ratios_that_make_a_hop(hop, ratios):
    assert ratios_for(hop) == ratios
    assert np.prod(ratios) == hop
