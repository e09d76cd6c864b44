import math

import pytest
import torch
from helpers.tiny_mels import MEL, TinyMels, sounds, tiny_vocos
from helpers.tiny_runs import Gradients, Log, SaveAfter, fit, parameter_count, state, weights
from helpers.vocos_files import written_out
from torch import nn

from lightning_gans.audio import log_mel
from lightning_gans.data.batches import MelBatch
from lightning_gans.errors import InputError
from lightning_gans.models.vocos import Vocos, half_cosine
from lightning_gans.training.accumulation import AccumulateGradients

# ---- networks


def test_parameter_counts():
    with torch.device("meta"):
        model = Vocos()
    assert parameter_count(model.generator) == 13_531_650
    assert parameter_count(model.generator.backbone) == 13_005_312
    assert parameter_count(model.generator.head) == 526_338
    assert parameter_count(model.discriminator.periods) == 41_105_770
    assert parameter_count(model.discriminator.bands) == 1_413_990


def test_names_and_shapes_are_those_of_the_published_file():
    """Of its 83 tensors three are windows and bands, which are no weights."""
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in Vocos().generator.state_dict().items()}
    layers = ("dwconv", "norm", "pwconv1", "pwconv2")
    expected = {"backbone.embed", "backbone.norm", "backbone.final_layer_norm", "head.out"}
    expected |= {f"backbone.convnext.{i}.{layer}" for i in range(8) for layer in layers}
    gammas = {f"backbone.convnext.{i}.gamma" for i in range(8)}
    assert set(shapes) == {f"{layer}.{kind}" for layer in expected for kind in ("weight", "bias")} | gammas
    assert len(shapes) == 80
    assert shapes["backbone.embed.weight"] == (512, 100, 7)
    assert shapes["backbone.convnext.7.dwconv.weight"] == (512, 1, 7)
    assert shapes["backbone.convnext.7.pwconv1.weight"] == (1536, 512)
    assert shapes["backbone.convnext.7.pwconv2.weight"] == (512, 1536)
    assert shapes["head.out.weight"] == (1026, 512)


def test_initial_weights():
    generator = Vocos(dim=64, intermediate_dim=192).generator
    for layer in generator.modules():
        if isinstance(layer, nn.Conv1d | nn.Linear) and layer is not generator.head.out:
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.2) and not layer.bias.any()
    assert all((block.gamma == 1 / 8).all() for block in generator.backbone.convnext)
    assert generator.head.out.weight.std().item() == pytest.approx((1 / (3 * 64)) ** 0.5, rel=0.02)  # torch's own


@pytest.mark.parametrize("framing", ["center", "hop"])
def test_the_generator_written_out(framing):
    """By torch's own inverse STFT, which ends before the last hop, or cut in the middle of frames by hand."""
    model = tiny_vocos(mel=MEL | dict(framing=framing)).double()
    model.generator.head.out.bias.data[:33] += 3  # some magnitudes are cut off at 100
    mel = torch.rand(2, 8, 10, dtype=torch.double) * 4 - 4
    spectrum = written_out(dict(model.generator.state_dict()), mel, 2)
    assert (spectrum.abs() > 99.9).any() and (spectrum.abs() < 99).any()
    audio = model(mel)
    assert audio.shape == (2, 1, 160)
    window = torch.hann_window(64).double()
    if framing == "center":
        expected = torch.istft(spectrum, 64, 16, window=window)
        torch.testing.assert_close(audio[:, 0, :144], expected)
        return
    frames, total, squares = torch.fft.irfft(spectrum, dim=1) * window[:, None], torch.zeros(2, 208), torch.zeros(208)
    for i in range(10):
        total[:, 16 * i : 16 * i + 64] += frames[..., i]
        squares[16 * i : 16 * i + 64] += window.square()
    torch.testing.assert_close(audio[:, 0], (total / squares)[:, 24:-24].double(), atol=1e-5, rtol=0)


def test_as_the_authors_package_has_it():
    models, heads = pytest.importorskip("vocos.models"), pytest.importorskip("vocos.heads")
    for framing, padding in (("center", "center"), ("hop", "same")):
        model = tiny_vocos(mel=MEL | dict(framing=framing))
        backbone, head = models.VocosBackbone(8, 8, 12, 2), heads.ISTFTHead(8, 64, 16, padding)
        backbone.load_state_dict(model.generator.backbone.state_dict())
        head.load_state_dict(model.generator.head.state_dict(), strict=False)
        mel = torch.rand(2, 8, 10) * 4 - 4
        expected = head(backbone(mel))
        assert (model(mel)[:, 0, : expected.shape[1]] - expected).abs().max() < 1e-5


