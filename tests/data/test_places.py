"""Shards at an address: files come when they are needed, whole, once, and in the order of their use."""

import json
import os
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import fsspec
import numpy as np
import pytest

from lightning_gans.__main__ import main
from lightning_gans.data import MelFolder, StreamedImages, StreamedMels, places
from lightning_gans.data.places import Ahead, Place, file_system
from lightning_gans.data.sharding import write_data
from lightning_gans.data.shards import RECORD, Shards
from lightning_gans.errors import InputError

pytest.importorskip("litdata")

MEL = dict(name="melgan", sample_rate=8000, n_fft=64, win_length=64, hop_length=16, n_mels=6)
CROPS = dict(mel=MEL, crop=320, gain=(0.3, 1.0), context=2)


@pytest.fixture
def talk(tmp_path, sound, monkeypatch) -> Path:
    for index in range(12):
        noise = np.random.default_rng(index).integers(-8000, 8000, 400 + 31 * index).astype(np.int16)
        sound(tmp_path / "talk" / f"{index:02}.wav", noise, rate=8000)
    monkeypatch.setenv("LIGHTNING_GANS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def shard(talk: Path, held_out: str = "0[0-3]") -> Path:
    folder = talk / "shards"
    write_data(MelFolder(root=str(talk), folder="talk", val_pattern=held_out, **CROPS), folder, shard_bytes=2000)
    return folder


def test_a_folder_of_ones_home(talk, monkeypatch):
    monkeypatch.setenv("HOME", str(talk))
    shard(talk)
    data = StreamedMels(source="~/shards", **CROPS)
    data.setup("fit")
    assert len(data.splits["train"]) == 8


@pytest.fixture
def served(talk):
    """A folder of shards, its address, and the paths that were asked for."""
    asked: list[str] = []

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            asked.append(self.path.removeprefix("/shards/"))
            super().do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(talk)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(folder=shard(talk), address=f"http://127.0.0.1:{server.server_port}/shards", asked=asked)
    server.shutdown()
    server.server_close()


def examples(source: str, **options) -> list[bytes]:
    data = StreamedMels(source=str(source), batch_size=1, **CROPS, **options)
    data.setup("fit")
    batches = [batch for _ in range(2) for batch in data.train_dataloader()]
    return [b"".join(part.numpy().tobytes() for part in batch) for batch in batches]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_examples_are_those_of_the_folder(served, num_workers):
    expected = examples(served.folder, num_workers=0)
    assert len(expected) == 16
    assert examples(served.address, num_workers=num_workers) == expected
    assert examples(f"{served.address}/", num_workers=0) == expected
    shards = [path for path in served.asked if path.endswith(".bin")]
    assert len(shards) == len(set(shards)) > 2, "each shard comes once"


def test_shards_that_were_written_anew(served, talk):
    before = examples(served.address, num_workers=0)
    (talk / "shards").rename(talk / "old")
    shard(talk, held_out="0[0-5]")
    after = examples(served.address, num_workers=0)
    assert len(after) == 12 and after != before and after == examples(talk / "shards", num_workers=0)


def test_the_command_writes_to_an_address_and_training_reads_it(talk, monkeypatch, capsys):
    memory = fsspec.filesystem("memory")
    monkeypatch.setattr(places, "file_system", lambda address: memory)
    command = ["data", "shard", "--data=MelFolder", f"--data.root={talk}", "--data.folder=talk"]
    command += ["--data.val_pattern=0[0-3]", f"--data.mel={json.dumps(MEL)}", "--data.crop=320"]
    main([*command, "--output=s3://bucket/talk/"])
    assert "8 train, 4 val" in capsys.readouterr().out
    assert not [path for path in (talk / "cache" / "shards").rglob("*.bin")], "what was copied is gone from here"
    assert sorted(examples("s3://bucket/talk", num_workers=0)) == sorted(examples(shard(talk), num_workers=0))
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--output=s3://bucket/talk"])
    assert stopped.value.code == 2 and "already" in capsys.readouterr().err


def test_shards_that_cannot_be_copied_stay(talk, monkeypatch, capsys):
    class Full:
        def exists(self, path):
            return False

        def put_file(self, *args):
            raise OSError("no more quota")

    monkeypatch.setattr(places, "file_system", lambda address: Full())
    with pytest.raises(SystemExit) as stopped:
        main(["data", "shard", "--data=Digits", "--output=s3://bucket/digits"])
    said = capsys.readouterr().err.splitlines()[-1]
    (record,) = (talk / "cache" / "shards").rglob(RECORD)
    assert stopped.value.code == 2 and "no more quota" in said and str(record.parent) in said
    images = StreamedImages(source=str(record.parent))
    images.setup("fit")
    assert images.splits["train"].label.shape == (1437,)


def refused(source: str, *told: str) -> None:
    with pytest.raises(InputError) as error:
        examples(source, num_workers=0)
    assert all(word in str(error.value) for word in told) and "\n" not in str(error.value)


def test_what_is_no_address_of_shards(served, monkeypatch):
    refused(served.address + "/nothing", "nothing/shards.json", "there is no file")
    refused("http://127.0.0.1:9/shards", "cannot be read", "127.0.0.1")
    for address in ("ftp://x/shards", "simplecache::s3://x/shards", "file:///shards", "reference://x"):
        refused(address, "s3://", address)
    monkeypatch.setattr(fsspec, "filesystem", lambda kind: (_ for _ in ()).throw(ImportError("s3fs")))
    refused("s3://bucket/shards", "pip install s3fs")


@pytest.mark.parametrize(("size", "told"), [(-1, "bytes; expected"), (1, "more than")])
def test_a_shard_of_another_size(served, size, told):
    shard = sorted((served.folder / "train").glob("*.bin"))[0]
    content = shard.read_bytes()
    shard.write_bytes(content[:size] if size < 0 else content + b"0")
    refused(served.address, told, shard.name)


def test_a_damaged_index_and_lengths(served):
    for name in ("index.json", "lengths.npy"):
        path = served.folder / "train" / name
        whole = path.read_bytes()
        path.write_bytes(whole[:20])
        refused(served.address, name)
        path.write_bytes(whole)
        for cached in Path(os.environ["LIGHTNING_GANS_CACHE"]).rglob(name):
            cached.unlink()
    assert examples(served.address, num_workers=0)


def test_files_are_fetched_ahead_in_the_order_of_their_use(served):
    place = Place.of(served.address, RECORD, 2**20) / "train"
    shards = Shards(place)
    order = list(range(len(shards.shards)))[::-1]
    shards.expect(order)
    end = time.monotonic() + 30
    while not (place.folder / shards.shards[0].filename).exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    asked = [path for path in served.asked if path.endswith(".bin")]
    assert asked == [f"train/{shards.shards[number].filename}" for number in order]


def test_a_new_order_takes_the_place_of_the_last():
    begun, go, fetched = threading.Event(), threading.Event(), []

    def file(name: str, limit: int) -> None:
        fetched.append(name)
        begun.set()
        go.wait(30)

    ahead = Ahead(SimpleNamespace(address="s3://x", file=file))
    ahead.fetch([("a", 1), ("b", 1)])
    assert begun.wait(30)
    ahead.fetch([])
    go.set()
    time.sleep(0.1)
    assert fetched == ["a"]


def test_nothing_is_fetched_ahead_of_a_folder(talk):
    threads = threading.active_count()
    Shards(Place.of(str(shard(talk)), RECORD, 2**20) / "train").expect([0, 1])
    assert threading.active_count() == threads


def test_kinds_of_addresses():
    with pytest.raises(InputError, match="gs://"):
        file_system("ftp://x")
    assert file_system("http://x").protocol == ("http", "https")
