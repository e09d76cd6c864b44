"""What a file promises, or unpacks to, does not decide how much memory it takes; YAML is data."""

import errno
import gzip
import os
import stat
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
import yaml

from lightning_gans.audio.resampling import resample
from lightning_gans.data.audio.decoding import decode, measure
from lightning_gans.data.caching import packed
from lightning_gans.data.files import walk
from lightning_gans.errors import InputError
from lightning_gans.files import Damaged, content, documents, limits, sha256
from lightning_gans.files.archives import gunzipped
from lightning_gans.files.arrays import mapped, named
from lightning_gans.files.records import like, tuples, typed


def test_packed_zeros_are_not_unpacked(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(10**8), 1))
    with pytest.raises(Damaged, match=r"a\.gz: it unpacks to more than"):
        gunzipped(tmp_path / "a.gz")
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mean.npy", bytes(10**8))
    with pytest.raises(Damaged, match=r"a\.npz: it would unpack to 100000000 bytes"):
        named(tmp_path / "a.npz", ("mean",))


def test_headers_that_promise_more(tmp_path):
    np.save(path := tmp_path / "a.npy", np.ones((10, 4)))
    path.write_bytes(path.read_bytes().replace(b"(10, 4)", b"(9999999999, 4)".ljust(7))[:200])
    with pytest.raises(Damaged, match=r"not a \.npy array"):
        mapped(path)
    soundfile.write(path := tmp_path / "a.flac", 0.1 * np.sin(np.arange(8000)), 16000)
    data = bytearray(path.read_bytes())
    for promised in (10**10, 10**7):
        data[21] = data[21] & 0xF0 | promised >> 32
        data[22:26] = (promised & 0xFFFFFFFF).to_bytes(4, "big")
        path.write_bytes(data)
        with pytest.raises(Damaged, match="its header promises"):
            decode(path, measure(path), 16000, 1, None, False)


@pytest.mark.parametrize("rates", [(11127, 16000), (44056, 22050)])
def test_odd_rates_keep_the_tone(rates):
    source, target = rates
    tone = torch.sin(2 * torch.pi * 440 * torch.arange(2 * source) / source).reshape(2, 1, -1)
    made = resample(tone, source, target)
    assert made.shape == (2, 1, target)
    expected = torch.sin(2 * torch.pi * 440 * torch.arange(target) / target)
    assert (made[0, 0, 300:-300] - expected[300:-300]).abs().max() < 1e-2


def test_yaml_is_plain_values():
    parsed = documents.parse_yaml("a: [1, 2.5, yes, null, x]\nb: &b {c: 2020-01-02}\nd: *b\n", "here")
    assert parsed == {"a": [1, 2.5, True, None, "x"], "b": {"c": "2020-01-02"}, "d": {"c": "2020-01-02"}}
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))
    for text in (bomb, "[" * 5000, "&a [*a]", "!!int abc", "!!timestamp foo", "!!binary x", "a: [1", "a: \x00"):
        with pytest.raises(Damaged, match=r"^here: not YAML of plain values") as error:
            documents.parse_yaml(text, "here")
        assert len(str(error.value)) < 500


def test_a_text_has_a_size_and_an_encoding(tmp_path):
    (tmp_path / "a").write_bytes(b"\xff")
    with pytest.raises(Damaged, match="UTF-8"):
        documents.read_text(tmp_path / "a")
    with pytest.raises(Damaged, match="1 bytes are too many"):
        content(tmp_path / "a", 0)
    assert sha256(tmp_path / "a") == "a8100ae6aa1940d0b663bb31cd466142ebbdbd5187131b92d93818987832eb89"


@pytest.mark.parametrize("value", [None, 5, [1], {"a": {1: 2}}, {1: 2}, {"a": {"b": "c"}}, {"a": {"b": True}}])
def test_types(value):
    with pytest.raises(ValueError, match=r"^x.* expected"):
        typed(dict[str, dict[str, int]], value, "x")


