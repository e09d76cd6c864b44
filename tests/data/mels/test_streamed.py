"""Crops from shards are those from the files they were made of, in another order."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from torch import nn

from lightning_gans.data import MelFolder, StreamedImages, StreamedMels
from lightning_gans.data.sharding import write_data
from lightning_gans.data.shards import RECORD
from lightning_gans.errors import InputError

pytest.importorskip("litdata")

HOP = 16
MEL = dict(name="melgan", sample_rate=8000, n_fft=64, win_length=64, hop_length=HOP, n_mels=6)
CROPS = dict(mel=MEL, crop=20 * HOP, gain=(0.3, 1.0), context=2)
SHARD = 2000


@pytest.fixture
def files(tmp_path, sound) -> dict:
    """Options of MelFolder for eleven files to train on, of which two are shorter than a crop, and others."""
    for index in range(17):
        noise = np.random.default_rng(index).integers(-8000, 8000, (17 + 2 * index) * HOP + index).astype(np.int16)
        sound(tmp_path / "talk" / f"{index:02}.wav", noise, rate=8000)
    return dict(root=str(tmp_path), folder="talk", val_pattern="0[789]|10", test_pattern="1[12]", **CROPS)


@pytest.fixture
def shards(files, tmp_path) -> str:
    record = write_data(MelFolder(**files), tmp_path / "shards", SHARD)
    assert record.examples == {"train": 11, "val": 4, "test": 2}
    return str(tmp_path / "shards")


def ready(data):
    data.prepare_data()
    data.setup("fit")
    return data


def epoch(data, number: int) -> list[bytes]:
    """The examples of an epoch: sound, gain and frames."""
    loader = data.train_dataloader()
    loader.sampler.set_epoch(number)
    return [b"".join(part.numpy().tobytes() for part in batch) for batch in loader]


@pytest.mark.parametrize("options", [{}, {"crops_per_file": 3}, {"short": "skip"}], ids=str)
def test_an_epoch_has_the_examples_of_the_files(files, shards, options):
    of_files = ready(MelFolder(**files, **options, batch_size=1))
    of_shards = ready(StreamedMels(source=shards, **CROPS, **options, batch_size=1, num_workers=0))
    assert len(of_shards.splits["train"].sounds.ends) > 3
    assert len(of_shards.splits["train"]) == len(of_files.splits["train"])
    for number in (0, 1):
        theirs, ours = epoch(of_files, number), epoch(of_shards, number)
        assert sorted(theirs) == sorted(ours) and theirs != ours
    assert sorted(epoch(of_shards, 0)) != sorted(epoch(of_shards, 1))


def test_held_out_files_are_those_of_the_folder(files, shards):
    of_files = ready(MelFolder(**files))
    of_shards = ready(StreamedMels(source=shards, **CROPS))
    assert of_shards.audio_kind == "mel" and not of_shards.test_is_validation
    for loader, count in (("val", 4), ("test", 2), ("predict", 2), ("reference", 11)):
        pairs = list(zip(*(getattr(d, f"{loader}_dataloader")() for d in (of_files, of_shards)), strict=True))
        assert len(pairs) == count
        for theirs, ours in pairs:
            theirs, ours = (d.on_after_batch_transfer(b, 0) for d, b in ((of_files, theirs), (of_shards, ours)))
            assert torch.equal(theirs.mel, ours.mel) and torch.equal(theirs.audio, ours.audio)


def test_files_without_others_held_out(files, tmp_path):
    record = write_data(MelFolder(**files | dict(val_pattern=None, test_pattern=None, validation=0)), tmp_path / "all")
    assert record.examples == {"train": 17}
    data = ready(StreamedMels(source=str(tmp_path / "all"), **CROPS))
    assert data.test_is_validation and len(data.splits["val"]) == 17


def test_the_record_says_what_it_was_made_of(files, shards):
    record = json.loads((Path(shards) / RECORD).read_text())
    assert record["facts"] == {"sample_rate": 8000}
    assert record["made_from"]["data"] == "MelFolder" and record["made_from"]["settings"]["val_pattern"] == "0[789]|10"
    assert record["made_from"]["fingerprint"] == ready(MelFolder(**files)).fingerprint()
    assert len(ready(StreamedMels(source=shards, **CROPS)).fingerprint()) == 16


def refused(source, told: str, **options) -> None:
    with pytest.raises(InputError, match=told) as error:
        ready(StreamedMels(source=str(source), **CROPS | options))
    assert "\n" not in str(error.value)


def test_what_is_no_folder_of_shards(shards, tmp_path):
    refused(tmp_path / "nothing", f"nothing/{RECORD}")
    refused(tmp_path / "talk", RECORD)
    refused(shards, "22050 Hz", mel="hifigan", crop=8192)
    with pytest.raises(InputError, match="StreamedMels"):
        ready(StreamedImages(source=shards))


@pytest.mark.parametrize("text", ["", "[]", '{"kind": 3}', '{"kind": "sounds", "examples": {"../..": 1}}'])
def test_a_damaged_record(shards, text):
    (Path(shards) / RECORD).write_text(text)
    refused(shards, RECORD)


def test_shards_of_another_data_set(shards):
    for name in ("val", "train"):
        record = json.loads((Path(shards) / RECORD).read_text())
        record["examples"][name] += 1
        (Path(shards) / RECORD).write_text(json.dumps(record))
        refused(shards, RECORD)


def test_a_shard_that_is_damaged_or_cut_short(shards):
    shard = Path(shards) / "train" / "chunk-0-0.bin"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    refused(shards, shard.name)
    shard.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
    data = ready(StreamedMels(source=shards, **CROPS, batch_size=1, num_workers=0))
    with pytest.raises(InputError, match="train") as error:
        epoch(data, 0)
    assert "\n" not in str(error.value)


# ---- two processes with two loader processes each


class Writing(LightningModule):
    """Writes down what it is given, and the weight in the end; saves a checkpoint after batches 3 and 7."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, dtype=torch.double))
        self.folder, self.seen = folder, list[list[float]]()

    def training_step(self, batch, batch_idx):
        parts = zip(batch.mel, batch.audio, strict=True)
        self.seen += [[self.current_epoch, *(part.double().sum().item() for part in both)] for both in parts]
        return self.weight.sum() * batch.audio.double().sum()

    def on_train_batch_end(self, *_) -> None:
        if self.global_step in (3, 7):
            self.trainer.save_checkpoint(self.folder / f"{self.global_step}.ckpt")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def on_fit_end(self) -> None:
        (self.folder / f"{self.global_rank}.json").write_text(json.dumps([self.seen, self.weight.item()]))
        self.trainer.strategy.barrier()


