"""Files that are split by patterns, and by the hashes of their names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_gans.data.splits import Patterns, held_out_of, only_split, rows_left
from lightning_gans.errors import InputError

NAMES = st.lists(st.from_regex(r"[ab]/[xyz][0-9]{1,3}\.wav", fullmatch=True), min_size=1, unique=True)


def split(names: list[str], validation: float = 0.0, **patterns: str) -> dict[str, list[str]]:
    rows = Patterns(**patterns, validation=validation).split(names)
    return {name: [names[row] for row in of_split] for name, of_split in rows.items()}


@given(NAMES, st.floats(0, 0.99), st.sampled_from([None, "^a/"]), st.sampled_from([None, "x"]), st.randoms())
def test_every_file_belongs_to_one_split_whatever_the_order(names, validation, train_pattern, test_pattern, random):
    given_patterns = {"train": train_pattern, "test": test_pattern}
    patterns = {key: pattern for key, pattern in given_patterns.items() if pattern is not None}
    if not all(any(pattern.strip("^") in name for name in names) for pattern in patterns.values()):
        with pytest.raises(InputError, match="finds none of"):
            split(names, validation, **patterns)
        return
    splits = split(names, validation, **patterns)
    used = [name for of_split in splits.values() for name in of_split]
    assert len(used) == len(set(used))
    tested = [name for name in names if test_pattern and "x" in name]
    rest = [name for name in names if name not in tested and (train_pattern is None or name.startswith("a/"))]
    assert splits.get("test", []) == tested
    assert sorted(splits["train"] + splits.get("val", [])) == sorted(rest)
    assert len(splits.get("val", [])) == held_out_of(len(rest), validation)
    shuffled = random.sample(names, len(names))
    assert {key: set(of_split) for key, of_split in split(shuffled, validation, **patterns).items()} == {
        key: set(of_split) for key, of_split in splits.items()
    }
    for of_split in splits.values():
        assert of_split == sorted(of_split, key=names.index)
    # what is decoded alone is split as before
    stamps = dict.fromkeys(names, (0, 0))
    kept = list(only_split(stamps, Patterns(**patterns, validation=validation).split(names)))
    assert set(kept) == set(used) and split(kept, validation, **patterns) == splits


def test_held_out_files_are_not_trained_on_whatever_the_train_pattern_finds():
    names = ["ann_1", "ann_2", "bob_1", "bob_2", "eve_1"]
    assert split(names, train="ann|bob", val="_2", test="eve") == {
        "train": ["ann_1", "bob_1"],
        "val": ["ann_2", "bob_2"],
        "test": ["eve_1"],
    }
    assert split(names, train="bob", val="ann")["train"] == ["bob_1", "bob_2"]
    assert split(names, val="_")["train"] == []


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_a_pattern_that_finds_nothing(name):
    with pytest.raises(InputError, match=f"^{name}_pattern 'x' finds none of 2 files, such as ann"):
        split(["ann", "bob"], **{name: "x"})


def test_two_patterns_that_find_the_same_file():
    with pytest.raises(InputError, match="both find 1 files: ann_1;"):
        split(["ann_1", "ann_2"], val="1", test="1|2")


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [(0, 0.1, 0), (1, 0.1, 0), (2, 0.1, 1), (5, 0.1, 1), (15, 0.1, 2), (100, 0.001, 1), (5, 0.95, 4), (5, 0, 0)],
)
def test_a_share_is_one_file_at_least_and_never_all(count, share, expected):
    assert held_out_of(count, share) == expected
    assert len(split([str(i) for i in range(count)], share).get("val", [])) == expected


def test_no_file_changes_its_split_when_others_cannot_be_used():
    names = ["ann", "bob", "eve", "joe"]
    rows = {"train": np.array([0, 2]), "val": np.array([1, 3])}
    left = rows_left(rows, names, ["bob", "eve"])
    assert {split: of.tolist() for split, of in left.items()} == {"train": [1], "val": [0]}
    left = rows_left(rows, names, ["ann"])
    assert left["train"].tolist() == [0] and left["val"].tolist() == [] and left["val"].dtype == np.int64


def test_rows_are_whole_numbers():
    rows = Patterns(val="a").split(["a"])
    assert all(of_split.dtype == np.int64 for of_split in rows.values())
