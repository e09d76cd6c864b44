import math

import numpy as np
import pytest
import torch

from lightning_gans.errors import InputError
from lightning_gans.metrics import ParzenLogLikelihood
from lightning_gans.metrics.parzen import SIGMAS, dealt, parzen_log_likelihood, unit_rows


def brute_force(x, samples, sigma):
    """The mean of the densities themselves, in float64, one pair at a time."""
    x, samples = x.double().numpy(), samples.double().numpy()
    dims = x.shape[1]
    density = [
        np.mean([np.exp(-np.sum((row - mu) ** 2) / (2 * sigma**2)) for mu in samples])
        / (sigma * math.sqrt(2 * math.pi)) ** dims
        for row in x
    ]
    return np.log(density)


def test_one_sample_is_a_gaussian():
    """N(0; 0, 1) = 1 / sqrt(2 pi), log -0.918939; one sigma away 0.5 less; in two dimensions twice that."""
    zero = torch.zeros(1, 1)
    assert parzen_log_likelihood(zero, zero, (1.0,)).item() == pytest.approx(-0.918939, abs=1e-6)
    assert parzen_log_likelihood(zero + 1, zero, (1.0,)).item() == pytest.approx(-1.418939, abs=1e-6)
    assert parzen_log_likelihood(torch.zeros(1, 2), torch.zeros(1, 2), (1.0,)).item() == pytest.approx(-1.837877)


def test_two_samples_are_averaged():
    """One sample at the image, one far away: half the density, log 2 less."""
    value = parzen_log_likelihood(torch.zeros(1, 1), torch.tensor([[0.0], [50.0]]), (1.0,)).item()
    assert value == pytest.approx(-0.918939 - math.log(2), abs=1e-6)


@pytest.mark.parametrize("chunk", [1, 4, 500])
def test_against_brute_force(chunk):
    torch.manual_seed(0)
    x, samples = torch.rand(9, 12), torch.rand(7, 12)
    values = parzen_log_likelihood(x, samples, (0.3, 0.7), chunk)
    assert values.shape == (2, 9)
    for row, sigma in zip(values, (0.3, 0.7), strict=True):
        np.testing.assert_allclose(row.numpy(), brute_force(x, samples, sigma), rtol=1e-5, atol=1e-4)


def test_no_underflow():
    """784 pixels off by 1 at sigma 0.1: the exponent is -39,200, whose exp is 0 even in float64."""
    value = parzen_log_likelihood(torch.ones(1, 784), torch.zeros(3, 784), (0.1,)).item()
    assert value == pytest.approx(-39_200 - 784 * math.log(0.1 * math.sqrt(2 * math.pi)), rel=1e-6)


def test_scale_of_the_pixels():
    """In [-1, 1], with a window twice as wide, each of the 784 pixels costs log 2: 543.43 nats less."""
    torch.manual_seed(0)
    x, samples = torch.rand(20, 784) * 2 - 1, torch.rand(30, 784) * 2 - 1
    shift = parzen_log_likelihood(x, samples, (0.4,)) - parzen_log_likelihood(unit_rows(x), unit_rows(samples), (0.2,))
    assert shift.mean().item() == pytest.approx(-543.43, abs=0.01)
    assert unit_rows(torch.tensor([[[-1.0, 1.0]]])).tolist() == [[0, 1]]


def test_widths_of_the_script():
    published = [0.1, 0.1292, 0.1668, 0.2154, 0.2783, 0.3594, 0.4642, 0.5995, 0.7743, 1.0]
    assert [round(sigma, 4) for sigma in SIGMAS] == published


def noisy(count, spread, seed):
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(count, 1, 4, 4, generator=generator)


def test_metric_is_the_best_width_of_the_grid():
    """One sample in the middle, images N(0, 0.36 I) in [0, 1] pixels: of the grid's widths 0.3594 is the likeliest."""
    metric = ParzenLogLikelihood(num_samples=1)
    images = noisy(400, 0.72, seed=0)
    metric.update(images, torch.zeros_like(images))
    values, sigma = metric.log_likelihoods()
    assert sigma == pytest.approx(0.3594, abs=1e-4)
    expected = brute_force(unit_rows(images), torch.full((1, 16), 0.5), sigma)
    np.testing.assert_allclose(values.numpy(), expected, rtol=1e-4)
    assert metric.compute().item() == pytest.approx(expected.mean(), rel=1e-4)


def test_width_comes_from_validation_images():
    metric = ParzenLogLikelihood(num_samples=1)
    metric.update(noisy(50, 0.72, seed=0), torch.zeros(50, 1, 4, 4))
    metric.calibrate(noisy(200, 0.2, seed=1))
    assert metric.log_likelihoods()[1] == pytest.approx(0.1)


def test_exactly_so_many_samples():
    torch.manual_seed(0)
    images, fakes = torch.rand(6, 1, 2, 2) * 2 - 1, torch.rand(6, 1, 2, 2) * 2 - 1
    metric, shorter = ParzenLogLikelihood(num_samples=4), ParzenLogLikelihood(num_samples=4)
    for part in (slice(0, 3), slice(3, 6)):
        metric.update(images[part], fakes[part])
    shorter.update(images, fakes[:4])
    assert metric.compute() == shorter.compute()
    metric = ParzenLogLikelihood()
    metric.update(images, fakes)
    with pytest.raises(InputError, match=r"got 6 samples; its protocol takes exactly 10,000"):
        metric.compute()


def test_order_of_dealing():
    """Images 0 to 4 dealt to two processes and gathered."""
    rows = [torch.tensor([[0.0], [2.0], [4.0], [1.0], [3.0]])]
    assert dealt(rows, [3, 2]).flatten().tolist() == [0, 1, 2, 3, 4]


def test_leaves_the_precision_of_matrix_products_alone():
    torch.manual_seed(0)
    x = torch.rand(50, 784)
    expected = parzen_log_likelihood(x, x.flip(1), (0.2,))
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(parzen_log_likelihood(x, x.flip(1), (0.2,)), expected)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_mean_training_image_of_mnist(mnist):
    """A model that always answers with the mean image: -56.76 nats at sigma 0.25, by the closed form."""
    images, mean = unit_rows(mnist["test"][0]), unit_rows(mnist["train"][0].mean(0, keepdim=True))
    value = parzen_log_likelihood(images, mean, (0.25,)).mean().item()
    squared = (images - mean).double().square().sum(1).mean().item()
    assert value == pytest.approx(-squared / (2 * 0.25**2) - 784 * math.log(0.25 * math.sqrt(2 * math.pi)), abs=1e-2)
    assert value == pytest.approx(-56.76, abs=0.01)


def test_real_images_as_samples(mnist):
    """1,000 real images as samples give others 131.2 +- 5.1 nats at sigma 0.2154; the paper's 225 are for 10,000."""
    images = mnist["test"][0]
    metric = ParzenLogLikelihood(num_samples=1_000)
    metric.update(images[:1_000], images[1_000:2_000])
    values, sigma = metric.log_likelihoods()
    assert sigma == pytest.approx(0.2154, abs=1e-4)
    assert values.mean().item() == pytest.approx(131.2, abs=5.1)
    assert values.std().item() / 1_000**0.5 == pytest.approx(5.1, abs=0.6)
