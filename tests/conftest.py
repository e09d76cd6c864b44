import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# before torch looks, which is imported below: it takes memory that the process which hands out tests need not have
os.environ["OMP_NUM_THREADS"] = "1"  # a second thread waits longer than it computes


def pytest_collection_finish() -> None:
    """What is imported by now stays, and need not be looked through at each collection of garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def memory() -> Iterator[None]:
    """A file's models and trainers, which refer to each other, do not outlive it."""
    yield
    if dynamo := sys.modules.get("torch._dynamo"):
        dynamo.reset()
    gc.collect()
    if hasattr(library := ctypes.CDLL(None), "malloc_trim"):  # what glibc holds and nobody uses
        library.malloc_trim(0)


@pytest.fixture(autouse=True)
def seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``seed_everything: 0`` would do; undone after the test, whatever seed it set itself."""
    import torch

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
