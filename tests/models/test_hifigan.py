from unittest import mock

import pytest
import torch
from helpers.tiny_mels import MEL, TinyMels, tiny_hifigan
from helpers.tiny_runs import Log, SaveAfter, data_for, fit, parameter_count, state
from torch import nn
from torch.nn.functional import conv1d, conv_transpose1d, leaky_relu
from torch.nn.utils import parametrize

from lightning_gans.audio import MelConfig, log_mel
from lightning_gans.errors import InputError
from lightning_gans.losses.adversarial import least_squares_d, least_squares_g
from lightning_gans.losses.features import feature_matching
from lightning_gans.models.hifigan import PRESETS, Generator, HiFiGAN


def generator(preset: str, width: int, n_mels: int = 8) -> Generator:
    """One of a preset, but narrow."""
    _, rates, *rest = PRESETS[preset]
    return Generator(n_mels, width, rates, tuple(2 * rate for rate in rates), *rest)


@pytest.mark.parametrize(
    "preset, parameters, folded, tensors, frames",
    [
        ("v1", 13_936_130, 13_926_017, 234, 13),
        ("v2", 928_514, 925_985, 234, 13),
        ("v3", 1_464_322, 1_462_273, 69, 11),
    ],
)
def test_published_sizes(preset, parameters, folded, tensors, frames):
    with torch.device("meta"):
        model = HiFiGAN(preset)
    assert parameter_count(model.generator) == parameters
    layers = [m for m in model.generator.modules() if parametrize.is_parametrized(m)]
    assert sum(m.weight.numel() + m.bias.numel() for m in layers) == folded
    assert len(model.generator.state_dict()) == tensors
    assert model.receptive_frames == frames
    assert parameter_count(model.discriminator) == 41_105_770 + 29_618_821


def old_names(network: nn.Module) -> dict[str, torch.Tensor]:
    """A state dict as the authors' code writes it."""
    norm = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    result = {}
    for key, value in network.state_dict().items():
        for new, old in norm.items():
            key = key.replace(new, old)
        result[key] = value
    return result


def test_names_and_shapes_are_those_of_the_authors_files():
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in old_names(HiFiGAN("v1").generator).items()}
    convs = ["conv_pre", "conv_post", *(f"ups.{i}" for i in range(4))]
    convs += [f"resblocks.{i}.{part}.{j}" for i in range(12) for part in ("convs1", "convs2") for j in range(3)]
    assert set(shapes) == {f"{conv}.{tensor}" for conv in convs for tensor in ("bias", "weight_g", "weight_v")}
    assert shapes["ups.0.weight_v"] == (512, 256, 16) and shapes["ups.0.weight_g"] == (512, 1, 1)
    assert shapes["resblocks.11.convs1.2.weight_v"] == (32, 32, 11) and shapes["conv_post.weight_v"] == (1, 32, 7)
    with torch.device("meta"):
        names = set(old_names(HiFiGAN("v3").generator))
    assert {key for key in names if key.startswith("resblocks.8.")} == {
        f"resblocks.8.convs.{j}.{tensor}" for j in range(2) for tensor in ("bias", "weight_g", "weight_v")
    }


