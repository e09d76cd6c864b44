"""The wheel is built, installed elsewhere and used there, with the checkout out of reach."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lightning_gans import __version__, zoo
from lightning_gans.zoo import assets

CHECKOUT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def run(*command: str, folder: Path, **environment: str) -> str:
    """What a command prints, run in a folder."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHONPATH", "LIGHTNING_GANS"))}
    done = subprocess.run(command, cwd=folder, env=clean | environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(CHECKOUT))
    run(*build, folder=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("elsewhere")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target))
    run(*pip, str(wheel), folder=target)
    return target


def test_it_holds_the_package_the_configs_and_the_zoo(wheel):
    assert wheel.name == f"lightning_gans-{__version__}-py3-none-any.whl"
    inside = set(zipfile.ZipFile(wheel).namelist())
    tracked = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "lightning_gans").rglob("*.py")}
    assert tracked <= inside
    assert {f"lightning_gans/configs/{path.name}" for path in assets.configs().glob("*.yaml")} <= inside
    assert {"lightning_gans/configs/slurm.sbatch", "lightning_gans/tracking/compare.html"} <= inside
    assert {f"lightning_gans/zoo_files/{p.name}" for p in assets.zoo().iterdir() if p.suffix != ".png"} <= inside
    classifiers = {f"lightning_gans/metrics/classifiers/{name}.safetensors" for name in ("lenet_mnist", "speech_fsdd")}
    assert {"lightning_gans/py.typed", *classifiers} <= inside
    strangers = {name.split("/")[0] for name in inside} - {"lightning_gans", f"lightning_gans-{__version__}.dist-info"}
    assert not strangers and not any("__pycache__" in name or name.startswith("tests") for name in inside)


def python(installed: Path, folder: Path, script: str) -> str:
    """What a script prints; $PYTHONPATH comes before the editable install's entry of sys.path."""
    where = "import lightning_gans as package, pathlib; print(pathlib.Path(package.__file__).parent); "
    first, _, rest = run(sys.executable, "-c", where + script, folder=folder, PYTHONPATH=str(installed)).partition("\n")
    assert Path(first) == installed / "lightning_gans"
    return rest


def test_it_works_in_another_folder_without_the_checkout(installed, tmp_path):
    script = (
        "from lightning_gans.__main__ import main; main(['--help']);"
        "from lightning_gans.cli import train as cli; cli.Command._run_subcommand = lambda self, name: None;"
        "command = cli.command(['fit', '--config=dcgan_digits', '--trainer.logger=false']);"
        "from lightning_gans.zoo import assets; print(type(command.model).__name__, assets.configs());"
        "from lightning_gans.metrics.classifiers.lenet import load_lenet; load_lenet()"
    )
    said = python(installed, tmp_path, script)
    assert all(name in said for name in assets.config_names())
    assert f"DCGAN {installed / 'lightning_gans' / 'configs'}" in said


def test_the_zoo_comes_with_it(installed, tmp_path):
    if not zoo.names():
        pytest.skip("no model has been released yet")
    script = (
        "from lightning_gans import zoo; from lightning_gans.__main__ import main; main(['zoo', 'list']);"
        "print([str(zoo.local(zoo.card(name))) for name in zoo.names()])"
    )
    said = python(installed, tmp_path, script)
    inside = installed / "lightning_gans" / "zoo_files"
    for name in zoo.names():
        assert f"\n{name}" in f"\n{said}"
        if (weights := zoo.local(zoo.card(name))) and weights.suffix == ".safetensors":  # others lie in a package
            assert str(inside / f"{name}.safetensors") in said
