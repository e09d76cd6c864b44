"""Whatever a file is, its reader uses it or says in one line what is wrong."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import damage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightning_gans.errors import InputError
from lightning_gans.files import Damaged, opened, regular

MUTANTS = 500


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    damage.write_all(folder)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTNING_GANS_CACHE", str(tmp_path / "cache"))


def outcome(name: str, path: Path) -> str:
    """``used``, or ``refused`` in one line."""
    try:
        damage.KINDS[name](path)
    except InputError as error:
        assert str(error) and "Traceback" not in str(error)
        return "refused"
    return "used"


FORMS = {
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "dangling": lambda path: path.symlink_to("nowhere"),
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(5000)),
    "latin": lambda path: path.write_bytes(b"caf\xe9: \xff\x00" * 50),
    "brackets": lambda path: path.write_text("[" * 5000),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", damage.KINDS)
def test_what_is_no_such_file(name, form, tmp_path):
    if (name, form) == ("a.zip", "folder"):
        pytest.skip("a folder of images is what an archive stands for")
    FORMS[form](path := tmp_path / name)
    with pytest.raises(InputError) as error:
        damage.KINDS[name](path)
    assert path.stem.partition(".")[0] in str(error.value)


@pytest.mark.parametrize("name", damage.KINDS)
def test_whole_and_cut_short(name, good, tmp_path):
    assert outcome(name, good / name / name) == "used"
    data = (good / name / name).read_bytes()
    for share in (0.1, 0.5, 0.9):
        (tmp_path / name).write_bytes(data[: int(share * len(data))])
        outcome(name, tmp_path / name)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.yaml", "gan_noise.md", "boxes.csv", "attributes.txt", "a.wav"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), kept=st.integers(0, 60))
def test_any_bytes(name, good, tmp_path, data, kept):
    (tmp_path / name).write_bytes((good / name / name).read_bytes()[:kept] + data)
    outcome(name, tmp_path / name)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "nowhere"])
def test_names_that_name_nothing(name):
    with pytest.raises(Damaged) as error:
        regular(Path(name))
    assert len(str(error.value)) < 500


def test_names_outside_of_unicode(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    path.write_bytes(b"a")
    assert opened(path).read() == b"a"


def series(folder: str, name: str) -> dict[str, object]:
    """Read mutants of a good file, in a process of its own so that its memory is seen."""
    draw, data = random.Random(name), Path(folder, name, name).read_bytes()
    path = Path(folder, "mutants", name, name)
    path.parent.mkdir(parents=True)
    outcome(name, Path(folder, name, name))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts, other = {"used": 0, "refused": 0}, []
    for number in range(MUTANTS):
        path.write_bytes(damage.mutated(data, draw))
        signal.alarm(30)
        try:
            counts[outcome(name, path)] += 1
        except Exception as error:  # what the test is for
            other.append(f"{number}: {error!r}")
        signal.alarm(0)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return counts | {"other": other[:3], "MB": round(grown), "size": len(data)}


@pytest.mark.slow
@pytest.mark.parametrize("name", damage.KINDS)
def test_mutants(name, good):
    code = f"import json, sys; sys.path[:0] = {[str(Path(__file__).parents[1]), str(Path(__file__).parent)]!r};"
    code += f"from test_damage import series; print(json.dumps(series({str(good)!r}, {name!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print(name, found)
    assert found["used"] + found["refused"] == MUTANTS and not found["other"], found
    assert found["MB"] < 200 + 8 * found["size"] / 2**20
