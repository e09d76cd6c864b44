import numpy as np
import pytest
import torch
from helpers.tiny_runs import Log, TinyClips, fit, parameter_count, state
from torch import nn

from lightning_gans.errors import InputError
from lightning_gans.models import ControlledSpecGAN, SpecGAN

TINY = dict(num_classes=3, sample_rate=16000, width=1, latent_dim=4, classifier_updates=2)


def tiny(**options: object) -> ControlledSpecGAN:
    model = ControlledSpecGAN(**TINY | options)
    model.mean.fill_(-3.0)
    model.std.fill_(2.0)
    return model


def test_the_papers_networks_and_what_labels_add():
    with torch.device("meta"):
        model, paper = ControlledSpecGAN(), SpecGAN()
    channels = 64 * (16 + 8 + 4 + 2 + 1)
    of_labels = 10 * 16 * 1024 + 2 * 10 * channels  # beside the latents, scales and shifts
    assert parameter_count(model.generator) == parameter_count(paper.generator) + of_labels
    assert parameter_count(model.discriminator) == parameter_count(paper.discriminator) + 10 * 1024


def test_labels_count_in_both_networks():
    torch.manual_seed(0)
    model = tiny(width=4).eval()
    for norm in model.generator.norm:
        nn.init.normal_(norm.shift)
    z, label, other = model.prior(2), torch.eye(3)[[0, 2]], torch.eye(3)[[1, 2]]
    x = model.generator(z, label)
    assert x.shape == (2, 1, 128, 128)
    assert (model.generator(z, other) == x).flatten(1).all(1).tolist() == [False, True]
    assert (model.discriminator(x, other) == model.discriminator(x, label)).flatten().tolist() == [False, True]
    assert model.sample(4, label=1, seed=0).shape == (4, 1, 8192)


def test_the_projection_by_hand():
    model = tiny()
    x, label = torch.randn(2, 1, 128, 128), torch.eye(3)[:2]
    h = model.discriminator.features(x)
    assert h.shape == (2, 16, 4, 4)
    embedded = model.discriminator.embedding.weight.T[:2]
    expected = model.discriminator.logits(h) + (embedded * h.mean((2, 3))).sum(1, keepdim=True)
    torch.testing.assert_close(model.discriminator(x, label), expected)


def test_features_by_hand_and_back():
    """A tone at bin 16 with the magnitude 0.64 fills all 128 frames but what the end lacks."""
    model = tiny()
    tone = torch.sin(2 * torch.pi * 500 / 8000 * torch.arange(8192))[None, None] / 100
    x = model.features(tone)
    assert x.shape == (1, 1, 128, 128)
    assert x[0, 0, 60, 16].item() == pytest.approx((np.log(0.64 + 0.003) + 3) / 6, abs=1e-4)
    again = model.invert(x)
    assert again.shape == tone.shape
    loud = x > 0.2
    assert loud.any() and (model.features(again) - x)[loud].abs().mean() < 0.02
    with pytest.raises(InputError, match="floor is 0; expected a number above 0"):
        tiny(floor=0)


def test_moving_a_spectrogram_is_moving_the_sound():
    torch.manual_seed(0)
    model = tiny(max_shift=3)
    audio = torch.randn(40, 1, 8192) * 0.1
    audio[..., :256] = 0  # frames that begin before a sound hear nothing yet
    x = model.features(audio)
    moved, shifts = model.moved(x), []
    for row in range(len(x)):
        delayed = [torch.nn.functional.pad(audio[row : row + 1], (64 * n, 0))[..., :8192] for n in range(4)]
        gaps = [(model.features(one)[:, :, :124] - moved[row, :, :124]).abs().max().item() for one in delayed]
        shifts.append(int(np.argmin(gaps)))
        assert min(gaps) < 1e-4
    assert set(shifts) == {0, 1, 2, 3}
    torch.testing.assert_close(tiny(max_shift=0).moved(x), x, rtol=0, atol=0)


def test_the_classifier_learns_first_and_then_stays():
    model, log = ControlledSpecGAN(**TINY), Log()
    data = TinyClips(count=16, length=8192)
    began = state(model)
    trainer = fit(model, data, logger=log, max_steps=1, limit_train_batches=2, max_epochs=1)
    learnt = state(model)
    assert trainer.global_step == 0 and all("train/loss_g" not in line for line in log.lines)
    moved = {name.partition(".")[0] for name in began if not torch.equal(began[name], learnt[name])}
    assert moved == {"classifier", "mean", "std"}

    model.hparams.classifier_updates = 0
    fit(model, data, max_steps=2)
    after = state(model)
    assert {name.partition(".")[0] for name in began if not torch.equal(learnt[name], after[name])} == {
        "generator",
        "discriminator",
    }
    assert torch.equal(model.mean, learnt["mean"])


def test_the_classifiers_part_of_the_loss():
    """With D's logits at 0 the adversarial part is log 2; what is left is the weighed cross-entropy."""
    model, log = ControlledSpecGAN(**TINY | dict(classifier_updates=0, class_weight=2.5)), Log()
    for parameter in [*model.discriminator.output.parameters(), *model.discriminator.embedding.parameters()]:
        nn.init.zeros_(parameter)
    model.hparams.lr = 0.0
    fit(model, TinyClips(count=16, length=8192), logger=log, max_steps=1)
    line = log.lines[-1]
    assert line["train/loss_g_adversarial"] == pytest.approx(np.log(2), abs=1e-5)
    assert line["train/loss_g"] == pytest.approx(np.log(2) + 2.5 * line["train/loss_g_classes"], rel=1e-5)
    assert line["train/loss_d"] == pytest.approx(2 * np.log(2), abs=1e-5)
    assert line["train/penalty"] == 0
