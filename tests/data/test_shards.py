"""Shards give back the bytes that were written, and their index can ask for nothing else."""

import json
import pickle
import struct

import pytest

from lightning_gans.data.places import Place
from lightning_gans.data.shards import INDEX, Shards, read_index, write_shards
from lightning_gans.errors import InputError

pytest.importorskip("litdata")

EXAMPLES = [bytes([i]) * (100 + i) for i in range(20)]


@pytest.fixture
def folder(tmp_path):
    write_shards(tmp_path / "train", iter(EXAMPLES), shard_bytes=600)
    return tmp_path / "train"


def test_examples_come_back_in_any_order(folder):
    shards = Shards(Place(folder))
    assert len(shards) == len(EXAMPLES) and len(shards.ends) > 3
    order = [19, 0, 7, 7, 12, 1]
    assert [shards[i] for i in order] == [EXAMPLES[i] for i in order]
    assert [shards[i] for i in range(len(shards))] == EXAMPLES
    with pytest.raises(IndexError):
        shards[20]


def test_they_go_to_another_process(folder):
    again = pickle.loads(pickle.dumps(Shards(Place(folder))))
    assert [again[i] for i in (3, 18)] == [EXAMPLES[3], EXAMPLES[18]]


@pytest.mark.parametrize("field, value", [("data_format", ["pickle"]), ("item_loader", "X"), ("compression", "zstd")])
def test_an_index_that_asks_for_more_than_bytes_is_refused(folder, field, value):
    index = json.loads((folder / INDEX).read_text())
    index["config"][field] = value
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(InputError, match=field) as error:
        Shards(Place(folder))
    assert str(folder) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["../secret.bin", "/etc/passwd", ""])
def test_a_shard_lies_in_its_folder(folder, name):
    index = json.loads((folder / INDEX).read_text())
    index["chunks"][0]["filename"] = name
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(InputError):
        read_index(Place(folder))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"chunks": 1, "config": []}'])
def test_a_damaged_index_is_one_line(folder, text):
    (folder / INDEX).write_text(text)
    with pytest.raises(InputError) as error:
        Shards(Place(folder))
    assert INDEX in str(error.value) and "\n" not in str(error.value)


def test_a_missing_shard_is_told_at_once(folder):
    missing = next(folder.glob("*.bin"))
    missing.unlink()
    with pytest.raises(InputError, match=missing.name):
        Shards(Place(folder))


def test_earlier_shards_are_not_written_over(folder):
    with pytest.raises(InputError, match="has shards"):
        write_shards(folder, [b"x"])


def test_litdata_reads_them_too(folder):
    from litdata import StreamingDataset

    stored = StreamingDataset(str(folder), shuffle=False)
    assert [stored[i] for i in (4, 19, 0)] == [EXAMPLES[4], EXAMPLES[19], EXAMPLES[0]]


def test_what_litdata_would_import_is_not_looked_at(folder, tmp_path, monkeypatch):
    """Its index can name any module, as the maker of a default."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "imported_by_an_index.py").write_text("raise SystemExit")
    context = dict(default_factory_module="imported_by_an_index", default_factory_name="x", dict_context=[])
    spec = [1, {"type": "collections.defaultdict", "context": json.dumps(context), "children_spec": []}]
    index = json.loads((folder / INDEX).read_text())
    index["config"]["data_spec"] = json.dumps(spec)
    (folder / INDEX).write_text(json.dumps(index))
    assert Shards(Place(folder))[3] == EXAMPLES[3]


@pytest.mark.parametrize("values", [{"chunk_size": 2**60}, {"chunk_size": 0}, {"chunk_bytes": 7}, {"chunk_size": "3"}])
def test_numbers_that_no_shard_has(folder, values):
    index = json.loads((folder / INDEX).read_text())
    index["chunks"][0] |= values
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(InputError) as error:
        Shards(Place(folder))
    assert str(folder) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("place", [(0, 2**32 - 1), (2**32 - 5, 2**32 - 1), (9, 2), (0, 0), (8, 100)], ids=str)
def test_an_example_that_lies_elsewhere(folder, place):
    path = folder / "chunk-0-0.bin"
    path.write_bytes(path.read_bytes()[:4] + struct.pack("<2I", *place) + path.read_bytes()[12:])
    with pytest.raises(InputError, match=path.name) as error:
        Shards(Place(folder))[0]
    assert "\n" not in str(error.value)


def test_a_shard_that_is_cut_short_or_has_more(folder):
    path = folder / "chunk-0-0.bin"
    whole = path.read_bytes()
    for content in (whole[:-1], whole + b"x", b""):
        path.write_bytes(content)
        with pytest.raises(InputError, match=path.name):
            Shards(Place(folder))
