import pytest
from helpers import hub_server

from lightning_gans.zoo import assets, sources


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty zoo in place of the packaged one, and an empty cache."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    monkeypatch.setattr(assets, "zoo", lambda: folder)
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "gan_mnist.yaml").write_text("")
    monkeypatch.setattr(assets, "configs", lambda: configs)
    monkeypatch.delenv(sources.FOLDERS, raising=False)
    monkeypatch.setenv(sources.CACHE, str(tmp_path / "cache"))
    return folder


@pytest.fixture
def hub(folder, tmp_path):
    """A stand-in of the Hub, beside an empty zoo."""
    with hub_server.serving(tmp_path) as server:
        yield server
