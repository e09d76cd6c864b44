from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of resized images of each test's own; that of sounds lies beside it."""
    monkeypatch.setenv("LIGHTNING_GANS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LIGHTNING_GANS_DATA", raising=False)
    return tmp_path / "cache" / "images"


@pytest.fixture
def picture() -> Callable[..., None]:
    """Writes an image of one color, or of the given pixels."""

    def write(path: Path, color: object = 0, size: tuple[int, int] = (12, 12), mode: str = "RGB") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_pixels = isinstance(color, np.ndarray)
        image = Image.fromarray(color) if is_pixels else Image.new(mode, size, color)
        image.save(path, **({"quality": 100, "subsampling": 0} if path.suffix == ".jpg" else {}))

    return write


@pytest.fixture
def sound() -> Callable[..., None]:
    """Writes a sound file: samples (T,) or (T, C), or the given number of one value, in [-1, 1] or int16."""

    def write(path: Path, samples: object, value: float = 0.25, rate: int = 16000, **options: object) -> None:
        import soundfile

        path.parent.mkdir(parents=True, exist_ok=True)
        samples = np.full(samples, value) if isinstance(samples, int) else samples
        soundfile.write(str(path), samples, rate, **options)

    return write
