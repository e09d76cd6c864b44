import hashlib

import pytest
import torch

from lightning_gans.errors import InputError
from lightning_gans.metrics.classifiers import speech_classifier
from lightning_gans.metrics.classifiers.speech_classifier import (
    SpeechClassifier,
    digit_probabilities,
    latest,
    load_speech_classifier,
    speech_clips,
)
from lightning_gans.metrics.classifiers.stored import store


def test_architecture():
    """By hand: four convolutions of 3x3, five batch norms, and a layer of 96 x 8 x 4 = 3,072 to 10."""
    convolutions = (9 * 1 + 1) * 16 + (9 * 16 + 1) * 32 + (9 * 32 + 1) * 64 + (9 * 64 + 1) * 96
    norms = 2 * (64 + 16 + 32 + 64 + 96)
    network = SpeechClassifier()
    assert sum(p.numel() for p in network.parameters()) == convolutions + norms + 3_073 * 10 == 109_962
    assert network(torch.zeros(3, 16_384)).shape == (3, 10)


def test_weights_file():
    data = speech_classifier.WEIGHTS.read_bytes()
    assert hashlib.sha256(data).hexdigest() == speech_classifier.SHA256
    assert len(data) < 300_000
    network = load_speech_classifier()
    assert not network.training and not any(p.requires_grad for p in network.parameters())


def test_hears_nothing_above_4_khz():
    """Full-scale tones of 4.2 to 7.9 kHz beside a digit-like sound change nothing."""
    time = torch.arange(16_384) / 16_000
    low = 0.1 * (6.2832 * 300 * time).sin() * (-(((time - 0.3) / 0.1) ** 2)).exp()
    high = torch.stack([(6.2832 * f * time).sin() for f in (4_200, 5_000, 7_900)]) * 0.01
    network = load_speech_classifier()
    expected = network(low[None])
    torch.testing.assert_close(network(low + high), expected.expand(3, -1), atol=0.2, rtol=0)


def test_accuracy_on_test_digits(fsdd):
    clips, labels = fsdd
    probabilities = digit_probabilities(speech_clips(clips, 8_000))
    assert (probabilities.argmax(1) == labels).float().mean().item() >= 0.985


@pytest.mark.parametrize("clips", [torch.zeros(2, 16_384), torch.ones(2, 16_384), torch.full((2, 16_384), 1e4)])
def test_silence_and_extremes_are_finite(clips):
    logits = load_speech_classifier()(clips)
    assert logits.isfinite().all()


def test_same_under_autocast():
    network = load_speech_classifier()
    clips = torch.rand(2, 16_384, generator=torch.Generator().manual_seed(0)) - 0.5
    expected = network(clips)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network(clips), expected)


def test_one_pass_for_equal_clips():
    """Three metrics of one batch cost one computation; changed values cost another one, even of the same tensor."""
    passes = []
    double = latest(lambda clips: passes.append(len(clips)) or 2 * clips)
    clips = torch.ones(3, 4)
    first = double(clips.clone())
    assert double(clips.clone()) is first and passes == [3]
    clips[0, 0] = 5
    assert double(clips)[0, 0] == 10 and passes == [3, 3]
    clips[0, 0] = 7
    assert double(clips)[0, 0] == 14 and passes == [3, 3, 3]
    assert len(double(clips[:2])) == 2 and passes == [3, 3, 3, 2]


def test_clips():
    """Averaged channels; the start of a long sound; zeros behind a short one; twice the samples for half the rate."""
    left, right = torch.full((1, 20_000), 0.5), torch.full((1, 20_000), 0.25)
    stereo = torch.stack([left, right], 1)
    assert torch.equal(speech_clips(stereo, 16_000), torch.full((1, 16_384), 0.375))
    short = speech_clips(stereo[..., :100], 16_000)
    assert short.shape == (1, 16_384) and short[0, :100].eq(0.375).all() and short[0, 100:].eq(0).all()
    slow = speech_clips((6.2832 * 200 * torch.arange(4_000) / 8_000).sin()[None, None], 8_000)
    fast = (6.2832 * 200 * torch.arange(8_000) / 16_000).sin()
    torch.testing.assert_close(slow[0, 500:7_500], fast[500:7_500], atol=1e-3, rtol=0)
    assert slow[0, 8_000:].abs().max() == 0


def test_other_shapes_are_refused():
    with pytest.raises(InputError, match=r"got audio \(2, 16384\); it takes \(B, C, T\)"):
        speech_clips(torch.zeros(2, 16_384), 16_000)


def test_damaged_or_missing_weights(tmp_path):
    damaged = tmp_path / "speech.safetensors"
    damaged.write_bytes(speech_classifier.WEIGHTS.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=f"expected {speech_classifier.SHA256[:12]}"):
        load_speech_classifier(damaged)
    with pytest.raises(InputError, match=r"there is no file .*install the package again"):
        load_speech_classifier(tmp_path / "none")


def test_stored_and_loaded(tmp_path):
    network = SpeechClassifier().eval()
    path = tmp_path / "speech.safetensors"
    stored = load_speech_classifier(path, store(network, path))
    clips = torch.rand(2, 16_384, generator=torch.Generator().manual_seed(0)) - 0.5
    torch.testing.assert_close(stored(clips), network(clips), atol=0.02, rtol=0)