@pytest.mark.parametrize("framing", ["center", "hop"])
def test_lengths(framing):
    """Each frame has a hop, which the authors' code leaves out of the last one where frames are centered."""
    model = tiny_vocos(mel=MEL | dict(framing=framing, hop_length=15))
    assert [model(torch.randn(1, 8, frames)).shape[-1] for frames in (1, 2, 3, 10)] == [15, 30, 45, 150]
    assert model.hparams.padding == {"center": "center", "hop": "same"}[framing]


def test_receptive_field_by_gradient():
    """27 frames of the backbone on either side; of the centered iSTFT one before and two behind."""
    model = tiny_vocos(mel=MEL | dict(framing="center"), num_layers=8)
    assert model.receptive_frames == 29
    x = torch.randn(1, 8, 81, requires_grad=True)
    model(x)[..., 40 * 16 : 41 * 16].square().sum().backward()
    touched = x.grad.abs().sum((0, 1)).nonzero().flatten()
    assert (touched.min().item(), touched.max().item()) == (40 - 28, 40 + 29)


def test_the_mel_of_the_published_model():
    """A tone of half the loudness: one more frame than hops, the loudest band the 17th, silence the floor."""
    config = Vocos(dim=8, intermediate_dim=8, num_layers=1, period_width=0.01).mel_config
    tone = 0.5 * torch.sin(2 * torch.pi * 440 * torch.arange(16_384, dtype=torch.double) / 24_000)
    mel = log_mel(tone[None].float(), config)
    assert mel.shape == (1, 100, 65)
    assert mel.max().item() == pytest.approx(4.994547, abs=1e-4) and mel[0, :, 16].argmax() == 16
    assert log_mel(torch.zeros(1, 16_384), config).unique().item() == pytest.approx(-16.118096, abs=1e-5)


# ---- losses and the order of a step


class Judge(nn.Module):
    """Two periods and one band, whose logits and maps are the audio's mean, scaled."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.calls: list[float] = []

    def forward(self, audio):
        self.calls.append(self.scale.item())
        h = self.scale * audio.mean(-1, keepdim=True)
        return [(h, [h, 2 * h]), (2 * h, [3 * h]), (4 * h, [h])]

    def weights(self, of_bands):
        return [1 / 2, 1 / 2, of_bands / 1]


class Constant(nn.Module):
    """A generator that says 0.25, or as much as its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.25))

    def forward(self, mel):
        return self.level.expand(len(mel), 1, 16 * mel.shape[-1])


def test_losses_by_hand():
    """D's hinges are means over its periods, and over its bands times 0.1."""
    model, log = tiny_vocos(stft_weight=2.0), Log()
    model.generator, model.discriminator = Constant(), Judge()
    data = TinyMels(model, count=4)
    data.examples = [(mel, torch.full_like(real, 0.5)) for mel, real in data.examples]
    fit(model, data, logger=log, max_steps=1)
    found = {key: value for line in log.lines for key, value in line.items()}
    expected_d = ((1 - 0.5 + 1 + 0.25) + (0 + 1 + 0.5)) / 2 + 0.1 * (0 + 1 + 1)
    assert found["train/loss_d"] == pytest.approx(expected_d)
    # AdamW's first step: decay of 0.01, then the rate, against the gradient -0.5 / 2 + 0.25 / 2 + 0.5 / 2 + 0.1
    scale = 1 - 5e-4 * 0.01 - 5e-4
    assert model.discriminator.scale.item() == pytest.approx(scale, abs=1e-6)
    level = 0.25 * scale
    assert found["train/loss_g_adversarial"] == pytest.approx(
        ((1 - level) + (1 - 2 * level)) / 2 + 0.1 * (1 - 4 * level)
    )
    # both of the D that has been updated; sums over maps and logits
    assert found["train/loss_g_features"] == pytest.approx(level * ((1 + 2 + 1) + (3 + 2)) / 2 + 0.1 * level * (1 + 4))
    real, fake = torch.full((1, 1, 1152), 0.5), torch.full((1, 1, 1152), 0.25)
    mel = model.mel_config
    assert found["train/loss_g_mel"] == pytest.approx((log_mel(real, mel) - log_mel(fake, mel)).abs().mean().item())
    assert found["train/loss_g_mel"] > 0.01
    parts = {"adversarial": 1, "features": 1, "mel": 45, "stft": 2}
    total = sum(weight * found[f"train/loss_g_{part}"] for part, weight in parts.items())
    assert found["train/loss_g"] == pytest.approx(total, rel=1e-5)
    # what is real and what is fake at once for D; then, for G, what is real, and what is fake
    assert model.discriminator.calls == [1.0, pytest.approx(scale), pytest.approx(scale)]