def by_hand(state: dict[str, torch.Tensor], preset: str, mel: torch.Tensor, last_slope: float) -> torch.Tensor:
    """The generator, written down again for the names of the authors' files."""
    _, rates, kind, kernels, dilations = PRESETS[preset]

    def weights(name):
        v = state[f"{name}.weight_v"]
        return v * state[f"{name}.weight_g"] / v.flatten(1).norm(dim=1)[:, None, None], state[f"{name}.bias"]

    def conv(name, x, dilation=1):
        weight, bias = weights(name)
        return conv1d(x, weight, bias, padding=(weight.shape[-1] - 1) * dilation // 2, dilation=dilation)

    x = conv("conv_pre", mel)
    for i, rate in enumerate(rates):
        weight, bias = weights(f"ups.{i}")
        x = conv_transpose1d(leaky_relu(x, 0.1), weight, bias, rate, (weight.shape[-1] - rate) // 2)
        outputs = []
        for j in range(len(kernels)):
            h, name = x, f"resblocks.{len(kernels) * i + j}"
            for n, dilation in enumerate(dilations[j]):
                if kind == 1:
                    inner = conv(f"{name}.convs1.{n}", leaky_relu(h, 0.1), dilation)
                    h = h + conv(f"{name}.convs2.{n}", leaky_relu(inner, 0.1))
                else:
                    h = h + conv(f"{name}.convs.{n}", leaky_relu(h, 0.1), dilation)
            outputs.append(h)
        x = sum(outputs) / len(outputs)
    return conv("conv_post", leaky_relu(x, last_slope)).tanh()


@pytest.mark.parametrize("preset", PRESETS)
def test_generator_by_hand(preset):
    """The slope of the last rectifier is 0.01, that of all others 0.1."""
    network = generator(preset, 16).double()
    for parameter in network.parameters():  # louder than at the start
        nn.init.normal_(parameter, std=0.5)
    for name, parameter in network.named_parameters():
        if name.endswith("original0"):
            nn.init.constant_(parameter, 1.0)
    mel = torch.randn(2, 8, 5).double()
    audio = network(mel)
    assert audio.shape == (2, 1, 5 * 256) and audio.std() > 0.1
    torch.testing.assert_close(audio, by_hand(old_names(network), preset, mel, 0.01), rtol=1e-9, atol=1e-9)
    assert (audio - by_hand(old_names(network), preset, mel, 0.1)).abs().max() > 0.01


def test_weight_norm_of_the_authors_files_loads():
    network, other = generator("v2", 16), generator("v2", 16)
    other.load_state_dict(old_names(network))
    assert torch.equal(other(torch.ones(1, 8, 3)), network(torch.ones(1, 8, 3)))


@pytest.mark.parametrize("preset, width, frames", [("v1", 16, 13), ("v3", 16, 11)])
def test_receptive_field_by_gradient(preset, width, frames):
    network = generator(preset, width).double()
    middle = frames + 3
    mel = torch.randn(1, 8, 2 * middle + 1, dtype=torch.double, requires_grad=True)
    network(mel)[..., middle * 256 : (middle + 1) * 256].square().sum().backward()
    touched = mel.grad.abs().sum((0, 1)).nonzero().flatten()
    assert (touched.min().item(), touched.max().item()) == (middle - frames, middle + frames)
    assert network.receptive_frames == frames


@pytest.mark.parametrize(
    "rates, kernels", [((5, 3), None), ((7, 2), None), ((3, 3, 7), (6, 7, 7)), ((2, 5), (4, 11)), ((4, 2), (5, 2))]
)
@pytest.mark.parametrize("frames", [1, 2, 9])
def test_lengths_at_odd_rates(rates, kernels, frames):
    hop = torch.tensor(rates).prod().item()
    mel = MEL | dict(hop_length=hop, framing="center")
    model = tiny_hifigan(mel=mel, upsample_rates=rates, upsample_kernels=kernels)
    assert model(torch.randn(2, 8, frames)).shape == (2, 1, frames * hop)
    whole = model.vocode(mel := torch.rand(1, 8, 3 * frames) * 4 - 4)
    assert (model.vocode(mel, chunk_frames=frames) - whole).abs().max() < 1e-6


def test_odd_rates_are_those_of_others():
    """Of twice the rate: padding s // 2 + s % 2, output_padding s % 2, as in kan-bayashi's code."""
    model = tiny_hifigan(mel=MEL | dict(hop_length=10, framing="center"), upsample_rates=(5, 2))
    numbers = [(up.kernel_size, up.stride, up.padding, up.output_padding) for up in model.generator.ups]
    assert numbers == [((10,), (5,), (3,), (1,)), ((4,), (2,), (1,), (0,))]


# ---- losses


def test_mel_of_the_loss():
    """0.5 sin(2 pi 440 t) against librosa's numbers; the input's features end at 8 kHz, those of the loss do not."""
    with torch.device("meta"):
        model = HiFiGAN("v2")
    assert (model.mel_config.f_max, model.loss_mel.f_max) == (8000, None)
    assert MelConfig.of(model.hparams.loss_mel) == model.loss_mel
    audio = 0.5 * torch.sin(2 * torch.pi * 440 * torch.arange(8192, dtype=torch.double) / 22050).float()
    mel = log_mel(audio, model.mel_config)
    assert mel.shape == (80, 32)
    assert mel.mean().item() == pytest.approx(-8.784701, abs=0.01)  # rounding, near the floor
    assert mel.max().item() == pytest.approx(1.442797, abs=1e-5)
    assert mel[:, 16].argmax() == 11 and mel[10, 16].item() == pytest.approx(0.721620, abs=1e-5)
    assert log_mel(torch.zeros(8192), model.loss_mel).unique().item() == pytest.approx(-11.512925, abs=1e-6)


def test_anchors_of_the_losses():
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([0.5, -0.5])
    assert 2 * least_squares_d(real, fake) == pytest.approx(1.25)
    assert 2 * least_squares_g(fake) == pytest.approx(1.25)
    outputs = [[(torch.full((2,), a), [torch.full((2,), b)])] for a, b in ((1.0, 3.0), (0.0, 1.0))]
    assert 2 * feature_matching(*outputs, with_logits=True) == pytest.approx(6)


class Judge(nn.Module):
    """A discriminator of two parts whose logits and maps are the audio's mean, scaled."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.calls: list[tuple[int, float, bool]] = []

    def forward(self, audio):
        self.calls.append((len(audio), self.scale.item(), torch.is_grad_enabled()))
        h = self.scale * audio.mean(-1, keepdim=True)
        return [(h, [h, 2 * h]), (2 * h, [3 * h])]


def one_step(**options) -> tuple[dict[str, float], HiFiGAN]:
    """A batch of constants: G says 0.25, what is real is 0.5."""
    model, log = tiny_hifigan(lr=0.1, **options), Log()
    model.discriminator = Judge()
    with torch.no_grad():
        last = model.generator.conv_post
        last.parametrizations.weight.original0.zero_()
        last.bias.fill_(torch.tensor(0.25).atanh())
    data = TinyMels(model, count=4)
    data.examples = [(mel, torch.full_like(real, 0.5)) for mel, real in data.examples]
    fit(model, data, logger=log, max_steps=1)
    return {key: value for line in log.lines for key, value in line.items()}, model


def test_losses_by_hand():
    """D's logits are once and twice the mean, its maps once, twice and three times."""
    logged, model = one_step(feature_weight=3.0, mel_weight=5.0)
    judge = model.discriminator
    assert logged["train/loss_d"] == pytest.approx((0.5**2 + 0.25**2) + (0 + 0.5**2), abs=1e-6)
    # AdamW: a decay of lr * 0.01, then a step of the rate against the gradient, which is positive
    scale = judge.scale.item()
    gradient = 2 * -0.5 * 0.5 + 2 * 0.25 * 0.25 + 0 + 2 * 0.5 * 0.5
    assert gradient > 0 and scale == pytest.approx(1 - 0.1 * 0.01 - 0.1, abs=1e-5)
    adversarial = (1 - 0.25 * scale) ** 2 + (1 - 0.5 * scale) ** 2
    assert logged["train/loss_g_adversarial"] == pytest.approx(adversarial, abs=1e-6)
    features = (1 + 2 + 1 + 3 + 2) * 0.25 * scale  # of the D that has just been updated, logits too
    assert logged["train/loss_g_features"] == pytest.approx(features, abs=1e-6)
    real = torch.full((1, 72 * 16), 0.5)
    mel_l1 = (log_mel(real, model.loss_mel) - log_mel(real / 2, model.loss_mel)).abs().mean().item()
    assert logged["train/loss_g_mel"] == pytest.approx(mel_l1, rel=1e-4)
    assert logged["train/loss_g"] == pytest.approx(adversarial + 3 * features + 5 * mel_l1, rel=1e-4)


def test_order_of_a_step():
    """G once; D on both at once, then, updated, on what is real without and on the fake with gradients."""
    with mock.patch.object(HiFiGAN, "forward", autospec=True, side_effect=HiFiGAN.forward) as generated:
        _, model = one_step()
    assert generated.call_count == 1
    after = pytest.approx(0.899, abs=1e-5)
    assert model.discriminator.calls == [(8, 1.0, True), (4, after, False), (4, after, True)]


# ---- the rate


def rates(log: Log) -> list[float]:
    return [line["lr"] for line in log.lines if "lr" in line]


class NotesRate(HiFiGAN):
    def on_train_batch_start(self, batch, batch_idx):
        super().on_train_batch_start(batch, batch_idx)
        assert len({group["lr"] for o in self.trainer.optimizers for group in o.param_groups}) == 1
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])


