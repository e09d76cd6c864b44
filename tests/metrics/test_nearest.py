from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from lightning_gans.audio.mel_bands import tensorflow_mel_matrix
from lightning_gans.errors import InputError
from lightning_gans.metrics import NearestSelf, NearestTrain, nearest
from lightning_gans.metrics.nearest import nearest_distances, nearest_features, nearest_images, spread


def noise(count, seed=0):
    """Clips (count, 1, 16384) of noise at various levels, the end of some silent."""
    generator = torch.Generator().manual_seed(seed)
    clips = torch.randn(count, 1, 16_384, generator=generator) * torch.rand(count, 1, 1, generator=generator) * 0.3
    clips[::3, :, 9_000:] = 0
    return clips.clamp(-1, 1)


def reference_features(clips):
    """By hand in float64: frames of the clip that is padded at its end, one Fourier transform each."""
    samples = np.round(clips[:, 0].double().numpy() * 32768).clip(-32768, 32767)
    samples = np.pad(samples, ((0, 0), (0, 2048 - 128)))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    frames = np.stack([samples[:, 128 * i : 128 * i + 2048] * window for i in range(128)], 1)
    mel = tensorflow_mel_matrix(128, 1025, 16_000, 40, 7_800).double().numpy()
    return np.log(np.abs(np.fft.rfft(frames)) @ mel + 1e-6).reshape(len(clips), -1)


def test_features_against_numpy():
    clips = noise(3)
    features = nearest_features(clips[:, 0])
    assert features.shape == (3, 16_384) and features.dtype == torch.float16
    np.testing.assert_allclose(features.float().numpy(), reference_features(clips), atol=0.01)


def test_silence_is_the_floor():
    """log 1e-6 = -13.816; a sample of half a 16-bit step is rounded away, as in a file."""
    features = nearest_features(torch.full((1, 16_384), 0.4 / 32768))
    assert torch.equal(features, torch.full((1, 16_384), -13.816).half())


@pytest.mark.parametrize("size", [4, 7, 50])
def test_distances_against_scipy(size):
    generator = torch.Generator().manual_seed(0)
    queries, rows = torch.randn(9, 40, generator=generator), torch.randn(50, 40, generator=generator)
    rows[13] = queries[2]
    rows[30] = queries[2]
    found = nearest_distances(queries, rows.split(size), 2)
    expected = np.sort(cdist(queries.numpy(), rows.numpy()), 1)[:, :2]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
    assert found[2].tolist() == [0, 0]


def test_small_differences_of_large_rows():
    """Rows of length 1,280 that differ by 0.01 in one place: the squared distance is 1e-4 beside 1.6 million."""
    row = torch.full((1, 16_384), 10.0)
    near, far = row.clone(), row.clone()
    near[0, 5] += 0.01
    far[0, 5] += 0.02
    found = nearest_distances(row, [torch.cat([far, near])], 2)
    torch.testing.assert_close(found, torch.tensor([[0.01, 0.02]]), rtol=1e-3, atol=0)


def test_self_against_scipy():
    clips = noise(12)
    metric = NearestSelf(sample_rate=16_000)
    for part in clips.split(5):
        metric.update(None, part)
    distances = cdist(*(reference_features(clips),) * 2)
    np.fill_diagonal(distances, np.inf)
    assert metric.compute().item() == pytest.approx(distances.min(1).mean(), rel=1e-4)


def test_self_skips_one_zero_only():
    """Two clips twice each: the copy is another clip, at distance 0."""
    metric = NearestSelf(sample_rate=16_000)
    metric.update(None, noise(2).repeat(2, 1, 1))
    assert metric.compute() == 0


def test_train_against_scipy():
    clips, training = noise(6), noise(20, seed=1)
    metric = NearestTrain(sample_rate=16_000)
    for part in training.split(7):
        metric.calibrate(part)
    metric.update(None, clips)
    expected = cdist(reference_features(clips), reference_features(training)).min(1).mean()
    assert metric.compute().item() == pytest.approx(expected, rel=1e-4)
    assert expected > 10


def test_training_clips_are_at_distance_zero():
    training = noise(20)
    metric = NearestTrain(sample_rate=16_000)
    metric.calibrate(training)
    metric.update(None, training[3:9])
    assert metric.compute().item() == pytest.approx(0, abs=0.02)


def test_a_spread_is_even():
    assert spread(20, 5) == [2, 6, 10, 14, 18]
    assert spread(20, 1) == [10]
    assert spread(20, 30) == spread(20, 20) == list(range(20))
    for count in (7, 13, 19):
        gaps = {b - a for a, b in pairwise(spread(20, count))}
        assert len(spread(20, count)) == count and max(gaps) - min(gaps) <= 1


def test_at_most_so_many_clips(monkeypatch):
    monkeypatch.setattr(nearest, "MAX_CLIPS", 5)
    clips = noise(9)
    metric, first = NearestSelf(sample_rate=16_000), NearestSelf(sample_rate=16_000)
    for part in clips.split(4):
        metric.update(None, part)
    first.update(None, clips[::2])  # evenly spread
    assert metric.compute().item() == pytest.approx(first.compute().item(), rel=1e-6)


def test_real_digits(fsdd):
    """The 300 test clips among each other."""
    metric = NearestSelf(sample_rate=8_000)
    metric.update(None, fsdd[0])
    assert metric.compute().item() == pytest.approx(115.35, rel=1e-3)


def test_missing_clips():
    with pytest.raises(InputError, match=r"nn_self got 1 clip\(s\); it takes at least 2"):
        metric = NearestSelf(sample_rate=16_000)
        metric.update(None, noise(1))
        metric.compute()
    metric = NearestTrain(sample_rate=16_000)
    metric.update(None, noise(2))
    with pytest.raises(InputError, match="nn_train got no training clips"):
        metric.compute()
    metric.reset()
    metric.calibrate(noise(2))
    with pytest.raises(InputError, match="nn_train got no clips to judge"):
        metric.compute()


def test_nearest_images_come_from_any_part():
    others = torch.rand(7, 1, 2, 2)
    images = others[[5, 0, 6]] + 1e-3
    assert torch.equal(nearest_images(images, others.split(3)), others[[5, 0, 6]])
