from pathlib import Path

import numpy as np
import pytest
from helpers import bundle_writer

from lightning_gans.errors import InputError
from lightning_gans.importers.tensorflow_bundle import bundle_prefix, read_bundle


def many() -> dict[str, np.ndarray]:
    """More names than one restart interval holds, that begin alike, of several types and shapes."""
    numbers = np.random.default_rng(0)
    names = [f"G/upconv_{i}/conv2d_transpose/{leaf}" for i in range(20) for leaf in ("kernel", "bias")]
    variables = {name: numbers.normal(size=(1, i + 1, 3)).astype(np.float32) for i, name in enumerate(names)}
    return variables | {
        "global_step": np.array(103005, np.int64),
        "none": np.zeros((0, 4), np.float32),
        "half": np.array([1.5, -2.0], np.float16),
        "D/double": np.arange(300.0).reshape(3, 100),
    }


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    return bundle_writer.write_bundle(tmp_path / "model.ckpt-7", many())


@pytest.mark.parametrize("shards", [1, 3])
def test_variables_come_back_as_they_were_written(tmp_path, shards):
    prefix = bundle_writer.write_bundle(tmp_path / "model.ckpt-7", many(), shards)
    found = read_bundle(prefix)
    assert found.keys() == many().keys()
    for name, values in many().items():
        assert found[name].dtype == values.dtype and found[name].shape == values.shape
        assert np.array_equal(found[name], values)


@pytest.mark.parametrize("suffix", ["", ".index", ".data-00000-of-00001"])
def test_each_of_its_files_names_a_checkpoint(prefix, suffix):
    path = Path(f"{prefix}{suffix}")
    assert bundle_prefix(path) == prefix
    assert read_bundle(path)["global_step"] == 103005


def test_what_is_skipped_is_not_read(prefix):
    data = Path(f"{prefix}.data-00000-of-00001")
    content = bytearray(data.read_bytes())
    content[0] ^= 1  # of D/double, which comes first
    data.write_bytes(content)
    assert "D/double" not in read_bundle(prefix, lambda name: name == "D/double")
    with pytest.raises(InputError, match=r"data-00000-of-00001 is damaged: the checksum of D/double differs"):
        read_bundle(prefix)


@pytest.mark.parametrize("missing", ["index", "data-00000-of-00001"])
def test_a_companion_that_is_missing_is_named(prefix, missing):
    Path(f"{prefix}.{missing}").unlink()
    with pytest.raises(InputError, match=rf"there is no file .*model\.ckpt-7\.{missing}; .*one folder"):
        read_bundle(prefix)


def test_files_that_are_cut_short(prefix):
    index, data = Path(f"{prefix}.index"), Path(f"{prefix}.data-00000-of-00001")
    whole = data.read_bytes()
    data.write_bytes(whole[:-1])
    with pytest.raises(InputError, match=rf"{len(whole) - 1} bytes\) is cut short: none ends at {len(whole)}"):
        read_bundle(prefix, lambda name: name != "none")
    content = index.read_bytes()
    for cut in (content[:30], content[:-1], b""):
        index.write_bytes(cut)
        with pytest.raises(InputError, match=r"\.index is cut short or no index"):
            read_bundle(prefix)
    index.write_bytes(content[-48:])
    with pytest.raises(InputError, match=r"\.index \(48 bytes\) is cut short: a block ends at"):
        read_bundle(prefix)


def test_a_damaged_index_is_found_wherever_the_damage_is(prefix):
    index = Path(f"{prefix}.index")
    content = index.read_bytes()
    for position in [0, 100, len(content) // 2, len(content) - 70, len(content) - 8]:
        changed = bytearray(content)
        changed[position] ^= 0x10
        index.write_bytes(changed)
        with pytest.raises(InputError, match=r"model\.ckpt-7\.index is (damaged|cut short)"):
            read_bundle(prefix)


def test_what_is_not_read_is_refused(tmp_path):
    one = {"a": np.zeros(3, np.float32)}
    for options, message in [
        ({"big_endian": True}, r"model\.index was written on a big-endian machine"),
        ({"compression": 1}, r"model\.index has compressed blocks \(type 1\)"),
        ({"extra": {"a": bundle_writer.number(1, 14)}}, "a is of type 14 in TensorFlow's DataType"),
        ({"extra": {"a": bundle_writer.nested(7, b"")}}, "a is partitioned"),
        ({"extra": {"a": bundle_writer.number(5, 16)}}, r"a has 16 bytes where its shape \(3,\) needs 12"),
        ({"extra": {"a": bundle_writer.number(4, 1 << 62)}}, r"\(12 bytes\) is cut short: a ends at"),
    ]:
        prefix = bundle_writer.write_bundle(tmp_path / "model", one, **options)
        with pytest.raises(InputError, match=message):
            read_bundle(prefix)