def test_the_rate_falls_with_each_epoch():
    """In the second epoch of LJ Speech, after 809 updates, it is 1.998e-4."""
    model, log = tiny_hifigan(), Log()
    model.__class__ = NotesRate
    fit(model, TinyMels(model, count=8), logger=log, max_steps=-1, max_epochs=3)
    assert rates(log) == pytest.approx([2e-4] * 2 + [1.998e-4] * 2 + [1.996002e-4] * 2, rel=1e-6)


@pytest.mark.parametrize("batches", [2, 3])
def test_resumed_is_uninterrupted(batches, tmp_path):
    """At the end of an epoch of two batches, and in mid-epoch; the rate is that of the epoch in either case."""
    straight, log = tiny_hifigan(lr_decay=0.5), Log()
    saver = SaveAfter(tmp_path / "mid.ckpt", batches)
    fit(straight, data_for(straight, batch_size=8), [saver], max_steps=6)
    resumed = tiny_hifigan(lr_decay=0.5)
    with torch.no_grad():
        for tensor in resumed.state_dict().values():
            tensor.add_(1)  # everything has to come from the file
    resumed.__class__ = NotesRate
    fit(resumed, data_for(resumed, batch_size=8), resume=saver.path, max_steps=6, logger=log)
    torch.testing.assert_close(state(resumed), state(straight), rtol=0, atol=0)
    assert rates(log) == pytest.approx([2e-4, 2e-4, 1e-4, 1e-4, 5e-5, 5e-5][batches:], rel=1e-6)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(preset="v4"), "unknown preset 'v4'; expected v1 or v2 or v3"),
        (dict(upsample_rates=(8, 4)), r"upsample_rates 8,4 make 8 x 4 = 32 samples per frame, .* use 8,2"),
        (dict(width=6), "width 6 cannot be halved 2 times; use a multiple of 4"),
        (dict(upsample_kernels=(16,)), "there are 1 upsample_kernels for 2 upsample_rates; give as many"),
        (dict(upsample_kernels=(16, 1)), r"upsample_kernels \(16, 1\) are below upsample_rates \(8, 2\)"),
        (dict(resblock=3), "resblock is 3; expected 1 or 2"),
        (dict(resblock_kernels=(3, 4)), r"resblock_kernels are \(3, 4\); expected odd numbers"),
        (dict(resblock_kernels=(3,)), "there are 2 resblock_dilations for 1 resblock_kernels; give as many"),
        (dict(loss_mel=dict(name="vocos")), "loss_mel has a sample_rate of 24000, and mel one of 8000"),
    ],
)
def test_impossible_arguments(options, message):
    with pytest.raises(InputError, match=message):
        tiny_hifigan(**options)
