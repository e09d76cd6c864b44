import pytest
import torch
from helpers.tiny_mels import TinyMels, tiny_stft_melgan
from helpers.tiny_runs import Gradients, Log, SaveAfter, fit, parameter_count, state, weights

from lightning_gans.errors import InputError
from lightning_gans.models import STFTMelGAN
from lightning_gans.networks.waveform_discriminators import MultiScaleDiscriminator, SampleDiscriminator


@pytest.mark.parametrize(
    "options, discriminator",
    [(dict(), 99_842), (dict(multi_scale=True), 16_924_086)],
)
def test_parameter_counts(options, discriminator):
    """melgan_large and melgan.v3 of https://github.com/kan-bayashi/ParallelWaveGAN."""
    with torch.device("meta"):
        model = STFTMelGAN(ratios=(4, 4, 4, 2, 2), blocks=4, **options)
    assert (parameter_count(model.generator), parameter_count(model.discriminator)) == (13_132_162, discriminator)


class Judge(torch.nn.Module):
    """A discriminator of two scales whose logits and maps are the audio's mean, scaled."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, audio):
        h = self.scale * audio.mean(-1, keepdim=True)
        return [(h, [h, 2 * h]), (2 * h, [3 * h, h])]


def one_step(**options) -> tuple[dict[str, float], STFTMelGAN, float]:
    """A batch of constants: G says 0.25, what is real is 0.5; also D's parameter after its update."""
    model, log = tiny_stft_melgan(**options), Log()
    model.discriminator = Judge()
    with torch.no_grad():
        last = model.generator.model[-2]
        last.parametrizations.weight.original0.zero_()
        last.bias.fill_(torch.tensor(0.25).atanh())
    data = TinyMels(model, count=4)
    data.examples = [(mel, torch.full_like(real, 0.5)) for mel, real in data.examples]
    fit(model, data, logger=log, max_steps=1)
    merged = {key: value for line in log.lines for key, value in line.items()}
    return merged, model, model.discriminator.scale.item()


@pytest.mark.parametrize("loss", ["least_squares", "hinge"])
def test_losses_by_hand(loss):
    options = dict(loss=loss, stft_weight=3.0, adversarial_weight=4.0, feature_weight=5.0)
    logged, model, scale = one_step(**options)
    if loss == "least_squares":
        loss_d = (0.25**2 + 0.5**2) + (1 - 0.5) ** 2 + 0
        adversarial = (1 - 0.25 * scale) ** 2 + (1 - 0.5 * scale) ** 2
    else:
        loss_d, adversarial = (1 + 0.25) + (1 + 0.5) + (1 - 0.5) + (1 - 1), -(0.25 + 0.5) * scale
    assert logged["train/loss_d"] == pytest.approx(loss_d, abs=1e-6)
    assert logged["train/loss_g_adversarial"] == pytest.approx(adversarial, abs=1e-6)
    features = (1 + 2 + 3 + 1) * (0.5 - 0.25 * scale)  # what is real was judged before the update
    assert logged["train/loss_g_features"] == pytest.approx(features, abs=1e-6)
    audio = torch.full((4, 1, 72 * 16), 0.5)
    stft = sum(model.stft_loss(audio / 2, audio)).item()
    assert logged["train/loss_g_stft"] == pytest.approx(stft, rel=1e-4)
    assert logged["train/loss_g"] == pytest.approx(4 * adversarial + 5 * features + 3 * stft, rel=1e-4)


def test_weights_of_zero_leave_losses_out():
    logged, *_ = one_step(stft_weight=0.0)
    assert set(logged) & {"train/loss_g_stft", "train/loss_g_features"} == set()
    assert logged["train/loss_g"] == pytest.approx(4 * logged["train/loss_g_adversarial"], rel=1e-6)


def test_the_discriminator_waits():
    log, model = Log(), tiny_stft_melgan(discriminator_start=2)
    before = weights(model.discriminator)
    fit(model, TinyMels(model), max_steps=2)
    assert all(torch.equal(value, before[key]) for key, value in weights(model.discriminator).items())
    fit(model, TinyMels(model), max_steps=3, logger=log)
    assert not any(torch.equal(value, before[key]) for key, value in weights(model.discriminator).items())
    assert ["train/loss_d" in line for line in log.lines if "train/loss_g" in line] == [False, False, True]


@pytest.mark.parametrize("multi_scale, kind", [(False, SampleDiscriminator), (True, MultiScaleDiscriminator)])
def test_features_of_either_discriminator_are_matched(multi_scale, kind):
    model, log, gradients = tiny_stft_melgan(multi_scale=multi_scale, feature_weight=1.0), Log(), Gradients()
    fit(model, TinyMels(model), [gradients], logger=log)
    assert isinstance(model.discriminator, kind) and log.lines[0]["train/loss_g_features"] > 0
    assert set(gradients.largest) == set(weights(model))


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(ratios=(8, 4)), "8,4 make 8 x 4 = 32 samples per frame, and the hop_length of mel melgan is 16; use 8,2"),
        (dict(loss="wgan"), "unknown loss 'wgan'; expected least_squares or hinge"),
        (dict(stft_weight=0.0, discriminator_start=5), "discriminator_start is 5, and before it nothing would train"),
    ],
)
def test_impossible_arguments(options, message):
    with pytest.raises(InputError, match=message):
        tiny_stft_melgan(**options)


def test_resumed_is_uninterrupted(tmp_path):
    straight = tiny_stft_melgan()
    saver = SaveAfter(tmp_path / "mid.ckpt", 2)
    fit(straight, TinyMels(straight, batch_size=8), [saver], max_steps=4)
    resumed = tiny_stft_melgan()
    with torch.no_grad():
        for tensor in (*resumed.parameters(), resumed.mel_mean):
            tensor.add_(1)  # everything has to come from the file
    fit(resumed, TinyMels(resumed, batch_size=8), resume=saver.path, max_steps=4)
    torch.testing.assert_close(state(resumed), state(straight), rtol=0, atol=0)
    assert resumed.is_measured
