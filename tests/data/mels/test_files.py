from pathlib import Path

import numpy as np
import pytest

from lightning_gans.data.files import walk
from lightning_gans.data.mels import files as mel_files
from lightning_gans.data.mels.files import Mels, read_mels

BANDS = 4


def ramp(frames: int, bands: int = BANDS) -> np.ndarray:
    """Value 10 * frame + band."""
    return (10 * np.arange(frames)[:, None] + np.arange(bands)).astype(np.float32)


def read(root: Path) -> Mels:
    return read_mels(root, walk(root, (".npy",)), BANDS)


def values(mels: Mels, name: str) -> list[list[float]]:
    row = mels.names.index(name)
    return mels.read(row, np.arange(mels.length[row])).tolist()


def test_axes(tmp_path):
    (tmp_path / "sub").mkdir()
    np.save(tmp_path / "a.npy", ramp(6))
    np.save(tmp_path / "b.npy", ramp(3).T.astype(np.float16))
    np.save(tmp_path / "c.npy", ramp(4))  # as many frames as bands: as most of the others
    np.save(tmp_path / "sub" / "d.npy", ramp(5)[None].astype(np.float64))
    mels = read(tmp_path)
    assert mels.names == ["a.npy", "b.npy", "c.npy", "sub/d.npy"]
    assert mels.length.tolist() == [6, 3, 4, 5] and mels.values.dtype == np.float32
    for name, frames in zip(mels.names, mels.length, strict=True):
        assert values(mels, name) == ramp(frames).tolist(), name
    assert mels.read(1, np.array([2, 0, 0])).tolist() == ramp(3)[[2, 0, 0]].tolist()
    assert mels.some(2).tolist() == ramp(6).tolist() + ramp(5).tolist()
    assert len(mels.some(9)) == 6 + 3 + 4 + 5
    some = mels.of(["sub/d.npy", "b.npy"])
    assert some.length.tolist() == [5, 3] and values(some, "b.npy") == ramp(3).tolist()


def test_a_square_one_is_as_most_of_the_others(tmp_path):
    for frames in (3, 4, 5):
        np.save(tmp_path / f"{frames}.npy", ramp(frames).T)
    assert values(read(tmp_path), "4.npy") == ramp(4).tolist()
    (tmp_path / "3.npy").unlink()
    (tmp_path / "5.npy").unlink()
    mels = read(tmp_path)
    assert mels.names == [] and mels.broken["4.npy"].startswith("its shape is (4, 4): nothing tells frames from bands")


def test_what_cannot_be_used(tmp_path):
    np.save(tmp_path / "good.npy", ramp(5))
    np.save(tmp_path / "bands.npy", ramp(5, BANDS + 1))
    np.save(tmp_path / "flat.npy", ramp(5)[0])
    np.save(tmp_path / "none.npy", ramp(0))
    np.save(tmp_path / "whole.npy", ramp(5).astype(np.int16))
    np.save(tmp_path / "pickle.npy", np.array([{"a": 1}]), allow_pickle=True)
    nan = ramp(5)
    nan[3, 1] = np.nan
    np.save(tmp_path / "nan.npy", nan)
    np.save(tmp_path / "inf.npy", np.full((5, BANDS), -np.inf))
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "good.npy").read_bytes()[:-4])
    (tmp_path / "text.npy").write_text("not an array")
    mels = read(tmp_path)
    assert mels.names == ["good.npy"] and values(mels, "good.npy") == ramp(5).tolist()
    begins = {
        "bands.npy": "its shape is (5, 5); expected (frames, 4) or (4, frames)",
        "flat.npy": "its shape is (4,); expected",
        "none.npy": "its shape is (0, 4); expected",
        "whole.npy": "not an array of floats",
        "pickle.npy": "not a .npy array of plain values, or cut short",
        "nan.npy": "values that are not finite, first in frame 3",
        "inf.npy": "values that are not finite, first in frame 0",
        "empty.npy": "not a .npy array of plain values, or cut short",
        "cut.npy": "not a .npy array of plain values, or cut short",
        "text.npy": "not a .npy array of plain values, or cut short",
    }
    assert set(mels.broken) == set(begins)
    for name, reason in begins.items():
        assert mels.broken[name].startswith(reason), (name, mels.broken[name])


def test_the_cache(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", ramp(6))
    first = read(tmp_path)
    monkeypatch.setattr(mel_files, "_load", lambda path: pytest.fail("read again"))
    again = read(tmp_path)
    assert again.names == first.names
    assert values(again, "a.npy") == ramp(6).tolist()
    monkeypatch.undo()
    np.save(tmp_path / "a.npy", ramp(7))
    assert read(tmp_path).length.tolist() == [7]
