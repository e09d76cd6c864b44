import numpy as np
import pytest
import torch
from helpers.tiny_runs import Log, TinyClips, fit, parameter_count, state
from torch import nn

from lightning_gans.models import ConditionalWaveGAN, ControlledSpecGAN, ControlledWaveGAN

TINY = dict(num_classes=3, sample_rate=16000, width=1, latent_dim=4, classifier_updates=2)


def test_the_papers_networks_and_what_labels_add():
    with torch.device("meta"):
        model, paper = ControlledWaveGAN(), ConditionalWaveGAN(projection=True)
        of_spectrograms = ControlledSpecGAN()
    of_labels = 10 * 16 * 1024 + 2 * 10 * 64 * (16 + 8 + 4 + 2 + 1)  # ten latents more; scales and shifts
    assert parameter_count(model.generator) == parameter_count(paper.generator) + of_labels
    assert parameter_count(model.discriminator["sound"]) == parameter_count(paper.discriminator)
    assert state(model.discriminator["spectrogram"]).keys() == state(of_spectrograms.discriminator).keys()
    assert parameter_count(model.discriminator["spectrogram"]) == parameter_count(of_spectrograms.discriminator)


def test_labels_count_in_both_networks():
    torch.manual_seed(0)
    model = ControlledWaveGAN(**TINY | dict(width=4)).eval()
    for norm in model.generator.norm:
        nn.init.normal_(norm.shift)
    z, label, other = model.prior(2), torch.eye(3)[[0, 2]], torch.eye(3)[[1, 2]]
    audio = model(z, label)
    assert audio.shape == (2, 1, 8192) and audio.abs().max() <= 1
    assert (model(z, other) == audio).flatten(1).all(1).tolist() == [False, True]
    model.discriminator["sound"].shuffle.n = 0
    for critic, x in zip(model.discriminator.values(), (audio, model.spectrogram(audio)), strict=True):
        assert (critic(x, other) == critic(x, label)).flatten().tolist() == [False, True]


def test_sounds_are_delayed():
    torch.manual_seed(0)
    model = ControlledWaveGAN(**TINY, max_shift=3)
    audio = torch.randn(40, 1, 8192)
    delayed = [nn.functional.pad(audio, (n, 0))[..., :8192] for n in range(4)]
    moved = model.moved(audio)
    same = torch.stack([(one == moved).flatten(1).all(1) for one in delayed])
    assert same.sum(0).tolist() == [1] * 40 and same.any(1).all()


def test_what_the_classifier_hears(monkeypatch):
    """A tone at bin 16 with the magnitude 0.64."""
    model, heard = ControlledWaveGAN(**TINY, noise=0.0), []
    model.classifier.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    tone = torch.sin(2 * torch.pi * 500 / 8000 * torch.arange(8192))[None, None] / 100
    model.classification_loss(model.spectrogram(tone.repeat(2, 1, 1)), torch.eye(3)[:2])
    assert heard[0].shape == (2, 1, 64, 64)  # the mean of two frames and two frequencies, the second at half the height
    expected = 0.3 * (np.log(0.64 + 0.003) + np.log(0.32 + 0.003)) / 2 + 1
    assert heard[0][0, 0, 30, 8].item() == pytest.approx(expected, abs=1e-3)


def test_the_classifier_learns_first_and_then_stays():
    model, log = ControlledWaveGAN(**TINY), Log()
    data = TinyClips(count=16, length=8192)
    began = state(model)
    trainer = fit(model, data, logger=log, max_steps=1, limit_train_batches=2, max_epochs=1)
    learnt = state(model)
    assert trainer.global_step == 0 and all("train/loss_g" not in line for line in log.lines)
    assert {name.partition(".")[0] for name in began if not torch.equal(began[name], learnt[name])} == {"classifier"}
    model.hparams.classifier_updates = 0
    fit(model, data, max_steps=2)
    after = state(model)
    moved = {name for name in began if not torch.equal(learnt[name], after[name])}
    networks = ("generator", "discriminator.sound", "discriminator.spectrogram")
    assert all(name.startswith(networks) for name in moved)
    assert all(any(name.startswith(network) for name in moved) for network in networks)


def test_both_discriminators_count_in_the_losses(monkeypatch):
    model, log = ControlledWaveGAN(**TINY | dict(classifier_updates=0), penalty_every=1), Log()
    for critic in model.discriminator.values():  # of logits 0, whose gradient is not
        plain = critic.forward
        monkeypatch.setattr(critic, "forward", lambda x, label, plain=plain: (h := plain(x, label)) - h.detach())
    fit(model, TinyClips(count=16, length=8192), logger=log, max_steps=1, limit_train_batches=1, max_epochs=1)
    values = {name: value for line in log.lines for name, value in line.items()}
    assert values["train/loss_d"] == pytest.approx(4 * np.log(2), rel=1e-5)
    assert values["train/loss_g_adversarial"] == pytest.approx(2 * np.log(2), rel=1e-5)
    classes = 0.5 * values["train/loss_g_classes"]
    assert values["train/loss_g"] == pytest.approx(2 * np.log(2) + classes, rel=1e-5)
