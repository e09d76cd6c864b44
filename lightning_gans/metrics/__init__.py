"""What judges generated images and sounds, as torchmetrics.Metric: equal under one process and several.

An image metric is made without arguments and takes ``update(real, fake, label)``: (B, C, H, W) in [-1, 1] and the
labels that the fakes were made for, (B,) classes or (B, K) rows, or None where the metric needs none. An audio metric
is made with ``sample_rate`` in Hz and takes (B, C, T) in [-1, 1] in the same way. A metric of vocoders is made with
``mel``, the mels' convention, and takes pairs of utterances (B, 1, T) of one length. What else they ask for stands in
the attributes of ``SampleMetric``.
"""

from __future__ import annotations

from typing import Literal

from lightning_gans.metrics.fid import FIDInception, FIDLeNet
from lightning_gans.metrics.label_accuracy import LabelAccuracy
from lightning_gans.metrics.manifold import (
    CoverageFSDD,
    CoverageLeNet,
    DensityFSDD,
    DensityLeNet,
    PrecisionFSDD,
    PrecisionLeNet,
    RecallFSDD,
    RecallLeNet,
)
from lightning_gans.metrics.match import MatchTrain
from lightning_gans.metrics.mos import DNSMOS, DistillMOS
from lightning_gans.metrics.nearest import NearestSelf, NearestTrain
from lightning_gans.metrics.parzen import ParzenLogLikelihood
from lightning_gans.metrics.perceptual import PESQ, STOI
from lightning_gans.metrics.pitch import F0RMSE, VUVF1
from lightning_gans.metrics.sample_metric import SampleMetric
from lightning_gans.metrics.sliced_wasserstein import SlicedWasserstein
from lightning_gans.metrics.spectral import MelCepstralDistortion, MelL1, STFTDistance
from lightning_gans.metrics.speech import ClassifierScore, Confident, DigitAsked, LabelEntropy

MetricName = Literal[
    "coverage_lenet", "density_lenet", "fid_inception", "fid_lenet", "label_accuracy", "parzen_ll", "precision_lenet",
    "recall_lenet", "sliced_wasserstein",
    "classifier_score_fsdd", "confident_fsdd", "coverage_fsdd", "density_fsdd", "label_accuracy_fsdd",
    "label_entropy_fsdd", "match_train", "nn_self", "nn_train", "precision_fsdd", "recall_fsdd",
    "distillmos", "dnsmos", "f0_rmse", "mcd", "mel_l1", "pesq", "stft_distance", "stoi", "vuv_f1",
]  # fmt: skip

METRICS: dict[str, type[SampleMetric]] = {
    "coverage_lenet": CoverageLeNet,
    "density_lenet": DensityLeNet,
    "fid_inception": FIDInception,
    "fid_lenet": FIDLeNet,
    "label_accuracy": LabelAccuracy,
    "parzen_ll": ParzenLogLikelihood,
    "precision_lenet": PrecisionLeNet,
    "recall_lenet": RecallLeNet,
    "sliced_wasserstein": SlicedWasserstein,
    "classifier_score_fsdd": ClassifierScore,
    "confident_fsdd": Confident,
    "coverage_fsdd": CoverageFSDD,
    "density_fsdd": DensityFSDD,
    "label_accuracy_fsdd": DigitAsked,
    "label_entropy_fsdd": LabelEntropy,
    "match_train": MatchTrain,
    "nn_self": NearestSelf,
    "nn_train": NearestTrain,
    "precision_fsdd": PrecisionFSDD,
    "recall_fsdd": RecallFSDD,
    "distillmos": DistillMOS,
    "dnsmos": DNSMOS,
    "f0_rmse": F0RMSE,
    "mcd": MelCepstralDistortion,
    "mel_l1": MelL1,
    "pesq": PESQ,
    "stft_distance": STFTDistance,
    "stoi": STOI,
    "vuv_f1": VUVF1,
}


def of_kind(kind: str) -> list[str]:
    """The names of the metrics of images, audio, or mels (those of vocoders)."""
    return [name for name, metric in METRICS.items() if metric.kind == kind]
