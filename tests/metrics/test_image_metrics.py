"""What holds for every image metric: the interface, and one process against two."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from lightning_gans.metrics import METRICS, ParzenLogLikelihood, of_kind, parzen

WITHOUT_FILES = sorted({*of_kind("image")} - {"fid_inception"})
IMAGES = 41  # uneven shares of 21 and 20


@pytest.mark.parametrize("name", of_kind("image"))
def test_direction_is_known(name):
    assert METRICS[name].higher_is_better == (name in ("label_accuracy", "parzen_ll"))


def evaluate(real, fake, label, validation):
    """The values after batches of 8; Parzen's with fewer samples and validation images than are given."""
    parzen.VALIDATION_IMAGES = 2
    metrics = {name: METRICS[name]() for name in WITHOUT_FILES if name != "parzen_ll"}
    metrics["parzen_ll"] = ParzenLogLikelihood(num_samples=30)
    metrics["parzen_ll"].calibrate(validation)
    for index in torch.arange(len(real)).split(8):
        for metric in metrics.values():
            metric.update(real[index], fake[index], label[index])
    return {name: metric.compute().item() for name, metric in metrics.items()}


def share(rank, folder, data):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    values = evaluate(*(x[rank::2] for x in data))
    torch.save(values, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_are_one(tmp_path, digits, monkeypatch):
    monkeypatch.setattr(parzen, "VALIDATION_IMAGES", 2)
    images, labels = digits
    generator = torch.Generator().manual_seed(0)
    real = images[:IMAGES]
    fake = 0.8 * images[IMAGES : 2 * IMAGES] + 0.1 * torch.randn(real.shape, generator=generator)
    validation = torch.cat([fake[:2], torch.randn(2, 1, 28, 28, generator=generator)])  # the first two decide
    data = (real, fake, labels[IMAGES : 2 * IMAGES], validation)
    expected = evaluate(*data)
    mp.spawn(share, (tmp_path, data), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first == second
    assert first == pytest.approx(expected, rel=1e-4)
    assert sorted(first) == WITHOUT_FILES
    assert 0 < expected["label_accuracy"] < 1 and expected["fid_lenet"] > 1
