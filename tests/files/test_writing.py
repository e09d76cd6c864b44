"""Files that are whole at any time. The processes killed here know ``lightning_gans.files.writing`` alone."""

import errno
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.small_disk import fill, small_disk

from lightning_gans.files import writing
from lightning_gans.files.writing import Unwritable, remove_dead, write_whole, written

WORDS = 100_000
"""Of eight bytes each in a file, all of the same number."""
SCRIPT = """
import os, signal, sys
from pathlib import Path
from lightning_gans.files import writing

path, point, number, times = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def then_die(function):
    return lambda *given: (function(*given), die())
if point == "created": writing._locked = die
if point == "renaming": os.replace = die
if point == "renamed": os.replace = then_die(os.replace)
if point == "on disk": os.fsync = then_die(os.fsync)
while times:
    times, number = times - 1, number + 1
    with writing.written(path) as file:
        file.write(number.to_bytes(8, "big") * 50_000)
        if point == "half": file.flush(), die()
        if point == "held": print("writing", flush=True), sys.stdin.read()
        file.write(number.to_bytes(8, "big") * 50_000)
"""


@pytest.fixture(autouse=True)
def another_start():
    """As far as leftovers go, each test is a process of its own."""
    remove_dead.cache_clear()


def start(path: Path, point: str, number: int, times: int = -1) -> subprocess.Popen:
    command = [sys.executable, "-c", SCRIPT, str(path), point, str(number), str(times)]
    package = str(Path(writing.__file__).parents[1])
    return subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": package}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def number_in(path: Path) -> int:
    content = path.read_bytes()
    assert len(content) == 8 * WORDS and content == content[:8] * WORDS, "it is torn"
    return int.from_bytes(content[:8], "big")


def parts(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.endswith(".part")]


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    with written(path) as file:
        file.write(b"first")
        assert not path.exists() and len(parts(path.parent)) == 1
    assert path.read_bytes() == b"first"
    write_whole(path, "zw\u00f6lf, \udcff")  # a name that is not UTF-8, as Python has it
    assert path.read_bytes() == "zw\u00f6lf, \\udcff".encode()
    with pytest.raises(RuntimeError), written(path) as file:
        file.write(b"third")
        raise RuntimeError
    assert path.read_bytes().startswith(b"zw") and list(path.parent.iterdir()) == [path]


def test_the_mode_is_that_of_any_new_file(tmp_path):
    for mask, mode in ((0o022, 0o644), (0o002, 0o664), (0o077, 0o600)):
        before = os.umask(mask)
        try:
            write_whole(tmp_path / "a", b"")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


def test_a_name_may_be_as_long_as_names_are(tmp_path):
    for name in ("a" * 255, "\u6c34" * 85):
        write_whole(tmp_path / name, b"1")
        assert (tmp_path / name).read_bytes() == b"1"


def test_what_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "folder").mkdir()
    for path, reason in (
        (tmp_path / "file" / "a", "Not a directory"),
        (tmp_path / "file" / "b" / "a", "Not a directory"),
        (tmp_path / "folder", "Is a directory"),
        (tmp_path / ("a" * 256), "File name too long"),
        (Path("/proc/nothing/a"), "No such file or directory"),
    ):
        with pytest.raises(Unwritable) as error:
            write_whole(path, b"", "the way out")
        assert str(error.value) == f"{path} cannot be written ({reason}); the way out"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(Unwritable, match="Permission denied"):
        write_whole(tmp_path / "a", b"")


@pytest.mark.parametrize("size", [100, 100_000], ids=["in the buffer", "beyond it"])
def test_a_limit_of_size_leaves_the_previous_file(size, tmp_path):
    write_whole(tmp_path / "a", b"before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, before[1]))
    try:
        with pytest.raises(Unwritable, match="File too large"):
            write_whole(tmp_path / "a", b"\0" * size)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "a").read_bytes() == b"before" and not parts(tmp_path)


