"""Order, shards and resuming, on images whose label is their number."""

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning import Callback, LightningModule, Trainer
from torch import nn

from lightning_gans.data import AudioFolder, MelFolder
from lightning_gans.data.batches import AudioBatch, ImageBatch, MelBatch
from lightning_gans.data.images.base import ImageDataModule
from lightning_gans.data.loading import ImagesInMemory, even_batch_size
from lightning_gans.errors import InputError

TRAIN, VAL = 23, 11


class Numbered(ImageDataModule):
    """Image i is i on its left half, and 200 on its right half."""

    image_shape = (1, 2, 2)

    def __init__(self, batch_size: int = 4, eval_batch_size: int = 5, num_workers: int = 0, flip: bool = False) -> None:
        sizes = dict(batch_size=batch_size, eval_batch_size=eval_batch_size, image_size=2)
        super().__init__(num_workers=num_workers, flip=flip, **sizes)

    def setup(self, stage: str) -> None:
        self.splits = {}
        for split, count in {"train": TRAIN, "val": VAL, "test": VAL}.items():
            image = torch.full((count, 1, 2, 2), 200, dtype=torch.uint8)
            image[..., 0] = torch.arange(count)[:, None, None]
            self.splits[split] = ImagesInMemory(image, torch.arange(count))


