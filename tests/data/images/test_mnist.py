import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from lightning_gans.data import MNIST
from lightning_gans.data.images.mnist import FILES
from lightning_gans.errors import InputError

NAMES = [name for pair in FILES.values() for name in pair]


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


@pytest.fixture(params=[True, False], ids=["gzipped", "plain"])
def generated(request, tmp_path) -> Path:
    """12 training and 4 test images; image i is i + 1 all over, its label i % 10."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for split, count in {"train": 12, "test": 4}.items():
        values = np.arange(1, count + 1, dtype=np.uint8)
        image = np.tile(values[:, None, None], (1, 28, 28))
        for name, content in zip(FILES[split], (image, (values - 1) % 10), strict=True):
            data = idx(content)
            path = folder / (f"{name}.gz" if request.param else name)
            path.write_bytes(gzip.compress(data) if request.param else data)
    return tmp_path


def test_splits_and_padding(generated):
    data = MNIST(str(generated), image_size=32)
    data.prepare_data()
    data.setup("fit")
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 10, "val": 2, "test": 4}
    image, label = data.splits["val"][:]
    assert image.shape == (2, *data.image_shape) == (2, 1, 32, 32)
    assert label.tolist() == [0, 1]
    assert image[0, 0, 2:30, 2:30].unique().tolist() == [11]
    assert image[0].sum() == 11 * 28 * 28  # the border is black


def test_all_images_for_training(generated):
    data = MNIST(str(generated), validation=False)
    data.setup("fit")
    assert len(data.splits["train"]) == 12
    assert data.test_is_validation


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_cut_short_is_named(generated, name):
    path = next((generated / "MNIST" / "raw").glob(f"{name}*"))
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(InputError, match="fetch it again") as error:
        MNIST(str(generated)).setup("fit")
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("damage", [b"", b"\0\0\x08", b"\0\0\x0d\x01\0\0\0\x01abcd"])
def test_a_file_of_another_format_is_named(generated, damage):
    path = next((generated / "MNIST" / "raw").glob("t10k-labels*"))
    path.write_bytes(gzip.compress(damage) if path.suffix == ".gz" else damage)
    with pytest.raises(InputError, match="t10k-labels"):
        MNIST(str(generated)).setup("fit")


def test_labels_that_do_not_fit(generated):
    path = next((generated / "MNIST" / "raw").glob("t10k-labels*"))
    data = idx(np.array([1, 2, 10, 3], np.uint8))
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    with pytest.raises(InputError, match=r"labels \(4,\) up to 10; expected"):
        MNIST(str(generated)).setup("fit")


def test_no_data_and_no_network(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz:\nno route to host")

    monkeypatch.setattr("torchvision.datasets.MNIST", refuse)
    with pytest.raises(InputError) as error:
        MNIST(str(tmp_path)).prepare_data()
    for part in [f"no MNIST in {tmp_path}", "looked for train-images", "--data.root DIR", "no route to host"]:
        assert part in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="no MNIST in"):
        MNIST(str(tmp_path)).setup("fit")


def test_the_folder_of_data_sets_from_the_environment(generated, monkeypatch):
    monkeypatch.setenv("LIGHTNING_GANS_DATA", str(generated))
    data = MNIST()
    data.setup("fit")
    assert len(data.splits["test"]) == 4


@pytest.mark.parametrize(
    "wrong", [{"image_size": 20}, {"image_size": 33}, {"batch_size": 0}, {"eval_batch_size": -1}, {"num_workers": -1}]
)
def test_wrong_sizes(wrong):
    (name, value), *_ = wrong.items()
    with pytest.raises(InputError, match=f"{name} is {value}"):
        MNIST(**wrong)


def test_the_real_set(data_root):
    data = MNIST(str(data_root))
    data.setup("fit")
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 50_000, "val": 10_000, "test": 10_000}
    published = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.splits["test"].label.bincount().tolist() == published
    both = data.splits["train"].label.bincount() + data.splits["val"].label.bincount()
    assert both.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    mean = data.splits["train"].image.double().mean() * 50 + data.splits["val"].image.double().mean() * 10
    assert mean / 60 / 255 == pytest.approx(0.1307, abs=1e-4)  # the well-known mean of the training set
