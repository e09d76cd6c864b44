import pytest
import torch

from lightning_gans.errors import InputError
from lightning_gans.metrics import LabelAccuracy
from lightning_gans.metrics.classifiers.lenet import load_lenet


def test_share_of_right_labels(digits):
    """Eight images with the classifier's own answers, six of them changed: 2 of 8; two more that are right: 4 of 10."""
    images = digits[0][:8]
    answers = load_lenet()(images).argmax(1)
    metric = LabelAccuracy()
    metric.update(torch.zeros_like(images), images, torch.where(torch.arange(8) < 6, (answers + 1) % 10, answers))
    assert metric.compute().item() == 2 / 8
    metric.update(torch.zeros_like(images), images[:2], answers[:2])
    assert metric.compute().item() == 4 / 10


def test_real_digits(digits):
    images, labels = digits
    metric = LabelAccuracy()
    metric.update(images, images, labels)
    assert metric.compute().item() == pytest.approx(0.915, abs=0.005)
    metric.reset()
    metric.update(images, images, (labels + 1) % 10)
    assert metric.compute().item() < 0.05


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (None, r"got labels none for 4 images; it takes one digit per image"),
        (torch.eye(10)[:4], r"got labels \(4, 10\) for 4 images"),
        (torch.zeros(3, dtype=torch.long), r"got labels \(3,\) for 4 images"),
        (torch.tensor([0, 9, 10, 3]), r"got labels from 0 to 10; it takes the digits 0 to 9"),
        (torch.tensor([0, -1, 1, 3]), r"got labels from -1 to 3"),
    ],
)
def test_bad_labels(digits, label, message):
    with pytest.raises(InputError, match=message):
        LabelAccuracy().update(digits[0][:4], digits[0][:4], label)
