import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real data sets; without it a test is skipped."""
    default = Path(__file__).parents[2] / "shared" / "data"
    root = Path(os.environ.get("LIGHTNING_GANS_DATA") or default)
    if not root.is_dir():
        pytest.skip(f"no data sets in {root}; set LIGHTNING_GANS_DATA")
    return root
