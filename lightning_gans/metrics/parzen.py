"""Gaussian Parzen-window log-likelihood, the metric of the GAN and conditional GAN papers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from lightning_gans.errors import InputError
from lightning_gans.metrics.sample_metric import SampleMetric

SIGMAS = tuple(10 ** (-1 + i / 9) for i in range(10))
"""The ten log-spaced widths from 0.1 to 1 among which the authors' script chooses."""

VALIDATION_IMAGES = 1_000


class ParzenLogLikelihood(SampleMetric):
    """Mean log-likelihood in nats of test images under a Gaussian window on generated samples.

    The protocol of the GAN paper (Goodfellow et al. 2014, section 5; Breuleux et al. 2011) as its authors' script runs
    it: exactly ``num_samples`` samples, pixels in [0, 1], the width chosen among ``SIGMAS`` on the first 1,000
    validation images. The value depends strongly on the number of samples, and rewards smoothness: see Theis et al.
    2016 (https://arxiv.org/abs/1511.01844) before comparing models by it.

    Args:
        num_samples: How many samples make the window; more are left out, fewer are an error.

    Images are counted as Lightning deals them to W processes: the i-th of process r is number i W + r. Which samples
    are left out, and which validation images choose the width, therefore does not depend on W.

    Raises:
        InputError: from ``compute`` where there are fewer samples than that.
    """

    calibration = "val"
    higher_is_better = True
    samples: list[Tensor]
    images: list[Tensor]
    validation: list[Tensor]
    sizes: Tensor

    def __init__(self, num_samples: int = 10_000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_samples = num_samples
        for name in ("samples", "images", "validation"):
            self.add_state(name, [], dist_reduce_fx="cat")
        self.add_state("sizes", torch.zeros(3, dtype=torch.long), dist_reduce_fx=None)

    def update(self, real: Tensor, fake: Tensor, label: Tensor | None = None) -> None:
        """Add images to judge and generated samples, each (B, ...) in [-1, 1]; labels do not matter."""
        self.images.append(unit_rows(real))
        self.samples.append(unit_rows(fake))
        self.sizes += torch.tensor([len(fake), len(real), 0], device=self.sizes.device)

    def calibrate(self, validation: Tensor) -> None:
        """Add this process's share of the validation images, (B, ...) in [-1, 1], to choose the width on.

        Without any, it is chosen on the first of the images to judge, which is what one does while validating.
        """
        self.validation.append(unit_rows(validation))
        self.sizes += torch.tensor([0, 0, len(validation)], device=self.sizes.device)

    def compute(self) -> Tensor:
        """Mean log-likelihood (nats); the paper gives it with the standard error of ``log_likelihoods``."""
        return self.log_likelihoods()[0].mean()

    def log_likelihoods(self) -> tuple[Tensor, float]:
        """Log-likelihood of each image (N,), and the width that was chosen."""
        sizes = self.sizes.reshape(-1, 3).T.tolist()
        samples, images = dealt(self.samples, sizes[0]), dealt(self.images, sizes[1])
        if len(samples) < self.num_samples:
            raise InputError(
                f"parzen_ll got {len(samples):,} samples; its protocol takes exactly {self.num_samples:,}: evaluate on"
                " as many images (MNIST has 10,000), or leave it out"
            )
        samples = samples[: self.num_samples]
        validation = dealt(self.validation, sizes[2]) if any(sizes[2]) else images
        by_sigma = parzen_log_likelihood(validation[:VALIDATION_IMAGES], samples, SIGMAS).mean(1)
        sigma = SIGMAS[int(by_sigma.argmax())]
        return parzen_log_likelihood(images, samples, (sigma,))[0], sigma


def dealt(rows: list[Tensor], sizes: list[int]) -> Tensor:
    """Rows (N, D) of all processes, one process's after the other's, in the order in which they were dealt out."""
    turns = torch.cat([torch.arange(size) for size in sizes])
    joined = dim_zero_cat(rows)
    return joined[turns.argsort(stable=True).to(joined.device)] if len(sizes) > 1 else joined


def unit_rows(images: Tensor) -> Tensor:
    """Images in [-1, 1] as rows (B, D) in [0, 1]: in another scale the likelihood shifts by D log of the factor."""
    return (images.detach().flatten(1).float() + 1) / 2


def parzen_log_likelihood(x: Tensor, samples: Tensor, sigmas: tuple[float, ...], chunk: int = 500) -> Tensor:
    """Log-likelihood, log mean_j N(x; mu_j, sigma^2 I), for each width and row.

    Args:
        x: (N, D).
        samples: (J, D), the centers mu_j.
        sigmas: Widths.
        chunk: Rows at a time, which bounds the memory to chunk x J distances.

    Returns:
        (len(sigmas), N), in nats.
    """
    count, dims = samples.shape
    norms = samples.square().sum(1)
    rows = []
    for part in x.split(chunk):
        squared = (part.square().sum(1, keepdim=True) - 2 * exact_product(part, samples.T) + norms).clamp_min_(0)
        rows.append(torch.stack([torch.logsumexp(squared / (-2 * sigma**2), 1) for sigma in sigmas]))
    offsets = torch.tensor([math.log(count) + dims * math.log(sigma * math.sqrt(2 * math.pi)) for sigma in sigmas])
    return torch.cat(rows, 1) - offsets[:, None].to(x.device)


def exact_product(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product in full float32: TF32 or bfloat16, which training may have chosen, would cost several nats."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(a.device.type, enabled=False):
            return a @ b
    finally:
        torch.set_float32_matmul_precision(precision)