def test_the_discriminators_of_the_paper():
    """Five maps of each period with the logits, the first one left out, and 21 of each resolution."""
    discriminator = tiny_vocos().discriminator
    outputs = discriminator(torch.randn(1, 1, 2048))
    assert [len(maps) + 1 for _, maps in outputs] == [5] * 5 + [21] * 3
    assert discriminator.weights(0.1) == [0.2] * 5 + [pytest.approx(0.1 / 3)] * 3


# ---- training


def test_half_a_cosine():
    assert [half_cosine(step, 100, 0) for step in (0, 50, 100, 200)] == pytest.approx([1, 0.5, 0, 0])
    assert half_cosine(25, 100, 0) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert [half_cosine(step, 110, 10) for step in (0, 5, 10, 60, 110)] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert half_cosine(0, math.inf, 0) == half_cosine(0, -5, 0) == 1  # not known yet; of a D that never trains


def test_the_rate_falls_to_the_end_of_the_training():
    model = tiny_vocos(pretrain_mel_steps=2)
    trainer = fit(model, TinyMels(model), max_steps=6)
    for optimizer in trainer.optimizers:
        assert (optimizer.defaults["betas"], optimizer.defaults["weight_decay"]) == ((0.8, 0.9), 0.01)
        assert optimizer.param_groups[0]["initial_lr"] == 5e-4
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)
    trainer = fit(tiny_vocos(), TinyMels(model), [AccumulateGradients(2)], max_steps=-1, max_epochs=1)  # four batches
    assert trainer.global_step == 2
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)
    with pytest.raises(InputError, match="the learning rate of Vocos falls until the training ends; give"):
        fit(tiny_vocos(), TinyMels(model), max_steps=-1, max_epochs=-1)


def test_pretraining_and_resuming(tmp_path):
    """D waits for two updates of G with its rate as it is; a run that is taken up in between goes on so."""
    straight, log = tiny_vocos(pretrain_mel_steps=2), Log()
    before = weights(straight.discriminator)
    savers = [SaveAfter(tmp_path / f"{n}.ckpt", n) for n in (1, 2, 3)]
    fit(straight, TinyMels(straight, batch_size=16), savers, max_steps=4, logger=log)
    losses = [line for line in log.lines if "train/loss_g" in line]
    assert ["train/loss_d" in line for line in losses] == [False, False, True, True]
    assert ["train/loss_g_features" in line for line in losses] == [False, False, True, True]
    waiting = torch.load(tmp_path / "2.ckpt", weights_only=True)
    assert waiting["optimizer_states"][1]["param_groups"][0]["lr"] == 5e-4
    for name, value in before.items():
        assert torch.equal(waiting["state_dict"][f"discriminator.{name}"], value)
    for saver in savers:
        resumed = tiny_vocos(pretrain_mel_steps=2)
        with torch.no_grad():
            for tensor in resumed.parameters():
                tensor.add_(1)  # everything has to come from the file
        fit(resumed, TinyMels(resumed, batch_size=16), resume=saver.path, max_steps=4)
        torch.testing.assert_close(state(resumed), state(straight), rtol=0, atol=0)


def test_two_steps_change_all_weights():
    model, gradients = tiny_vocos(), Gradients()
    before = weights(model)
    fit(model, TinyMels(model), [gradients])
    assert set(gradients.largest) == set(before)
    assert [key for key, largest in gradients.largest.items() if largest == 0] == []
    after = weights(model)
    assert [key for key in after if torch.equal(after[key], before[key])] == []
    assert all(value.isfinite().all() for value in after.values())


def test_generate_takes_the_mel_alone():
    model = tiny_vocos()
    mel = torch.randn(2, 8, 9)
    assert torch.equal(model.generate(MelBatch(mel, sounds(2, 9))), model.generator(mel))


def test_magnitudes_in_half_precision():
    """exp(12) is more than float16 holds, and is cut off in float32; what an FFT takes is never half."""
    model = tiny_vocos().half()
    model.generator.head.out.bias.data[:33] = 12
    audio = model.vocode(torch.zeros(1, 8, 4))
    assert audio.dtype == torch.float32 and audio.isfinite().all() and audio.any()


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(preset="encodec_24khz"), "unknown preset 'encodec_24khz'; expected mel_24khz"),
        (dict(padding="valid"), "unknown padding 'valid'; expected center or same"),
        (dict(mel=MEL | dict(hop_length=40)), "hop_length 40 is more than half of n_fft 64"),
    ],
)
def test_impossible_arguments(options, message):
    with pytest.raises(InputError, match=message):
        tiny_vocos(**options)
