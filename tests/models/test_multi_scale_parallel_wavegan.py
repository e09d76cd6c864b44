import pytest
import torch
from helpers.tiny_mels import FRAMES, TinyMels, sounds, tiny_multi_scale
from helpers.tiny_runs import Log, fit, parameter_count
from torch import nn

from lightning_gans.errors import InputError
from lightning_gans.models import MultiScaleParallelWaveGAN


def test_parameter_counts():
    """parallel_wavegan.v3 of https://github.com/kan-bayashi/ParallelWaveGAN."""
    with torch.device("meta"):
        model = MultiScaleParallelWaveGAN()
    assert (parameter_count(model.generator), parameter_count(model.discriminator)) == (1_837_562, 16_924_086)


def test_the_discriminators_weights_are_drawn_before_weight_norm():
    layers = [m for m in MultiScaleParallelWaveGAN().discriminator.modules() if isinstance(m, nn.Conv1d)]
    assert len(layers) == 3 * 7
    assert all(layer.weight.std().item() == pytest.approx(0.02, rel=0.1) for layer in layers)


class Judge(nn.Module):
    """Two scales, whose logits are the audio's mean and twice that, times a parameter, with a map each."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.calls: list[torch.Tensor] = []

    def forward(self, audio):
        self.calls.append(audio.detach())
        h = self.scale * audio.mean(-1, keepdim=True)
        return [(h, [5 * h]), (2 * h, [h])]


def one_step(**options) -> tuple[dict[str, float], MultiScaleParallelWaveGAN]:
    """A batch of four constants: G says 0.25 and cannot learn but its bias; what is real is 0.5."""
    model, log = tiny_multi_scale(**dict(discriminator_start=0) | options), Log()
    model.discriminator = Judge()
    with torch.no_grad():
        last = model.generator.last_conv_layers[3]
        last.parametrizations.weight.original0.zero_()
        last.bias.fill_(0.25)
    data = TinyMels(model, count=4)
    data.examples = [(mel, torch.full_like(real, 0.5)) for mel, real in data.examples]
    fit(model, data, logger=log, max_steps=1)
    return {key: value for line in log.lines for key, value in line.items()}, model


@pytest.mark.parametrize("feature_weight", [0.0, 25.0])
def test_losses_by_hand(feature_weight):
    logged, model = one_step(feature_weight=feature_weight, lr_g=0.01, recompute_fake=False)
    adversarial = ((1 - 0.25) ** 2 + (1 - 0.5) ** 2) / 2
    assert logged["train/loss_g_adversarial"] == pytest.approx(adversarial, abs=1e-6)
    constant = torch.full((4, 1, FRAMES * 16), 0.5)
    stft = sum(model.stft_loss(constant / 2, constant)).item()
    assert logged["train/loss_g_stft"] == pytest.approx(stft, rel=1e-4)
    features = 0.0
    if feature_weight:
        features = (5 * 0.25 + 0.25) / 2
        assert logged["train/loss_g_features"] == pytest.approx(features, abs=1e-6)
    total = stft + 4 * (adversarial + feature_weight * features)
    assert logged["train/loss_g"] == pytest.approx(total, rel=1e-4)
    loss_d = ((0.5**2 + 0.25**2) + (0 + 0.5**2)) / 2
    assert logged["train/loss_d"] == pytest.approx(loss_d, abs=1e-6)
    assert [len(audio) for audio in model.discriminator.calls] == [4] * (2 if feature_weight else 1) + [8]


@pytest.mark.parametrize("recompute", [True, False])
def test_the_discriminator_judges_what_the_updated_generator_makes(recompute):
    model = tiny_multi_scale(discriminator_start=0, recompute_fake=recompute, lr_g=0.01, feature_weight=0.0)
    model.discriminator = Judge()
    fit(model, TinyMels(model), max_steps=1)
    before, both = model.discriminator.calls
    assert torch.equal(both[:4], sounds(16, FRAMES)[:4])
    assert torch.equal(both[4:], before) != recompute


def test_crossing_the_start():
    """Start 2 and 4 generator updates make 2 of D; each network has its own schedule."""
    model, log = tiny_multi_scale(discriminator_start=2, lr_decay_steps=2), Log()
    trainer = fit(model, TinyMels(model), max_steps=4, logger=log)
    assert ["train/loss_d" in line for line in log.lines if "train/loss_g" in line] == [False, False, True, True]
    assert [o.param_groups[0]["lr"] for o in trainer.optimizers] == [1e-4 / 4, 5e-5 / 2]
    assert [type(o) for o in trainer.optimizers] == [torch.optim.RAdam] * 2


def test_impossible_arguments():
    with pytest.raises(InputError, match=r"upsample_scales 4,5 make 4 x 5 = 20 samples per frame, .* is 16; use 8,2"):
        tiny_multi_scale(upsample_scales=(4, 5))
    with pytest.raises(InputError, match="5 layers cannot be cut into 2 stacks; use 20 layers"):
        tiny_multi_scale(layers=5)
