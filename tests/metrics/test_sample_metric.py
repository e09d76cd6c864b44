"""What metrics say of themselves."""

from typing import get_args

import pytest

from lightning_gans.metrics import METRICS, MetricName, of_kind

OF_MANIFOLDS = {f"{what}_{of}" for what in ("precision", "recall", "density", "coverage") for of in ("lenet", "fsdd")}
OF_DIGITS = ["classifier_score_fsdd", "confident_fsdd", "label_accuracy_fsdd", "label_entropy_fsdd"]
NEAREST = {"match_train", "nn_self", "nn_train"}
HIGHER = {"label_accuracy", "parzen_ll", "distillmos", "dnsmos", "pesq", "stoi", "vuv_f1", *OF_DIGITS, *OF_MANIFOLDS}


def test_names():
    assert get_args(MetricName) == tuple(METRICS)
    of_manifolds = [name for name in OF_MANIFOLDS if name.endswith("fsdd")]
    assert of_kind("audio") == sorted([*OF_DIGITS, *of_manifolds, "match_train", "nn_self", "nn_train"])
    assert sorted(of_kind("image") + of_kind("audio") + of_kind("mel")) == sorted(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_what_they_ask_for(name):
    """A classifier's judgement has the test examples as its baseline, a distance from these has others."""
    metric = METRICS[name]
    judgements = {"label_accuracy", *NEAREST, *OF_DIGITS}
    expected = "griffin_lim" if metric.kind == "mel" else "real" if name in judgements else "real_train"
    assert metric.baseline == expected
    assert metric.calibration == {"match_train": "train", "nn_train": "train", "parzen_ll": "val"}.get(name)
    assert metric.one_per_example == (name in NEAREST | OF_MANIFOLDS)
    assert metric.higher_is_better == (None if name in NEAREST else name in HIGHER)
