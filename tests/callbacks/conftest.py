from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.setenv("PL_GLOBAL_SEED", "5")
    monkeypatch.chdir(tmp_path)
    return tmp_path