def on_rank(rank: int, world_size: int, **options) -> Numbered:
    """The data module as a process of many would see it."""
    data = Numbered(**options)
    data.setup("fit")
    loop = SimpleNamespace(restarting=False, epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=0)))
    loop.epoch_loop = SimpleNamespace(batch_progress=None)
    data.trainer = SimpleNamespace(world_size=world_size, global_rank=rank, fit_loop=loop)
    return data


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_training_shards_are_disjoint_and_change_with_the_epoch(world_size):
    loaders = [on_rank(rank, world_size).train_dataloader() for rank in range(world_size)]
    epochs = []
    for epoch in range(8):
        seen = []
        for loader in loaders:
            loader.sampler.set_epoch(epoch)
            batches = [batch.label.tolist() for batch in loader]
            assert [len(batch) for batch in batches] == [4] * (TRAIN // world_size // 4)
            seen += [number for batch in batches for number in batch]
        assert len(set(seen)) == len(seen) == TRAIN // world_size // 4 * 4 * world_size
        epochs.append(seen)
    assert len(set(map(tuple, epochs))) == 8
    assert {number for seen in epochs for number in seen} == set(range(TRAIN))  # none is left out forever


@pytest.mark.parametrize("world_size", [1, 2, 3, 11])
def test_evaluation_sees_each_image_once_in_equally_many_batches(world_size):
    for loader in ("val_dataloader", "test_dataloader"):
        batches = [[b.label.tolist() for b in getattr(on_rank(r, world_size), loader)()] for r in range(world_size)]
        assert len({len(of_rank) for of_rank in batches}) == 1
        assert sorted(number for of_rank in batches for batch in of_rank for number in batch) == list(range(VAL))


def test_more_processes_than_images():
    with pytest.raises(InputError, match="11 val images for 12 processes"):
        on_rank(0, 12).val_dataloader()
    with pytest.raises(InputError, match=r"23 training images make no batch of 4 on 6 .* to at most 3"):
        on_rank(0, 6).train_dataloader()


def test_even_batch_sizes():
    assert even_batch_size(10_000, 1, 500) == 500
    assert even_batch_size(10_000, 2, 500) == 500
    assert even_batch_size(10_001, 2, 500) == 501  # 5,001 and 5,000 images would be 11 and 10 batches


@given(st.integers(1, 10_000), st.integers(1, 64), st.integers(1, 600))
def test_an_even_batch_size_is_the_smallest(images, world_size, wanted):
    world_size = min(world_size, images)
    size = even_batch_size(images, world_size, wanted)
    most, least = -(-images // world_size), images // world_size
    even = [-(-most // s) == -(-least // s) for s in range(wanted, size + 1)]
    assert even == [False] * (size - wanted) + [True]


def test_the_seed_decides_the_order(monkeypatch):
    def order() -> list[int]:
        return [number for batch in on_rank(0, 1).train_dataloader() for number in batch.label.tolist()]

    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    first = order()
    assert order() == first
    monkeypatch.setenv("PL_GLOBAL_SEED", "2")
    assert order() != first


def test_without_a_trainer():
    data = Numbered()
    data.setup("fit")
    assert sum(len(batch.label) for batch in data.train_dataloader()) == 20
    assert [batch.label[0].item() for batch in data.reference_dataloader()] == [0, 5, 10, 15, 20]


def test_real_examples_of_a_split():
    data = on_rank(1, 2)
    data.splits["test"] = data.splits["val"].part(0, 4)
    assert not data.test_is_validation
    assert [batch.label.tolist() for batch in data.reference_dataloader("test")] == [[1, 3]]
    assert sum(len(batch.label) for batch in data.reference_dataloader()) == TRAIN // 2


def test_scaling():
    image = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1)
    batch = Numbered().on_after_batch_transfer(ImageBatch(image, torch.arange(3)), 0)
    torch.testing.assert_close(batch.image.flatten(), torch.tensor([-1, -0.6, 1]))
    assert batch.label.tolist() == [0, 1, 2]


# ---- through a Trainer


class Recorder(LightningModule):
    """Notes what it is given: numbers, and which images were mirrored."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.seen: dict[str, list] = {"train": [], "val": []}

    def training_step(self, batch: ImageBatch) -> torch.Tensor:
        mirrored = (batch.image[:, 0, 0, 0] > batch.image[:, 0, 0, 1]).tolist()
        self.seen["train"].append([self.current_epoch, batch.label.tolist(), mirrored])
        return self.norm(batch.image).mean()

    def validation_step(self, batch: ImageBatch) -> None:
        assert (batch.image[:, 0, 0, 0] < batch.image[:, 0, 0, 1]).all()  # never mirrored
        self.all_gather(torch.zeros(1))  # waits for the other processes: all must have equally many batches
        self.seen["val"] += batch.label.tolist()

    test_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class SaveEverywhere(Callback):
    """A checkpoint in each of the hooks in which callbacks save."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.saved: list[tuple[Path, int]] = []

    def _save(self, trainer: Trainer, hook: str) -> None:
        path = self.folder / f"{hook}-{len(self.saved)}.ckpt"
        trainer.save_checkpoint(path)
        self.saved.append((path, trainer.global_step))

    def on_train_batch_end(self, trainer, *_) -> None:
        self._save(trainer, "batch")

    def on_validation_end(self, trainer, _) -> None:
        self._save(trainer, "validation")

    def on_train_epoch_end(self, trainer, _) -> None:
        self._save(trainer, "epoch")

    def on_train_end(self, trainer, _) -> None:
        self._save(trainer, "end")


def fit(
    folder: Path,
    epochs: int,
    resume: Path | None = None,
    num_workers: int = 0,
    saver: Callback | None = None,
    **options,
) -> list:
    """What a run sees in training."""
    module = Recorder()
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=saver,
        default_root_dir=folder,
        **options,
    )
    trainer.fit(module, Numbered(num_workers=num_workers, flip=True), ckpt_path=resume, weights_only=True)
    return module.seen["train"]


@pytest.mark.filterwarnings("error:.*your dataloader is not resumable.*")
@pytest.mark.parametrize("options", [{}, {"val_check_interval": 2}, {"limit_train_batches": 3}], ids=str)
def test_a_resumed_run_goes_on_with_the_same_batches(tmp_path, options):
    saver = SaveEverywhere(tmp_path)
    straight = fit(tmp_path, 3, **options)
    assert fit(tmp_path, 2, saver=saver, **options) == straight[: saver.saved[-1][1]]
    assert {path.name.split("-")[0] for path, _ in saver.saved} == {"batch", "validation", "epoch", "end"}
    for path, step in saver.saved:
        assert fit(tmp_path, 3, path, **options) == straight[step:], path.name


def test_a_resumed_run_goes_on_with_loader_processes(tmp_path):
    saver = SaveEverywhere(tmp_path)
    straight = fit(tmp_path, 2, saver=saver)
    for index in (2, 4, 6, 7):  # in the first epoch, at its last batch, after it, in the second
        path, step = saver.saved[index]
        assert fit(tmp_path, 2, path, num_workers=1) == straight[step:], path.name


class Noting(LightningModule):
    """Notes the sums of what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.seen: list[list[float]] = []

    def training_step(self, batch: AudioBatch | MelBatch) -> torch.Tensor:
        self.seen.append([part.double().sum().item() for part in batch])
        return self.weight.sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.parametrize("kind", ["clips", "crops"])
def test_a_resumed_run_goes_on_with_what_is_drawn_anew_in_each_epoch(tmp_path, sound, kind):
    for index in range(9):
        noise = np.random.default_rng(index).integers(-8000, 8000, 700).astype(np.int16)
        sound(tmp_path / "sounds" / f"{index}.wav", noise, rate=8000)
    mel = dict(name="melgan", sample_rate=8000, n_fft=64, win_length=64, hop_length=16, n_mels=6)
    common = dict(root=str(tmp_path / "sounds"), batch_size=2, val_pattern="0")

    def seen(resume: Path | None = None, saver: Callback | None = None, num_workers: int = 0) -> list[list[float]]:
        if kind == "clips":
            data = AudioFolder(length=32, sample_rate=8000, slicing="random", num_workers=num_workers, **common)
        else:
            data = MelFolder(mel=mel, crop=160, gain=(0.3, 1.0), num_workers=num_workers, **common)
        module = Noting()
        options = dict(max_epochs=3, limit_val_batches=0, callbacks=saver, default_root_dir=tmp_path)
        quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
        trainer = Trainer(accelerator="cpu", devices=1, **options, **quiet)
        trainer.fit(module, data, ckpt_path=resume, weights_only=True)
        return module.seen

    saver = SaveEverywhere(tmp_path)
    straight = seen(saver=saver)
    assert len(straight) == len(set(map(tuple, straight))) == 12  # three epochs of four whole batches
    path_of = {step: path for path, step in saver.saved if "batch" in path.name}
    for step, num_workers in ((2, 0), (4, 0), (7, 1)):
        assert seen(path_of[step], num_workers=num_workers) == straight[step:], step


def test_somebody_else_may_go_through_the_training_images(tmp_path):
    class Count(Callback):
        def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
            assert len(list(trainer.train_dataloader)) == 5

    straight = fit(tmp_path, 1)
    for num_workers in (0, 1):
        assert fit(tmp_path, 1, num_workers=num_workers, saver=Count()) == straight


def test_half_of_the_training_images_are_mirrored(tmp_path):
    seen = fit(tmp_path, 20)
    mirrored = torch.tensor([mirrored for _, _, mirrored in seen]).float()
    assert mirrored.numel() == 400
    assert 0.4 < mirrored.mean() < 0.6  # four standard deviations
    assert any(one != two for one, two in pairwise(mirrored.tolist()))


def test_predicting_sees_the_test_images_in_order(tmp_path):
    class Predictor(Recorder):
        def predict_step(self, batch: ImageBatch) -> list[int]:
            return batch.label.tolist()

    trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_progress_bar=False, default_root_dir=tmp_path)
    batches = trainer.predict(Predictor(), Numbered())
    assert batches == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10]]


@pytest.mark.filterwarnings("ignore:You requested to overfit")
def test_overfitting_to_the_first_batches(tmp_path):
    seen = fit(tmp_path, 2, overfit_batches=2)
    assert [numbers for _, numbers, _ in seen] == [[0, 1, 2, 3], [4, 5, 6, 7]] * 2


def two_processes(folder: Path) -> None:
    """Trains and tests, and writes what this rank has seen."""
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp_spawn",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(WritingRecorder(folder), Numbered(flip=True))


class WritingRecorder(Recorder):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def on_fit_end(self) -> None:
        (self.folder / f"{self.global_rank}.json").write_text(json.dumps(self.seen))
        self.trainer.strategy.barrier()  # a process that ends before the other may abort it


@pytest.mark.slow
def test_two_processes(tmp_path):
    two_processes(tmp_path)
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    for epoch in (0, 1):
        parts = [{n for e, numbers, _ in seen["train"] if e == epoch for n in numbers} for seen in ranks]
        assert [len(part) for part in parts] == [8, 8]
        assert not parts[0] & parts[1]
    # the mirrored ones are drawn anew on each rank
    assert [m for *_, m in ranks[0]["train"]] != [m for *_, m in ranks[1]["train"]]
    # in batches of 5, the shares of 6 and 5 images would be 2 batches and 1
    validated = [seen["val"] for seen in ranks]
    assert sorted(validated[0][-6:] + validated[1][-5:]) == list(range(VAL))
