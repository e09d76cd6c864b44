import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lightning_gans.errors import InputError
from lightning_gans.zoo import assets

ROOT = Path(__file__).parents[2]


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """A package installed from a wheel: its configs are inside, and a stranger's folder is beside it."""
    package = tmp_path / "site-packages" / "lightning_gans"
    for folder in (package / "configs", package / "zoo_files", package.parent / "configs"):
        folder.mkdir(parents=True)
    for name in ("dcgan_mnist", "gan_mnist", "ddp"):
        (package / "configs" / f"{name}.yaml").write_text("model: GAN\n")
    (package.parent / "configs" / "strange.yaml").write_text("")
    monkeypatch.setattr(assets, "PACKAGE", package)
    monkeypatch.chdir(tmp_path)
    return package


def test_a_checkout_has_its_folders_at_the_root():
    assert assets.configs() == ROOT / "configs"
    assert assets.zoo() == ROOT / "zoo"


def test_a_wheel_has_them_inside(packaged):
    assert assets.configs() == packaged / "configs"
    assert assets.zoo() == packaged / "zoo_files"
    assert assets.config_names() == ["dcgan_mnist", "ddp", "gan_mnist"]


@pytest.mark.parametrize("name", ["dcgan_mnist", "dcgan_mnist.yaml"])
def test_a_bare_name_finds_the_packaged_config(packaged, name):
    assert assets.config(name) == packaged / "configs" / "dcgan_mnist.yaml"


def test_a_file_of_the_user_wins(packaged, tmp_path):
    own = tmp_path / "ddp.yaml"
    own.write_text("")
    assert assets.config("ddp.yaml") == Path("ddp.yaml")
    assert assets.config(own) == own
    assert assets.config("ddp") == packaged / "configs" / "ddp.yaml"
    (tmp_path / "gan_mnist").mkdir()
    assert assets.config("gan_mnist") == packaged / "configs" / "gan_mnist.yaml"


def test_unknown_configs_get_the_closest_names(packaged):
    with pytest.raises(InputError, match=r"no config dcgan_minst.*did you mean dcgan_mnist or gan_mnist\?"):
        assets.config("dcgan_minst")
    with pytest.raises(InputError, match=r"no config file runs/dcgan_mnist.yaml"):
        assets.config("runs/dcgan_mnist.yaml")


def test_a_package_without_its_folders_says_so(packaged):
    shutil.rmtree(packaged / "zoo_files")
    with pytest.raises(InputError, match="without its folder zoo_files"):
        assets.zoo()


def test_the_commit_of_a_checkout(tmp_path, monkeypatch):
    people = {f"GIT_{role}_{what}": "me@here" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def git(*args: str) -> str:
        done = subprocess.run(["git", *args], cwd=tmp_path, env=os.environ | people, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    monkeypatch.setattr(assets, "PACKAGE", tmp_path / "lightning_gans")
    assert assets.commit() is None
    git("init", "--quiet")
    (tmp_path / "train.py").write_text("1")
    git("add", "train.py")
    git("commit", "--quiet", "--message", "first")
    head = git("rev-parse", "HEAD")
    assert assets.commit() == head
    (tmp_path / "train.py").write_text("2")
    ran = tmp_path / "ran"
    git("config", "core.fsmonitor", f"touch {ran}; false")  # a program that git would run
    assert assets.commit() == f"{head}-dirty"
    assert not ran.exists()
    monkeypatch.setattr(assets, "PACKAGE", tmp_path / "site-packages" / "lightning_gans")
    assert assets.commit() is None  # a wheel is in no checkout, though its folder may be in one
    monkeypatch.setattr(assets, "PACKAGE", tmp_path / "lightning_gans")
    monkeypatch.setenv("PATH", "")
    assert assets.commit() is None