def run(folder: Path, data, resume: Path | None = None, devices: int = 1) -> list:
    """What each rank has seen in ten batches, and the weight in the end."""
    folder.mkdir()
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    place = dict(accelerator="cpu", devices=devices, strategy="ddp_fork" if devices > 1 else "auto")
    trainer = Trainer(max_steps=10, limit_val_batches=0, default_root_dir=folder, **quiet, **place)
    trainer.fit(Writing(folder), data, ckpt_path=resume, weights_only=True)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(devices)]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_run_ends_as_one_that_was_not_interrupted(shards, tmp_path, num_workers):
    data = dict(source=shards, **CROPS, batch_size=2)  # epochs of five batches
    ((straight, weight),) = run(tmp_path / "straight", StreamedMels(**data, num_workers=0))
    assert len(straight) == 20 == len(set(map(tuple, straight)))
    for steps in (3, 7):
        resumed = run(
            tmp_path / f"{steps}", StreamedMels(**data, num_workers=num_workers), tmp_path / f"straight/{steps}.ckpt"
        )
        assert resumed == [[straight[2 * steps :], weight]]


@pytest.mark.slow
def test_two_processes_with_two_loader_processes_each(files, shards, tmp_path):
    data = dict(source=shards, **CROPS, batch_size=1, num_workers=2)  # epochs of five batches
    straight = run(tmp_path / "straight", StreamedMels(**data), devices=2)
    resumed = run(tmp_path / "resumed", StreamedMels(**data), tmp_path / "straight" / "7.ckpt", devices=2)
    assert resumed == [[seen[7:], weight] for seen, weight in straight]
    ((of_files, _),) = run(tmp_path / "files", MelFolder(**files, batch_size=1))
    of_ranks = {tuple(example) for seen, _ in straight for example in seen if example[0] == 0}
    assert len(of_ranks) == 10 and len(of_ranks & set(map(tuple, of_files))) >= 9  # of eleven, each leaves one out
