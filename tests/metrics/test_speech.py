import math

import pytest
import torch

from lightning_gans.errors import InputError
from lightning_gans.metrics import ClassifierScore, Confident, DigitAsked, LabelEntropy, speech

SCORES = (ClassifierScore, LabelEntropy, Confident)


@pytest.fixture
def told(monkeypatch):
    """The first ten samples of a clip are what the classifier would say: its probabilities."""
    monkeypatch.setattr(speech, "digit_probabilities", lambda clips: clips[:, :10])


def values(*rows, parts=1):
    """The three values of clips with such probabilities."""
    clips = torch.zeros(len(rows), 1, 16_384)
    clips[:, 0, :10] = torch.tensor(rows)
    metrics = [metric(sample_rate=16_000) for metric in SCORES]
    for part in clips.chunk(parts):
        for metric in metrics:
            metric.update(None, part)
    return [metric.compute().item() for metric in metrics]


def sure(digit):
    return [float(i == digit) for i in range(10)]


def test_no_digit_can_be_told(told):
    assert values(*[[0.1] * 10] * 7) == pytest.approx([1, math.log(10), 0])


def test_all_digits_are_clear_and_equally_frequent(told):
    assert values(*[sure(digit) for digit in range(10)]) == pytest.approx([10, 2.302585, 1])


def test_one_clear_digit_only(told):
    assert values(*[sure(3)] * 5) == pytest.approx([1, 0, 1], abs=1e-7)


@pytest.mark.parametrize("parts", [1, 2])
def test_mixed_by_hand(told, parts):
    """(1, 0) and (1/2, 1/2): mean (3/4, 1/4); log 4/3 and (log 2/3 + log 2) / 2 = log(4/3) / 2; their mean's exp."""
    half = [0.5, 0.5] + [0.0] * 8
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert values(sure(0), half, parts=parts) == pytest.approx([(4 / 3) ** 0.75, entropy, 1 / 2])


def test_confident_is_above_nine_tenths(told):
    assert values([0.9] + [0.1] + [0.0] * 8, [0.91] + [0.09] + [0.0] * 8)[2] == 1 / 2


def test_real_digits(fsdd):
    """The values of the 300 test clips, which the classifier has not been trained on."""
    clips, _ = fsdd
    metrics = [metric(sample_rate=8_000) for metric in SCORES]
    for metric in metrics:
        metric.update(None, clips)
    assert [metric.compute().item() for metric in metrics] == pytest.approx([8.87, 2.302, 0.92], abs=0.02)


def test_digits_played_backwards(fsdd):
    """They have the sound of speech, and are none of the ten: 4 of 300 are taken for a digit, 276 forwards."""
    values = []
    for clips in (fsdd[0], torch.stack([backwards(clip[0]) for clip in fsdd[0]])[:, None]):
        metric = Confident(sample_rate=8_000)
        metric.update(None, clips)
        values.append(metric.compute().item())
    assert values == pytest.approx([276 / 300, 4 / 300], abs=0.01)


def backwards(clip):
    """The sound of a clip reversed, and zeros behind it as before."""
    length = int(clip.nonzero().max()) + 1
    return torch.cat([clip[:length].flip(0), clip[length:]])


def test_garbage_scores_low():
    """White noise and silence: no digit is sure, and the score stays near 1."""
    noise = 0.1 * torch.randn(30, 1, 16_384, generator=torch.Generator().manual_seed(0))
    metrics = [metric(sample_rate=16_000) for metric in SCORES]
    for metric in metrics:
        metric.update(None, torch.cat([noise, torch.zeros(2, 1, 16_384)]))
    score, entropy, confident = (metric.compute().item() for metric in metrics)
    assert score < 1.1 and confident == 0 and math.isfinite(entropy)


def test_names_its_weights():
    assert ClassifierScore.weights == "981403b7"


def test_images_are_refused():
    with pytest.raises(InputError, match=r"got audio \(2, 1, 8, 8\); it takes \(B, C, T\) samples"):
        Confident(sample_rate=16_000).update(None, torch.zeros(2, 1, 8, 8))


def test_the_digit_asked_for(told):
    metric = DigitAsked(sample_rate=16_000)
    clips = torch.zeros(4, 1, 16_384)
    clips[:, 0, :10] = torch.tensor([sure(3), sure(3), sure(4), [0.2, 0.3] + [0.5 / 8] * 8])
    metric.update(None, clips[:3], torch.tensor([3, 5, 4]))
    metric.update(None, clips[3:], torch.tensor([1]))
    assert metric.compute().item() == 3 / 4
    assert metric.standard_error().item() == pytest.approx((3 / 4 * 1 / 4 / 3) ** 0.5)
    for label in (None, torch.tensor([10, 0, 0, 0]), torch.zeros(3), torch.eye(10)[:4]):
        with pytest.raises(InputError, match="takes one digit, 0 to 9, for each clip"):
            metric.update(None, clips, label)


@pytest.mark.parametrize("metric", SCORES)
def test_standard_errors_are_those_of_drawing_again(told, metric):
    """The deviation of the value over samples of the same clips, drawn with replacement."""
    torch.manual_seed(0)
    clips = torch.zeros(200, 1, 16_384)
    clips[:, 0, :10] = (4 * torch.randn(200, 10)).softmax(1)

    def judged(rows):
        judge = metric(sample_rate=16_000)
        judge.update(None, clips[rows])
        return judge

    error = judged(slice(None)).standard_error().item()
    again = torch.stack([judged(torch.randint(200, (200,))).compute() for _ in range(300)])
    assert error == pytest.approx(again.std().item(), rel=0.25)


def test_no_clips():
    with pytest.raises(InputError, match="Confident got no clips"):
        Confident(sample_rate=16_000).compute()
