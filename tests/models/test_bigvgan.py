from unittest import mock

import pytest
import torch
from helpers.tiny_mels import MEL, TinyMels, tiny_bigvgan
from helpers.tiny_runs import Log, SaveAfter, data_for, fit, parameter_count, state
from torch import nn
from torch.nn.functional import conv1d, conv_transpose1d

from lightning_gans.audio import MelConfig, log_mel
from lightning_gans.errors import InputError
from lightning_gans.losses.mel import mel_distance
from lightning_gans.models.bigvgan import PRESETS, BigVGAN, Generator
from lightning_gans.networks.alias_free import AliasFree, Snake

VERSIONS = {"v1": "base_22khz_80band", "v2": "v2_22khz_80band_256x"}
MAGNITUDES, CQT = 280_902, 4_454_304


@pytest.mark.parametrize(
    "preset, parameters, folded, tensors, activations, judge, frames",
    [
        ("base_24khz_100band", 14_025_154, 14_015_041, 526, 73, MAGNITUDES, 18),
        ("base_22khz_80band", 13_953_474, 13_943_361, 526, 73, MAGNITUDES, 18),
        ("24khz_100band", 112_446_290, 112_414_513, 784, 109, MAGNITUDES, 38),
        ("22khz_80band", 112_231_250, 112_199_473, 784, 109, MAGNITUDES, 38),
        ("v2_24khz_100band_256x", 112_446_289, 112_414_512, 783, 109, CQT, 38),
        ("v2_22khz_80band_256x", 112_231_249, 112_199_472, 783, 109, CQT, 38),
        ("v2_22khz_80band_fmax8k_256x", 112_231_249, 112_199_472, 783, 109, CQT, 38),
        ("v2_44khz_128band_256x", 112_747_345, 112_715_568, 783, 109, CQT, 38),
        ("v2_44khz_128band_512x", 122_184_529, 122_152_752, 783, 109, CQT, 21),
    ],
)
def test_published_sizes(preset, parameters, folded, tensors, activations, judge, frames):
    with torch.device("meta"):
        model = BigVGAN(preset)
    network = model.generator
    assert parameter_count(network) == parameters
    assert sum(p.numel() for name, p in network.named_parameters() if not name.endswith("original0")) == folded
    filters = [module for module in network.modules() if isinstance(module, AliasFree)]
    assert len(filters) == activations
    assert len(network.state_dict()) + 2 * activations == tensors  # theirs hold the filter of each, twice
    assert parameter_count(model.period_discriminator) == 41_105_770
    assert parameter_count(model.spectral_discriminator) == judge
    assert model.receptive_frames == frames
    assert model(torch.empty(1, model.mel_config.n_mels, 3, device="meta")).shape[-1] == 3 * model.mel_config.hop_length


def test_presets_are_called_by_what_they_are():
    assert len(PRESETS) == 9
    for name, preset in PRESETS.items():
        mel, parts = MelConfig.of(preset.mel), name.split("_")
        assert f"{mel.sample_rate // 1000}khz" in parts and f"{mel.n_mels}band" in parts
        assert mel.hop_length == (512 if "512x" in parts else 256) == mel.n_fft // 4
        assert mel.f_max == (8000 if "fmax8k" in parts or name.endswith("22khz_80band") else None)
    with torch.device("meta"):
        one, two = (BigVGAN(preset).hparams for preset in VERSIONS.values())
    assert (one.mel_weight, one.clip_norm, one.mel_loss) == (45, 1000, "single")
    assert (two.mel_weight, two.clip_norm, two.mel_loss) == (15, 500, "multi_scale")


def loud(network: nn.Module) -> nn.Module:
    """With activations apart from each other, and an output that is not all but zero."""
    generator = torch.Generator().manual_seed(3)
    for name, parameter in network.named_parameters():
        if name.endswith(("alpha", "beta")):
            nn.init.normal_(parameter, std=0.3, generator=generator)
        elif name.endswith("original0"):
            parameter.data.mul_(1.2)
    return network


