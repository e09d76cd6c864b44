import logging

from lightning_gans.data.files import walk


def test_what_is_passed_over_is_told_once(tmp_path, caplog):
    for name in ("a.wav", "b.m4a", "c.M4A", ".d.m4a", "e.txt", "f.mp4"):
        (tmp_path / name).touch()
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            assert list(walk(tmp_path, (".wav",), (".m4a", ".mp4"))) == ["a.wav"]
        assert list(walk(tmp_path, (".wav",))) == ["a.wav"]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1 and str(tmp_path) in told[0] and "2 *.m4a, 1 *.mp4" in told[0]
