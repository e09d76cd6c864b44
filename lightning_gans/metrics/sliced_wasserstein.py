"""Sliced Wasserstein distance between images as vectors of pixels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from lightning_gans.errors import InputError
from lightning_gans.metrics.sample_metric import SampleMetric

SEED = 0


class SlicedWasserstein(SampleMetric):
    """Root of the mean, over random directions, of the squared Wasserstein-2 distance between the projected images.

    Directions are uniform on the unit sphere of all pixels and the same in every run (Rabin et al. 2012; the pyramid
    of patches of Karras et al. 2018 is left out). Units are those of the pixels, which span 2: where every pixel of
    every image is brighter by c, the distance is c, up to the choice of directions. It needs no network and works for
    any images of one size, but sees no more than a blurred eye would.

    Args:
        projections: Number P of directions.
    """

    higher_is_better = False
    real: list[Tensor]
    fake: list[Tensor]

    def __init__(self, projections: int = 512, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.projections = projections
        self.directions: Tensor | None = None
        for name in ("real", "fake"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, real: Tensor, fake: Tensor, label: Tensor | None = None) -> None:
        """Add real and fake images (B, ...) in [-1, 1]; labels do not matter.

        Raises:
            InputError: where images differ in size.
        """
        for images, state in ((real, self.real), (fake, self.fake)):
            rows = images.detach().flatten(1).float()
            if self.directions is None:
                self.directions = random_directions(rows.shape[1], self.projections)
            if rows.shape[1] != len(self.directions):
                raise InputError(
                    f"sliced_wasserstein got images {tuple(images.shape)} after others of {len(self.directions)}"
                    " values; all must have one size"
                )
            self.directions = self.directions.to(rows.device)
            with torch.autocast(rows.device.type, enabled=False):
                state.append(rows @ self.directions)

    def compute(self) -> Tensor:
        """The distance, float64."""
        return wasserstein_2(dim_zero_cat(self.real), dim_zero_cat(self.fake)).mean().sqrt()


def random_directions(dims: int, count: int) -> Tensor:
    """(dims, count) unit columns, uniform on the sphere; the same at every call."""
    columns = torch.randn(dims, count, generator=torch.Generator().manual_seed(SEED))
    return columns / columns.norm(dim=0)


def wasserstein_2(x: Tensor, y: Tensor) -> Tensor:
    """Squared Wasserstein-2 distances between the columns of (N, P) and (M, P), (P,) float64.

    On a line the best transport keeps the order, so that the distance is the integral of the squared difference of the
    two quantile functions. These are steps at multiples of 1/N and 1/M; on the joint grid, in units of 1/(N M), the
    integral is exact for unequal counts too.
    """
    n, m = len(x), len(y)
    grid = torch.cat([torch.arange(n, device=x.device) * m, torch.arange(m, device=x.device) * n]).unique()
    widths = grid.diff(append=grid.new_tensor([n * m])).double() / (n * m)
    difference = x.sort(0).values[grid // m] - y.sort(0).values[grid // n]
    return widths @ difference.double().square()
