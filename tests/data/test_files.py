import logging
import os

from lightning_gans.data.files import walk


def test_links_to_folders(tmp_path):
    for name in (".store", "other/deep"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.wav").touch()
    for name in ("zebra", "faces", "birds"):
        (tmp_path / name).symlink_to(".store")
    (tmp_path / "other" / "loop").symlink_to(tmp_path)
    assert list(walk(tmp_path, (".wav",))) == ["birds/a.wav", "other/deep/a.wav"]


def test_the_order_of_the_directory_does_not_matter(tmp_path, monkeypatch):
    (tmp_path / ".store").mkdir()
    (tmp_path / ".store" / "a.wav").touch()
    (tmp_path / "faces").symlink_to(".store")
    true_walk = os.walk

    def hidden_first(*args, **options):
        for folder, subfolders, names in true_walk(*args, **options):
            subfolders.sort()
            yield folder, subfolders, names

    monkeypatch.setattr(os, "walk", hidden_first)
    assert list(walk(tmp_path, (".wav",))) == ["faces/a.wav"]


def test_what_is_passed_over_is_told_once(tmp_path, caplog):
    for name in ("a.wav", "b.m4a", "c.M4A", ".d.m4a", "e.txt", "f.mp4"):
        (tmp_path / name).touch()
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            assert list(walk(tmp_path, (".wav",), (".m4a", ".mp4"))) == ["a.wav"]
        assert list(walk(tmp_path, (".wav",))) == ["a.wav"]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1 and str(tmp_path) in told[0] and "2 *.m4a, 1 *.mp4" in told[0]
