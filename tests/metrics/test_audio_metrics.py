"""What holds for every audio metric: the interface, and one process against two."""

from typing import get_args

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from lightning_gans.metrics import METRICS, MetricName, nearest, of_kind

CLIPS = 41  # uneven shares of 21 and 20
AUDIO = of_kind("audio")


def test_names():
    assert get_args(MetricName) == tuple(METRICS)
    assert AUDIO == ["classifier_score_fsdd", "confident_fsdd", "label_entropy_fsdd", "nn_self", "nn_train"]


@pytest.mark.parametrize("name", sorted(METRICS))
def test_what_they_ask_for(name):
    """A classifier's judgement has the test examples as its baseline, a distance from these has others."""
    metric = METRICS[name]
    other = "real" if name == "label_accuracy" else "real_train"
    assert metric.baseline == {"image": other, "audio": "real", "mel": "griffin_lim"}[metric.kind]
    assert metric.calibration == {"nn_train": "train", "parzen_ll": "val"}.get(name)
    assert metric.one_per_example == (name in ("nn_self", "nn_train"))


def vowels(count, seed=0):
    """Harmonics of a voice through two formants, (count, 1, 16384): so like speech that the guesses vary."""
    pitch, first, second, centre, width = torch.rand(5, count, 1, 1, generator=torch.Generator().manual_seed(seed))
    time = torch.arange(16_384) / 16_000
    frequency = torch.arange(1, 30)[:, None] * (100 + 60 * pitch)  # (count, 29, 1)
    gain = sum(
        weight / (1 + ((frequency - formant) / 90) ** 2)
        for weight, formant in ((1, 300 + 500 * first), (0.4, 900 + 1_400 * second))
    )
    voice = (0.1 * gain * (6.2832 * frequency * time).sin()).sum(1, keepdim=True)
    return voice * (-(((time - 0.15 - 0.2 * centre) / (0.08 + 0.12 * width)) ** 2)).exp()


def value(name, clips, rate=16_000):
    metric = METRICS[name](sample_rate=rate)
    if metric.calibration:
        metric.calibrate(clips.flip(-1))
    metric.update(None, clips)
    return metric.compute().item()


@pytest.mark.parametrize("name", AUDIO)
def test_channels_and_length(name):
    """Two equal channels are one; what lies behind 1.024 s is cut, and zeros are put behind what is shorter."""
    clips = vowels(6)
    expected = value(name, clips)
    assert value(name, clips.repeat(1, 2, 1)) == pytest.approx(expected, rel=1e-5)
    short = clips.clone()
    short[..., 9_000:] = 0
    long = torch.nn.functional.pad(clips, (0, 500), value=0.5)
    whole, parts = (METRICS[name](sample_rate=16_000) for _ in range(2))
    for metric in (whole, parts):
        if metric.calibration:
            metric.calibrate(clips.flip(-1))
    whole.update(None, torch.cat([short, clips]))
    for part in (short[..., :9_000], long):
        parts.update(None, part)
    assert parts.compute().item() == pytest.approx(whole.compute().item(), rel=1e-5)


@pytest.mark.parametrize("name", ["classifier_score_fsdd", "label_entropy_fsdd"])
def test_other_rates_are_resampled(name):
    """Taken for 16 kHz, the same samples would be half as long and an octave higher."""
    clips = vowels(6)
    expected = value(name, clips)
    assert value(name, clips[..., ::2], rate=8_000) == pytest.approx(expected, rel=1e-2)
    assert value(name, clips[..., ::2]) != pytest.approx(expected, rel=2e-2)


@pytest.mark.parametrize("name", AUDIO)
def test_silence(name):
    """No digit can be told, and all clips are the same one."""
    expected = {"classifier_score_fsdd": pytest.approx(1), "label_entropy_fsdd": pytest.approx(2.3, abs=0.05)}.get(
        name, 0
    )
    assert value(name, torch.zeros(3, 1, 16_384)) == expected


def evaluate(fake, training, limit):
    """The values after batches of 8, of fewer clips than are given where a metric has a limit."""
    nearest.MAX_CLIPS = limit
    metrics = {name: METRICS[name](sample_rate=16_000) for name in AUDIO}
    metrics["nn_train"].calibrate(training)
    for part in fake.split(8):
        for metric in metrics.values():
            metric.update(part, part)
    return {name: metric.compute().item() for name, metric in metrics.items()}


def share(rank, folder, data, limit):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    values = evaluate(*(x[rank::2] for x in data), limit)
    torch.save(values, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_are_one(tmp_path, monkeypatch):
    monkeypatch.setattr(nearest, "MAX_CLIPS", nearest.MAX_CLIPS)  # as it was, afterwards
    data = (vowels(CLIPS), vowels(CLIPS, seed=1))
    expected = evaluate(*data, limit=30)
    mp.spawn(share, (tmp_path, data, 30), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first == second
    assert first == pytest.approx(expected, rel=1e-4)
    assert first["nn_self"] != pytest.approx(evaluate(*data, limit=CLIPS)["nn_self"], rel=1e-4)
    assert set(first) == set(AUDIO)
    assert expected["classifier_score_fsdd"] > 1.5 and 0 < expected["confident_fsdd"] < 1
