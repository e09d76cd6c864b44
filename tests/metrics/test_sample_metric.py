"""What metrics say of themselves."""

from typing import get_args

import pytest

from lightning_gans.metrics import METRICS, MetricName, of_kind

HIGHER = {"label_accuracy", "parzen_ll", "classifier_score_fsdd", "confident_fsdd", "label_entropy_fsdd"}
HIGHER |= {"pesq", "stoi", "vuv_f1"}


def test_names():
    assert get_args(MetricName) == tuple(METRICS)
    assert of_kind("audio") == ["classifier_score_fsdd", "confident_fsdd", "label_entropy_fsdd", "nn_self", "nn_train"]
    assert sorted(of_kind("image") + of_kind("audio") + of_kind("mel")) == sorted(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_what_they_ask_for(name):
    """A classifier's judgement has the test examples as its baseline, a distance from these has others."""
    metric = METRICS[name]
    other = "real" if name == "label_accuracy" else "real_train"
    assert metric.baseline == {"image": other, "audio": "real", "mel": "griffin_lim"}[metric.kind]
    assert metric.calibration == {"nn_train": "train", "parzen_ll": "val"}.get(name)
    assert metric.one_per_example == (name in ("nn_self", "nn_train"))
    assert metric.higher_is_better == (None if name.startswith("nn_") else name in HIGHER)
