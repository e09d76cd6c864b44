import numpy as np
import pytest
import torch
from helpers.tiny_runs import TinyClips, fit, parameter_count
from lightning import Trainer

from lightning_gans.errors import InputError
from lightning_gans.models import SpecGAN
from lightning_gans.models.specgan import log_magnitude


def tiny(**options: object) -> SpecGAN:
    model = SpecGAN(**dict(width=1, latent_dim=4) | options)
    model.mean.fill_(-5.0)
    model.std.fill_(2.0)
    return model


@pytest.mark.parametrize("upsampling", ["zeros", "nearest", "linear", "cubic"])
def test_parameter_counts(upsampling):
    with torch.device("meta"):
        model = SpecGAN(upsampling=upsampling)
    assert (parameter_count(model.generator), parameter_count(model.discriminator)) == (19_065_345, 17_427_969)


@pytest.mark.parametrize("upsampling", ["zeros", "nearest", "linear", "cubic"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_shapes(upsampling, batch_norm):
    model = tiny(upsampling=upsampling, batch_norm=batch_norm)
    z = model.prior(2)
    assert model.generator(z).shape == (2, 1, 128, 128)
    assert model(z).shape == (2, 1, 16384)
    assert model.discriminator(model.generator(z)).shape == (2, 1)
    with pytest.raises(InputError, match="unknown upsampling 'lin'; expected zeros or nearest or linear or cubic"):
        SpecGAN(upsampling="lin")


# ---- features


def test_features_by_hand():
    """A tone at bin 16 with the magnitude 64: half the window's sum of 128."""
    model = tiny()
    tone = torch.sin(2 * torch.pi * 1000 / 16000 * torch.arange(16384))[None, None]
    x = model.features(tone)
    assert x.shape == (1, 1, 128, 128)  # time, frequency
    expected = (np.log(64 + 1e-6) + 5) / 2 / 3
    assert expected > 1
    assert x[0, 0, 60, 16] == 1  # clipped
    assert model.features(tone / 100)[0, 0, 60, 16].item() == pytest.approx((np.log(0.64 + 1e-6) + 5) / 6, abs=1e-4)
    quiet = model.features(torch.zeros(1, 1, 16384))
    assert torch.equal(quiet, torch.full_like(quiet, -1))  # log(1e-6) is 4.4 deviations below the mean


def test_the_inverse_of_the_features():
    """Spectrograms in, and out again, but for what Griffin and Lim's method cannot reach."""
    torch.manual_seed(0)
    model = tiny()
    t = torch.arange(16384) / 16000
    audio = (torch.sin(2 * torch.pi * 500 * t) * torch.sin(2 * torch.pi * 2 * t))[None, None] * 0.05
    x = model.features(audio)
    again = model.invert(x)
    assert again.shape == audio.shape
    loud = x > 0
    assert (model.features(again) - x)[loud].abs().mean() < 0.05


def test_the_highest_frequency_is_at_its_mean():
    model = tiny()
    with torch.no_grad():
        model.mean[-1] = 2.0
    flat = model.invert(torch.full((1, 1, 128, 128), -1.0))
    spectrum = log_magnitude(flat)[0, 0, 20:-20].mean(0)
    assert spectrum[-1] > spectrum[:-8].max() + 4


def test_a_floor_is_added_and_taken_away():
    model = tiny(floor=0.5)
    tone = torch.sin(2 * torch.pi * 1000 / 16000 * torch.arange(16384))[None, None]
    assert model.features(tone / 64)[0, 0, 60, 16].item() == pytest.approx((np.log(1 + 0.5) + 5) / 6, abs=1e-4)
    silence = model.features(torch.zeros(1, 1, 16384))
    torch.testing.assert_close(silence, torch.full_like(silence, (np.log(0.5) + 5) / 6))
    with torch.no_grad():
        model.mean[-1] = np.log(0.5)  # which stands in for the highest frequency
    assert model.invert(silence).abs().max() < 1e-6
    with pytest.raises(InputError, match="floor is 0; expected a number above 0"):
        SpecGAN(floor=0)


def test_official_inversion_swings():
    torch.manual_seed(0)
    x = torch.rand(1, 1, 128, 128) - 0.5
    one, other = (tiny(inversion=kind).invert(x) for kind in ("normalized", "official"))
    assert one.square().mean() > 1.2 * other.square().mean()


# ---- statistics


def test_statistics_of_the_training_set():
    data, model = TinyClips(count=10, length=16384), SpecGAN(width=1, n_critic=1)
    fit(model, data, max_steps=1)
    audio = np.concatenate([batch.audio for batch in data.reference_dataloader()])[:, 0] / 32768
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    padded = np.pad(audio, ((0, 0), (0, 128)))
    frames = np.stack([padded[:, 128 * i : 128 * i + 256] for i in range(128)], 1)
    log = np.log(np.abs(np.fft.rfft(frames * window)) + 1e-6).reshape(-1, 129)
    np.testing.assert_allclose(model.mean.numpy(), log.mean(0), atol=1e-3)
    np.testing.assert_allclose(model.std.numpy(), log.std(0), rtol=1e-3)

    features = model.features(torch.from_numpy(audio).float()[:, None])
    inside = features.abs() < 1
    assert features[inside].mean().abs() < 0.02 and inside.float().mean() > 0.95
    assert features.std().item() == pytest.approx(1 / 3, abs=0.03)


def test_statistics_are_measured_once(tmp_path):
    model = SpecGAN(width=1, n_critic=1)
    trainer = fit(model, max_steps=1)
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    mean = model.mean.clone()
    again = SpecGAN(width=1, n_critic=1)
    fit(again, TinyClips(count=8, length=16384), resume=tmp_path / "run.ckpt", max_steps=2)
    assert torch.equal(again.mean, mean)


def test_a_silent_training_set_gives_finite_features():
    data, model = TinyClips(length=16384), SpecGAN(width=1, n_critic=1)
    data.splits["train"].sounds.samples[:] = 0
    fit(model, data, max_steps=2)
    assert torch.equal(model.std, torch.ones(129))
    assert not model.features(torch.zeros(1, 1, 16384)).any()
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert model.sample(2).isfinite().all()


def test_without_a_datamodule():
    loader = TinyClips(length=16384).val_dataloader()
    trainer = Trainer(accelerator="cpu", max_steps=1, logger=False, enable_checkpointing=False)
    with pytest.raises(InputError, match="SpecGAN measures its training set before it begins; train it with a Data"):
        trainer.fit(SpecGAN(width=1), loader)
