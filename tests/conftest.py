import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``seed_everything: 0`` would do; undone after the test, whatever seed it set itself."""
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real data sets; without it a test is skipped."""
    default = Path(__file__).parents[2] / "shared" / "data"
    root = Path(os.environ.get("LIGHTNING_GANS_DATA") or default)
    if not root.is_dir():
        pytest.skip(f"no data sets in {root}; set LIGHTNING_GANS_DATA")
    return root