def by_hand(state: dict[str, torch.Tensor], rates: tuple[int, ...], mel: torch.Tensor, version: str) -> torch.Tensor:
    """The generator, written down again for the names of the authors' files."""

    def weights(name):
        g, v = (state[f"{name}.parametrizations.weight.original{i}"] for i in (0, 1))
        return v * g / v.flatten(1).norm(dim=1)[:, None, None], state.get(f"{name}.bias")

    def conv(name, x, dilation=1):
        weight, bias = weights(name)
        return conv1d(x, weight, bias, padding=(weight.shape[-1] - 1) * dilation // 2, dilation=dilation)

    def activated(name, x):
        layer = AliasFree(Snake(x.shape[1])).double()
        layer.act.load_state_dict({key: state[f"{name}.act.{key}"] for key in ("alpha", "beta")})
        return layer(x)

    x = conv("conv_pre", mel)
    for i, rate in enumerate(rates):
        weight, bias = weights(f"ups.{i}")
        x = conv_transpose1d(x, weight, bias, rate, rate // 2)  # no activation before it
        outputs = []
        for j in range(3):
            h, name = x, f"resblocks.{3 * i + j}"
            for n, dilation in enumerate((1, 3, 5)):
                inner = conv(f"{name}.convs1.{n}", activated(f"{name}.activations.{2 * n}", h), dilation)
                h = h + conv(f"{name}.convs2.{n}", activated(f"{name}.activations.{2 * n + 1}", inner))
            outputs.append(h)
        x = sum(outputs) / 3
    x = conv("conv_post", activated("activation_post", x))
    return x.tanh() if version == "v1" else x.clamp(-1, 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_generator_by_hand(version):
    sizes = (8, 16, (4, 2), (3, 7, 11), ((1, 3, 5),) * 3)
    final = ("tanh", True) if version == "v1" else ("clamp", False)
    network = loud(Generator(*sizes, *final)).double()
    mel = torch.randn(2, 8, 5, dtype=torch.double, generator=torch.Generator().manual_seed(0)) * 3
    audio = network(mel)
    assert audio.shape == (2, 1, 40) and 0.1 < audio.std() < 0.8
    torch.testing.assert_close(audio, by_hand(dict(network.state_dict()), (4, 2), mel, version), rtol=1e-9, atol=1e-9)
    assert ("conv_post.bias" in network.state_dict()) == (version == "v1")


def test_the_end_of_each_version():
    for version, expected in (("v1", torch.tensor(3.0).tanh().item()), ("v2", 1.0)):
        model = tiny_bigvgan(VERSIONS[version])
        assert model.generator.bounded(torch.full((1,), 3.0)).item() == pytest.approx(expected)
    assert model.generator.bounded(torch.full((1,), 0.3)).item() == pytest.approx(0.3)


@pytest.mark.parametrize("rates, frames", [((8, 8, 2, 2), 18), ((4, 4, 2, 2, 2, 2), 38), ((8, 4, 2, 2, 2, 2), 21)])
def test_receptive_field_by_gradient(rates, frames):
    """Weights and filters are positive and the activations linear: nothing cancels, and nothing is too small."""
    network = Generator(1, 2 ** len(rates), rates, (3, 7, 11), ((1, 3, 5),) * 3, "clamp", False).double()
    for name, parameter in network.named_parameters():
        parameter.data.abs_() if "weight" in name else parameter.data.zero_()
    for module in network.modules():
        if isinstance(module, AliasFree):
            module.act, module.taps = nn.Identity(), module.taps.abs()
    hop, middle = torch.tensor(rates).prod().item(), frames + 3
    mel = torch.full((1, 1, 2 * middle + 1), 1e-60, dtype=torch.double, requires_grad=True)
    network(mel)[..., middle * hop : (middle + 1) * hop].sum().backward()
    touched = mel.grad[0, 0].nonzero().flatten()
    assert (touched.min().item(), touched.max().item()) == (middle - frames, middle + frames)
    assert network.receptive_frames == frames


@pytest.mark.parametrize("rates", [(5, 3), (7, 2), (3, 3, 7)])
@pytest.mark.parametrize("frames", [1, 2, 9])
def test_lengths_at_odd_rates(rates, frames):
    hop = torch.tensor(rates).prod().item()
    model = tiny_bigvgan(mel=MEL | dict(hop_length=hop, framing="center"), width=16, upsample_rates=rates)
    assert model(torch.randn(2, 8, frames)).shape == (2, 1, frames * hop)


# ---- losses and the order of a step


def test_mel_of_the_authors_code():
    """0.5 sin(2 pi 440 t) at 24 kHz, in float32 throughout, whose rounding the logarithms see."""
    audio = 0.5 * torch.sin(2 * torch.pi * 440 * (torch.arange(16384) / 24000))
    mel = log_mel(audio, MelConfig.of(PRESETS["base_24khz_100band"].mel))
    assert mel.shape == (100, 64) and mel[:, 16].argmax() == 12
    assert mel.max().item() == pytest.approx(1.475367, abs=1e-4)
    assert mel.mean().item() == pytest.approx(-9.407030, abs=5e-3)


class Judge(nn.Module):
    """A discriminator of two parts whose logits and maps are the audio's mean, scaled."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.calls: list[tuple[int, float, bool]] = []

    def forward(self, audio):
        self.calls.append((len(audio), self.scale.item(), torch.is_grad_enabled()))
        h = self.scale * audio.mean(-1, keepdim=True)
        return [(h, [h, 2 * h]), (2 * h, [3 * h])]


def one_step(version: str = "v1", **options) -> tuple[dict[str, float], BigVGAN]:
    """A batch of constants: G says 0.25, what is real is 0.5. ``model.passes`` are G's."""
    model, log = tiny_bigvgan(VERSIONS[version], final_bias=True, lr=0.1, **options), Log()
    model.period_discriminator, model.spectral_discriminator = Judge(1.0), Judge(3.0)
    with torch.no_grad():
        last = model.generator.conv_post
        last.parametrizations.weight.original0.zero_()
        last.bias.fill_(0.25 if version == "v2" else torch.tensor(0.25).atanh())
    model.passes = []
    model.generator.register_forward_hook(lambda *_: model.passes.append(1))
    data = TinyMels(model, count=4)
    data.examples = [(mel, torch.full_like(real, 0.5)) for mel, real in data.examples]
    fit(model, data, logger=log, max_steps=1)
    return {key: value for line in log.lines for key, value in line.items()}, model


def test_losses_by_hand():
    """The logits are once and twice the mean and scaled, the maps once, twice and three times."""
    logged, model = one_step(feature_weight=3.0, mel_weight=5.0)

    def loss_d(scale):
        return sum((1 - n * scale * 0.5) ** 2 + (n * scale * 0.25) ** 2 for n in (1, 2))

    assert logged["train/loss_d_periods"] == pytest.approx(loss_d(1), abs=1e-5)
    assert logged["train/loss_d_spectra"] == pytest.approx(loss_d(3), abs=1e-5)
    assert logged["train/loss_d"] == pytest.approx(loss_d(1) + loss_d(3), abs=1e-5)
    judges = model.period_discriminator, model.spectral_discriminator
    # AdamW: a decay of lr * 0.01, then a step of the rate against the gradients, which are positive
    scales = [judge.scale.item() for judge in judges]
    assert scales == pytest.approx([0.999 - 0.1, 2.997 - 0.1], abs=1e-5)
    adversarial = sum((1 - n * scale * 0.25) ** 2 for scale in scales for n in (1, 2))
    assert logged["train/loss_g_adversarial"] == pytest.approx(adversarial, abs=1e-5)
    features = sum((1 + 2 + 1 + 3 + 2) * 0.25 * scale for scale in scales)
    assert logged["train/loss_g_features"] == pytest.approx(features, abs=1e-5)
    real = torch.full((1, 72 * 16), 0.5)
    config = MelConfig.of({**model.mel_config.hparams(), "f_max": None})
    mel_l1 = (log_mel(real, config) - log_mel(real / 2, config)).abs().mean().item()
    assert logged["train/loss_g_mel"] == pytest.approx(mel_l1, rel=1e-4)
    assert logged["train/loss_g"] == pytest.approx(adversarial + 3 * features + 5 * mel_l1, rel=1e-4)


def test_losses_of_the_second_version():
    """Logits of the constant-Q spectra are not matched, and mels are compared at seven resolutions."""
    logged, model = one_step("v2")
    one, two = model.period_discriminator.scale.item(), model.spectral_discriminator.scale.item()
    features = 0.25 * ((1 + 2 + 1 + 3 + 2) * one + (1 + 2 + 3) * two)
    assert logged["train/loss_g_features"] == pytest.approx(features, abs=1e-5)
    real = torch.full((1, 1, 72 * 16), 0.5)
    assert len(model.mels) == 7
    assert logged["train/loss_g_mel"] == pytest.approx(mel_distance(real / 2, real, model.mels).item(), rel=1e-4)
    total = logged["train/loss_g_adversarial"] + 2 * features + 15 * logged["train/loss_g_mel"]
    assert logged["train/loss_g"] == pytest.approx(total, rel=1e-4)


def test_order_of_a_step():
    """G once; each D on both at once, then, updated, on what is real without and on the fake with gradients."""
    _, model = one_step()
    assert len(model.passes) == 1
    for judge, before in ((model.period_discriminator, 1.0), (model.spectral_discriminator, 3.0)):
        after = pytest.approx(0.999 * before - 0.1, abs=1e-5)
        assert judge.calls == [(8, before, True), (4, after, False), (4, after, True)]


def test_mels_alone_at_first():
    """Until ``discriminator_start`` updates of G are done, no D is asked or trained."""
    model, log = tiny_bigvgan(discriminator_start=2), Log()
    before = state(model.period_discriminator) | state(model.spectral_discriminator)
    with mock.patch.object(type(model.period_discriminator), "forward", side_effect=AssertionError):
        fit(model, logger=log, max_steps=2)
    after = state(model.period_discriminator) | state(model.spectral_discriminator)
    assert all(torch.equal(value, before[key]) for key, value in after.items())
    merged = {key: value for line in log.lines for key, value in line.items()}
    assert "train/loss_d" not in merged
    assert merged["train/loss_g"] == pytest.approx(45 * merged["train/loss_g_mel"])
    log = Log()
    fit(tiny_bigvgan(discriminator_start=2), logger=log, max_steps=3)
    assert ["train/loss_d" in line for line in log.lines if "train/loss_g" in line] == [False, False, True]


def test_each_network_is_clipped_on_its_own():
    """To the preset's norm."""
    model, limits = tiny_bigvgan(clip_norm=1e-3), []
    clip = torch.nn.utils.clip_grads_with_norm_

    def noting(parameters, limit, norm):
        clip(parameters, limit, norm)
        limits.append((len(parameters), limit, torch.nn.utils.get_total_norm([p.grad for p in parameters]).item()))

    with mock.patch.object(torch.nn.utils, "clip_grads_with_norm_", noting):
        fit(model, max_steps=1)
    networks = (model.period_discriminator, model.spectral_discriminator, model.generator)
    assert [count for count, _, _ in limits] == [len(list(network.parameters())) for network in networks]
    assert all(limit == 1e-3 and norm == pytest.approx(1e-3, rel=1e-2) for _, limit, norm in limits)


def test_the_rate_falls_with_each_update():
    """By 0.9999996: to 0.670 after a million, as in the authors' code."""
    assert 0.9999996**1_000_000 == pytest.approx(0.670, abs=1e-3)
    model = tiny_bigvgan()
    trainer = fit(model, max_steps=3)
    rates = [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
    assert rates == pytest.approx([1e-4 * 0.9999996**3] * 3, rel=1e-12)
    assert [type(o).__name__ for o in trainer.optimizers] == ["AdamW"] * 3
    group = trainer.optimizers[0].param_groups[0]
    assert (group["betas"], group["weight_decay"], group["eps"]) == ((0.8, 0.99), 0.01, 1e-8)


@pytest.mark.parametrize("version", VERSIONS)
def test_resumed_is_uninterrupted(version, tmp_path):
    options = dict(lr=1e-3, lr_decay=0.5, discriminator_start=1)
    straight = tiny_bigvgan(VERSIONS[version], **options)
    saver = SaveAfter(tmp_path / "mid.ckpt", 3)
    fit(straight, data_for(straight, batch_size=8), [saver], max_steps=4)
    resumed = tiny_bigvgan(VERSIONS[version], **options)
    with torch.no_grad():
        for tensor in resumed.state_dict().values():
            tensor.add_(1)  # everything has to come from the file
    trainer = fit(resumed, data_for(resumed, batch_size=8), resume=saver.path, max_steps=4)
    torch.testing.assert_close(state(resumed), state(straight), rtol=0, atol=0)
    rates = [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
    assert rates == pytest.approx([1e-3 / 2**4, 1e-3 / 2**3, 1e-3 / 2**3])


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(preset="v3"), r"unknown preset 'v3'; expected base_24khz_100band or "),
        (dict(upsample_rates=(8, 4)), r"upsample_rates 8,4 make 8 x 4 = 32 samples per frame, .* use 8,2"),
        (dict(width=6), "width 6 cannot be halved 2 times; use a multiple of 4"),
        (dict(resblock_kernels=(4,)), r"resblock_kernels are \(4,\); expected odd numbers"),
        (dict(final="sigmoid"), "unknown final 'sigmoid'; expected tanh or clamp"),
        (dict(spectra="mel"), "unknown spectra 'mel'; expected magnitude or cqt"),
        (dict(mel_loss="two"), "unknown mel_loss 'two'; expected single or multi_scale"),
    ],
)
def test_impossible_arguments(options, message):
    with pytest.raises(InputError, match=message):
        tiny_bigvgan(**options)
