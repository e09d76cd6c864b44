import pytest
from helpers.hub_server import HubServer

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
def hub(folder, tmp_path, monkeypatch):
    """A stand-in of the Hub, which huggingface_hub asks in place of it; an empty cache and a token."""
    pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")
    from huggingface_hub import constants

    server = HubServer()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_TOKEN", "hf_stand_in")
    yield server
    server.stop()