@pytest.mark.parametrize("value", [None, 5, [1], {"a": None}, {"a": {"b": -1}}, {"a": {"b": 1.0}}, {"a": {"b": True}}])
def test_kinds(value):
    like({"a": {"b": 7}}, {"a": {"b": 1, "c": False}}, "x")
    with pytest.raises(ValueError, match=r"^x.* expected"):
        like(value, {"a": {"b": 1}}, "x")


def test_lists_in_each_other_are_counted():
    nested: list = [1]
    for _ in range(60):
        nested = [nested, nested]
    with pytest.raises(ValueError, match="more than"):
        tuples(nested)
    assert tuples({"a": [1, [2]]}) == {"a": (1, (2,))}


def test_a_damaged_cache_is_made_anew(tmp_path):
    made = []

    def read(name):
        made.append(name)
        return np.arange(3000, dtype=np.int16)

    def cached():
        return packed(tmp_path / "a.int16", "numbers", np.int16, ["x", "y"], read, lambda names, broken: {"n": 1})

    values, entries = cached()
    assert entries == {"names": ["x", "y"], "start": [0, 3000], "broken": {}, "n": 1}
    assert cached()[0].tolist() == values.tolist() and made == ["x", "y"]
    path = tmp_path / "a.int16"
    for number, damaged in enumerate((bytes(12000), path.read_bytes()[:-2], b"")):
        path.write_bytes(damaged)
        assert cached()[0].tolist() == [*range(3000)] * 2
        assert len(made) == 4 + 2 * number
    index = path.with_suffix(".json")
    for damaged in (index.read_text().replace("[0, 3000]", "[0, 3001]"), "[]", "", '{"size": null}'):
        index.write_text(damaged)
        assert cached()[1] == entries


def test_what_cannot_be_read_is_found_and_named(tmp_path):
    (tmp_path / "a.wav").symlink_to("nowhere")
    assert walk(tmp_path, (".wav",)) == {"a.wav": (-1, 0)}


def test_downloads_end():
    with pytest.raises(InputError, match="not done after"):
        import threading

        limits.within(0.05, threading.Event().wait)
    bounded = limits.Bounded(SimpleNamespace(write=len), 10, 60)
    assert bounded.write(b"12345") == 5
    with pytest.raises(InputError, match="larger"):
        bounded.write(b"123456")
    with pytest.raises(InputError, match="too long"):
        limits.Bounded(SimpleNamespace(write=len), 10, -1).write(b"1")


def test_one_bad_card_leaves_the_list(tmp_path, monkeypatch):
    from helpers import tiny_zoo

    from lightning_gans import zoo
    from lightning_gans.zoo import assets

    (tmp_path / "zoo").mkdir()
    monkeypatch.setattr(assets, "zoo", lambda: tmp_path / "zoo")
    tiny_zoo.entry(tmp_path / "zoo")
    (tmp_path / "zoo" / "gan_bad.md").write_text(f"---\n{yaml.safe_dump({'name': 1})}---\n")
    listing = zoo.listing()
    assert "\ngan_noise " in listing and "left out: card gan_bad" in listing


@pytest.mark.parametrize(("mask", "mode"), [(0o002, 0o664), (0o022, 0o644), (0o077, 0o600)])
def test_a_cache_is_shared_as_the_umask_says(mask, mode, tmp_path):
    before = os.umask(mask)
    try:
        packed(tmp_path / "a", "x", np.int16, ["x"], lambda name: np.ones(3, np.int16), lambda names, broken: {})
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", tmp_path / "a.json")} == {mode}


def test_a_cache_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def cached():
        return packed(tmp_path / "a", "x", np.int16, ["x"], lambda name: np.ones(3, np.int16), lambda *_: {})

    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    cached()
    monkeypatch.setattr(os, "open", refuse)  # root may read anything
    with pytest.raises(
        Damaged, match=r"/a: cannot be read \(Permission denied\); remove it, or set LIGHTNING_GANS_CACHE"
    ):
        cached()
