"""Two processes, each with its share of the samples, get the value of one with all: every metric."""

from collections import OrderedDict
from importlib.util import find_spec
from unittest import mock

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from helpers.voices import voice, vowels

from lightning_gans.audio import MelConfig
from lightning_gans.metrics import METRICS, ParzenLogLikelihood, nearest, of_kind, parzen

COUNT = 41  # uneven shares of 21 and 20
MEL = MelConfig.of("melgan")
IMAGE = [name for name in of_kind("image") if name != "fid_inception"]  # which needs a file
AUDIO = of_kind("audio")
VOCODER = [n for n in of_kind("mel") if not hasattr(METRICS[n], "package") or find_spec(METRICS[n].package)]


def of_images(real, fake, label, validation):
    """After batches of 8; Parzen's with fewer samples and validation images than are given."""
    with mock.patch.object(parzen, "VALIDATION_IMAGES", 2):
        metrics = {name: METRICS[name]() for name in IMAGE} | {"parzen_ll": ParzenLogLikelihood(num_samples=30)}
        metrics["parzen_ll"].calibrate(validation)
        for index in torch.arange(len(real)).split(8):
            for metric in metrics.values():
                metric.update(real[index], fake[index], label[index])
        return {name: metric.compute().item() for name, metric in metrics.items()}


def of_audio(fake, real, limit=30):
    """After batches of 8, of fewer clips than are given where a metric has a limit."""
    with mock.patch.object(nearest, "MAX_CLIPS", limit):
        metrics = {name: METRICS[name](sample_rate=16_000) for name in AUDIO}
        for name in ("match_train", "nn_train"):
            metrics[name].calibrate(real)
        for pair in zip(real.split(8), fake.split(8), strict=True):
            for metric in metrics.values():
                metric.update(*pair, torch.full((len(pair[0]),), 3))
        errors = {name: metric.standard_error() for name, metric in metrics.items()}
        values = {name: metric.compute().item() for name, metric in metrics.items()}
        return values | {f"{name}_se": error.item() for name, error in errors.items() if error is not None}


def rough_pitch(audio, rate):
    """In place of pYIN, which takes seconds to start."""
    return 100 + 1_000 * audio[::50].abs().double(), audio[::50] > 0


def of_utterances(real, fake):
    """With their standard errors."""
    metrics = {name: METRICS[name](mel=MEL) for name in VOCODER}
    with (
        mock.patch("lightning_gans.metrics.pitch.pitch", rough_pitch),
        mock.patch("lightning_gans.metrics.pitch._known", OrderedDict()),  # which pYIN may have filled
    ):
        for pair in zip(real.split(1), fake.split(1), strict=True):
            for metric in metrics.values():
                metric.update(*pair)
    values = {name: metric.compute().item() for name, metric in metrics.items()}
    return values | {f"{name}_se": metric.standard_error().item() for name, metric in metrics.items()}


def evaluate(data, rank=0, processes=1):
    images, audio, utterances = ([x[rank::processes] for x in kind] for kind in data)
    return of_images(*images), of_audio(*audio), of_utterances(*utterances)


def share(rank, folder, data):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.save(evaluate(data, rank, 2), folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def data(digits):
    images, labels = digits
    draw = torch.Generator().manual_seed(0)
    real = images[:COUNT]
    fake = 0.8 * images[COUNT : 2 * COUNT] + 0.1 * torch.randn(real.shape, generator=draw)
    validation = torch.cat([fake[:2], torch.randn(2, 1, 28, 28, generator=draw)])  # the first two decide
    recorded = torch.cat([voice(pitch) for pitch in (120, 150, 200)])  # uneven shares of 2 and 1
    made = torch.cat([voice(pitch, noise=0.01) for pitch in (121, 152, 210)])
    return (
        (real, fake, labels[COUNT : 2 * COUNT], validation),
        (vowels(COUNT), vowels(COUNT, seed=1)),
        (recorded, made),
    )


def test_two_processes_are_one(tmp_path, data):
    expected = evaluate(data)
    mp.spawn(share, (tmp_path, data), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first == second
    for found, alone, tolerance in zip(first, expected, (1e-4, 1e-4, 1e-6), strict=True):
        assert found == pytest.approx(alone, rel=tolerance)
    images, audio, vocoder = expected
    assert (set(images), {name.removesuffix("_se") for name in audio}) == (set(IMAGE), set(AUDIO))
    assert 0 < images["label_accuracy"] < 1 and images["fid_lenet"] > 1
    assert audio["classifier_score_fsdd"] > 1.5 and 0 < audio["confident_fsdd"] < 1
    assert audio["nn_self"] != pytest.approx(of_audio(*data[1], limit=COUNT)["nn_self"], rel=1e-4)
    assert all(vocoder[name] > 0 for name in VOCODER)