def test_a_full_disk_leaves_the_previous_file(tmp_path):
    with small_disk(tmp_path / "disk", 64) as disk:
        write_whole(disk / "a", b"before")
        fill(disk)
        for size in (100, 100_000):
            with pytest.raises(Unwritable, match="No space left on device"):
                write_whole(disk / "a", b"\0" * size)
        assert (disk / "a").read_bytes() == b"before" and not parts(disk)


@pytest.mark.parametrize(
    ("point", "left"), [("created", 1), ("half", 1), ("on disk", 1), ("renaming", 1), ("renamed", 0)]
)
def test_a_kill_at_each_point(point, left, tmp_path):
    path = tmp_path / "a"
    write_whole(path, (1).to_bytes(8, "big") * WORDS)
    assert start(path, point, 1).wait() == -signal.SIGKILL
    assert number_in(path) == (2 if point == "renamed" else 1)
    assert len(parts(tmp_path)) == left
    assert start(path, "", 2, times=1).wait() == 0  # the next start
    assert number_in(path) == 3 and list(tmp_path.iterdir()) == [path]


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    other = start(tmp_path / "a", "held", 0)
    assert other.stdout.readline() == b"writing\n"
    (held,) = parts(tmp_path)
    write_whole(tmp_path / "b", b"")
    assert parts(tmp_path) == [held]
    other.kill()
    other.wait()
    remove_dead.cache_clear()
    foreign = tmp_path / ".a.another-machine.0123.part"  # of which nothing is known
    foreign.touch()
    write_whole(tmp_path / "b", b"")
    assert parts(tmp_path) == [foreign]


def test_parts_of_older_versions_and_other_machines_go_after_a_week(tmp_path):
    names = [".last.ckpt.part", "tmpab3_x9yz.part", ".a.another-machine.0123456789abcdef.part"]
    kept = ["tmp.part", ".a.part", "film.part"]  # which may be somebody's
    for name in (*names, *kept):
        (tmp_path / name).touch()
    write_whole(tmp_path / "a", b"")
    assert len(parts(tmp_path)) == 6
    for path in parts(tmp_path):
        os.utime(path, (time.time() - 8 * 24 * 3600,) * 2)
    remove_dead.cache_clear()
    write_whole(tmp_path / "a", b"")
    assert {path.name for path in parts(tmp_path)} == {*kept}


def test_what_is_written_here_is_not_taken_for_a_dead_ones(tmp_path):
    with written(tmp_path / "a") as file:
        file.write(b"1")
        remove_dead.cache_clear()
        write_whole(tmp_path / "b", b"2")
    assert (tmp_path / "a").read_bytes() == b"1"


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(writing.fcntl, "flock", flock)
    left = tmp_path / f".a.{writing.HOST}.0123.part"
    left.touch()
    write_whole(tmp_path / "a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1" and parts(tmp_path) == [left]


def test_several_writers_of_one_file(tmp_path):
    """Each reader finds a whole file, whoever wrote it."""
    path = tmp_path / "a"
    write_whole(path, bytes(8) * WORDS)
    writers = [start(path, "", 1000 * number, times=40) for number in range(3)]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        number_in(path)
        reads += 1
    assert [writer.returncode for writer in writers] == [0, 0, 0] and reads > 10
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_a_hundred_kills(tmp_path):
    path, seconds, number, halves = tmp_path / "a", random.Random(0), 0, 0
    write_whole(path, bytes(8) * WORDS)
    for _ in range(100):
        process = start(path, "", number)
        while number_in(path) == number:  # it has begun
            time.sleep(0.005)
        time.sleep(seconds.uniform(0, 0.02))
        process.kill()
        process.wait()
        left = len(parts(tmp_path))
        assert left <= 1  # the one before was removed
        halves += left
        previous, number = number, number_in(path)
        assert number > previous
    assert halves >= 30, halves
    assert start(path, "", number, times=1).wait() == 0
    assert list(tmp_path.iterdir()) == [path]
