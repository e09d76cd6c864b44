import hashlib

import pytest
import torch

from lightning_gans.metrics.classifiers.speech_classifier import load_speech_classifier
from lightning_gans.metrics.classifiers.stored import command
from lightning_gans.metrics.classifiers.train_speech_classifier import (
    judge,
    main,
    not_digits,
    train_speech_classifier,
    varied,
)


def clips(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-9_000, 9_000, (count, 16_384), dtype=torch.int16, generator=generator)


def test_training_repeats():
    labels = torch.arange(12) % 10
    first, second = (train_speech_classifier(clips(12), labels, epochs=2, batch_size=6, seed=3) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    other = train_speech_classifier(clips(12), labels, epochs=2, batch_size=6, seed=4)
    assert not torch.equal(other.output.weight, first.output.weight)
    assert not first.training


def test_variations_of_silence_are_noise():
    """Between -80 and -25 dB of full scale: 1e-4 to 0.0562."""
    x = varied(torch.zeros(200, 16_384), torch.Generator().manual_seed(0))
    level = x.square().mean(1).sqrt()
    assert 0.98e-4 < level.min() < 2e-4 and 0.04 < level.max() < 0.058


def test_variations_of_a_click():
    """A burst at 0.25 s: moved to between (0.25 / 1.15 - 0.05) and (0.25 / 0.85 + 0.4) s, by a gain of at most 3.4."""
    burst = torch.zeros(300, 16_384)
    burst[:, 3_990:4_010] = 1
    x = varied(burst, torch.Generator().manual_seed(0))
    peak = x.abs().amax(1)
    loud = peak > 0.3  # the others may be lost in the noise
    place = x.abs().argmax(1)[loud] / 16_000
    assert loud.sum() > 150 and peak.max() < 1.7 * 10 ** (6 / 20) + 0.25
    assert 0.16 < place.min() < 0.2 and 0.6 < place.max() < 0.7


def test_sounds_that_are_no_digits():
    """In turn a clip backwards, tones, and noise, none of them louder than 1."""
    given = clips(9).float() / 32768
    others = not_digits(given, torch.Generator().manual_seed(0))
    assert others.shape == given.shape and others.abs().max() <= 1
    for backwards, forwards in zip(others[::3], given[::3], strict=True):
        matches = [
            torch.equal(backwards.roll(-int(i)), forwards.flip(0)) for i in (backwards == forwards[-1]).nonzero()
        ]
        assert sum(matches) == 1
    power = torch.fft.rfft(others[1::3]).abs().square()
    below = int(4_200 / 8_000 * power.shape[1])
    assert (power[:, :below].sum(1) / power.sum(1)).min() > 0.99
    assert not torch.equal(others[2::3], given[2::3])


def test_judgement():
    """A network that always says 7 with certainty."""
    network = load_speech_classifier()
    network.output.weight.zero_()
    network.output.bias.copy_(torch.where(torch.arange(10) == 7, 50.0, 0.0))
    accuracy, confidence = judge(network, clips(4), torch.tensor([7, 1, 7, 7]))
    assert accuracy == 3 / 4 and confidence == pytest.approx(1)


def test_command(tmp_path, capsys, monkeypatch):
    """The command on a few noises with the file names of FSDD."""
    import soundfile

    monkeypatch.setenv("LIGHTNING_GANS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "fsdd" / "recordings"
    folder.mkdir(parents=True)
    for digit in range(10):
        for number in (0, 5, *range(10, 15)):
            samples = clips(1, seed=digit)[0, : 2_000 + 100 * number].numpy()
            soundfile.write(folder / f"{digit}_someone_{number}.flac", samples, 8_000)
    output = tmp_path / "speech.safetensors"
    assert command(main, ["--root", str(tmp_path), "--output", str(output), "--epochs", "1"]) == 0
    printed = capsys.readouterr().out
    assert "val: accuracy" in printed and "test: accuracy 10.00%" in printed and "10 clips" in printed
    assert "without the accuracy on SC09: no Speech Commands v0.01" in printed
    assert hashlib.sha256(output.read_bytes()).hexdigest() in printed


def test_missing_data(tmp_path, capsys):
    assert command(main, ["--root", str(tmp_path), "--output", str(tmp_path / "x")]) == 2
    assert "error: no folder fsdd" in capsys.readouterr().err
