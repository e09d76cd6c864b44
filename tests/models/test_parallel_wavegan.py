import math
from unittest import mock

import pytest
import torch
from helpers.tiny_mels import FRAMES, TinyMels, sounds, tiny_parallel_wavegan
from helpers.tiny_runs import Gradients, Log, SaveAfter, fit, parameter_count, state, weights
from torch import nn
from torch.nn.functional import conv1d, conv2d
from torch.nn.utils.parametrize import remove_parametrizations

from lightning_gans.audio import MelConfig
from lightning_gans.data.batches import MelBatch
from lightning_gans.errors import InputError
from lightning_gans.models.parallel_wavegan import Generator, ParallelWaveGAN
from lightning_gans.networks.upsampling import Upsample
from lightning_gans.networks.waveform_discriminators import SampleDiscriminator

G, V = "parametrizations.weight.original0", "parametrizations.weight.original1"


def folded_count(network: nn.Module) -> int:
    for module in list(network.modules()):
        if hasattr(module, "parametrizations"):
            remove_parametrizations(module, "weight")
    return parameter_count(network)


@pytest.mark.parametrize(
    "options, generator, discriminator",
    [
        (dict(preset="ljspeech"), 1_346_042, 99_842),
        (dict(preset="paper"), 1_346_044, 99_842),
    ],
)
def test_parameter_counts(options, generator, discriminator):
    with torch.device("meta"):
        model = ParallelWaveGAN(**options)
    assert (parameter_count(model.generator), parameter_count(model.discriminator)) == (generator, discriminator)


def test_folded_counts():
    model = ParallelWaveGAN("ljspeech")
    assert (folded_count(model.generator), folded_count(model.discriminator)) == (1_334_309, 99_265)


def test_presets():
    with torch.device("meta"):
        paper, ljspeech = ParallelWaveGAN(), ParallelWaveGAN("ljspeech")
    assert ljspeech.mel_config == MelConfig.of("parallel_wavegan")
    assert (paper.sample_rate, paper.mel_config.hop_length, paper.mel_config.f_min) == (24000, 300, 70)
    assert [m.hparams.clip_norm_g for m in (paper, ljspeech)] == [None, 10]
    assert [m.stft_loss.reduction for m in (paper, ljspeech)] == ["example", "batch"]
    assert ParallelWaveGAN(**ljspeech.hparams).hparams == ljspeech.hparams


def test_names_and_shapes_are_those_of_the_files_of_others():
    """The key lists of https://github.com/kan-bayashi/ParallelWaveGAN, with the names of today's weight norm."""
    with torch.device("meta"):
        model = ParallelWaveGAN("ljspeech")
    shapes = {key: tuple(value.shape) for key, value in model.generator.state_dict().items()}
    with_bias = ["first_conv", "last_conv_layers.1", "last_conv_layers.3"]
    with_bias += [f"conv_layers.{i}.{conv}" for i in range(30) for conv in ("conv", "conv1x1_out", "conv1x1_skip")]
    without = ["upsample_net.conv_in", *(f"upsample_net.upsample.up_layers.{i}" for i in (1, 3, 5, 7))]
    without += [f"conv_layers.{i}.conv1x1_aux" for i in range(30)]
    keys = {f"{conv}.{tensor}" for conv in with_bias + without for tensor in (G, V)}
    assert set(shapes) == keys | {f"{conv}.bias" for conv in with_bias}
    assert len(shapes) == 349
    assert shapes[f"upsample_net.upsample.up_layers.3.{V}"] == (1, 1, 1, 9)
    assert shapes[f"upsample_net.conv_in.{V}"] == (80, 80, 5)
    assert shapes[f"conv_layers.29.conv.{V}"] == (128, 64, 3) and shapes["conv_layers.0.conv.bias"] == (128,)
    shapes = {key: tuple(value.shape) for key, value in model.discriminator.state_dict().items()}
    assert set(shapes) == {f"conv_layers.{i}.{tensor}" for i in range(0, 20, 2) for tensor in ("bias", G, V)}
    assert [shapes[f"conv_layers.{i}.{V}"] for i in (0, 2, 18)] == [(64, 1, 3), (64, 64, 3), (1, 64, 3)]


def test_discriminator_layers():
    network = SampleDiscriminator()
    convs = [layer for layer in network.conv_layers if isinstance(layer, nn.Conv1d)]
    assert [conv.dilation[0] for conv in convs] == [1, 1, 2, 3, 4, 5, 6, 7, 8, 1]
    audio = torch.randn(1, 1, 401, requires_grad=True)
    ((logits, maps),) = network(audio)
    assert logits.shape == (1, 1, 401) and [h.shape for h in maps] == [(1, 64, 401)] * 9
    logits[0, 0, 200].backward()
    assert audio.grad[0, 0].nonzero().flatten().tolist() == list(range(200 - 38, 200 + 39))  # 77 samples


def test_initialisation():
    model = ParallelWaveGAN("ljspeech")
    conv = model.generator.conv_layers[3].conv
    assert conv.weight.std().item() == pytest.approx((2 / (64 * 3)) ** 0.5, rel=0.03)
    assert not conv.bias.any()
    assert torch.allclose(conv.parametrizations.weight.original0, conv.weight.norm(dim=(1, 2), keepdim=True))
    assert torch.allclose(model.generator.upsample_net.upsample.up_layers[1].weight, torch.tensor(1 / 9))


# ---- the generator against its plain form


def plain(generator: Generator, noise: torch.Tensor, mel: torch.Tensor) -> torch.Tensor:
    """The network as the paper draws it: all at the full rate, layer by layer, both outputs in each."""
    c = conv1d(mel, generator.upsample_net.conv_in.weight)[:, None]
    for stretch, conv in zip(*[iter(generator.upsample_net.upsample.up_layers)] * 2, strict=True):
        c = c.repeat_interleave(stretch.factor, -1)
        c = conv2d(c, conv.weight, padding=(0, stretch.factor))
    c, x, total = c[:, 0], generator.first_conv(noise), 0
    for layer in generator.conv_layers:
        width = layer.conv.kernel_size[0] // 2
        h = conv1d(x, layer.conv.weight, layer.conv.bias, padding=width * layer.dilation, dilation=layer.dilation)
        a, b = (h + conv1d(c, layer.conv1x1_aux.weight)).chunk(2, 1)
        g = torch.tanh(a) * torch.sigmoid(b)
        total = total + conv1d(g, layer.conv1x1_skip.weight, layer.conv1x1_skip.bias)
        x = (conv1d(g, layer.conv1x1_out.weight, layer.conv1x1_out.bias) + x) * math.sqrt(1 / 2)
    h = (total * math.sqrt(1 / len(generator.conv_layers))).relu()
    last, out = generator.last_conv_layers[1], generator.last_conv_layers[3]
    return conv1d(conv1d(h, last.weight, last.bias).relu(), out.weight, out.bias)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("scales", [(4, 4), (2, 3, 2)])
def test_the_generator_as_the_paper_draws_it(kernel, scales):
    generator, frames = Generator(5, scales, 2, 6, 2, kernel, 4, 6, 3).double(), 9
    for parameter in generator.parameters():
        nn.init.normal_(parameter, std=0.5)
    mel = torch.randn(2, 5, frames + 4, dtype=torch.double)
    noise = torch.randn(2, 1, frames * math.prod(scales), dtype=torch.double)
    torch.testing.assert_close(generator(noise, mel), plain(generator, noise, mel), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scales, faded", [((4, 4, 4, 4), 340), ((4, 5, 3, 5), 395)])
def test_upsampling_fades_at_the_ends(scales, faded):
    """A constant comes out as itself but for the ends, 0.109 of it at the first sample of the smaller hop."""
    upsample = Upsample(scales)
    out = upsample(torch.ones(1, 1, 12)).detach()[0, 0]
    whole = (out > 1 - 1e-6).nonzero().flatten()
    assert (whole[0].item(), len(out) - 1 - whole[-1].item()) == (faded, faded) == (upsample.faded,) * 2
    if scales == (4, 4, 4, 4):
        assert out[0].item() == pytest.approx(0.109, abs=5e-4)


# ---- the receptive field


def test_receptive_field_by_gradient():
    model = ParallelWaveGAN("ljspeech", gate_channels=4, residual_channels=2, skip_channels=2)
    frames, middle = 61, 30 * 256 + 128
    mel = torch.randn(1, 80, frames + 4, requires_grad=True)
    noise = torch.randn(1, 1, frames * 256, requires_grad=True)
    model(mel, noise)[0, 0, middle].backward()
    touched = noise.grad[0, 0].nonzero().flatten()
    assert (
        (touched[0].item(), touched[-1].item())
        == (middle - 3069, middle + 3069)
        == (
            middle - model.generator.reach,
            middle + model.generator.reach,
        )
    )
    frames = mel.grad.abs().sum((0, 1)).nonzero().flatten() - 2  # of the audio's
    needed = model.receptive_frames + model.context
    assert (needed, model.receptive_frames) == (16, 14)
    assert 30 - needed <= frames[0] < 30 - needed + 2 and 30 + needed - 2 < frames[-1] <= 30 + needed


# ---- losses and the order of a step


class Judge(nn.Module):
    """Whose logits are the audio's mean times a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.calls: list[tuple[int, float]] = []

    def forward(self, audio):
        self.calls.append((len(audio), self.scale.item()))
        h = self.scale * audio.mean(-1, keepdim=True)
        return [(h, [])]


def one_step(**options) -> tuple[dict[str, float], ParallelWaveGAN]:
    """A batch of four constants: G says 0.25 and cannot learn but its bias; what is real is 0.5."""
    model, log = tiny_parallel_wavegan(**dict(discriminator_start=0) | options), Log()
    model.discriminator = Judge()
    with torch.no_grad():
        last = model.generator.last_conv_layers[3]
        last.parametrizations.weight.original0.zero_()
        last.bias.fill_(0.25)
    data = TinyMels(model, count=4)
    data.examples = [(mel, torch.full_like(real, 0.5)) for mel, real in data.examples]
    fit(model, data, logger=log, max_steps=1)
    return {key: value for line in log.lines for key, value in line.items()}, model


def test_losses_by_hand():
    logged, model = one_step(lr_g=0.01, recompute_fake=False)
    adversarial = (1 - 0.25) ** 2
    assert logged["train/loss_g_adversarial"] == pytest.approx(adversarial, abs=1e-6)
    constant = torch.full((4, 1, FRAMES * 16), 0.5)
    stft = sum(model.stft_loss(constant / 2, constant)).item()
    assert logged["train/loss_g_stft"] == pytest.approx(stft, rel=1e-4)
    assert logged["train/loss_g"] == pytest.approx(stft + 4 * adversarial, rel=1e-4)
    assert logged["train/loss_d"] == pytest.approx(0.5**2 + 0.25**2, abs=1e-6)
    assert model.discriminator.calls == [(4, 1.0), (8, 1.0)]


def test_the_discriminator_judges_what_the_updated_generator_makes():
    fakes = {}
    for recompute in (True, False):
        model, seen = tiny_parallel_wavegan(discriminator_start=0, recompute_fake=recompute, lr_g=0.01), []
        model.discriminator.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        fit(model, TinyMels(model), max_steps=1)
        before, both = seen
        fakes[recompute] = both[4:]
        assert torch.equal(both[:4], sounds(16, FRAMES)[:4])
        assert torch.equal(fakes[recompute], before) != recompute
    assert (fakes[True] - fakes[False]).abs().max() > 1e-3
    assert not fakes[True].requires_grad


def test_the_generator_runs_as_often_as_it_must():
    for options, runs in ((dict(), 2), (dict(recompute_fake=False), 1), (dict(discriminator_start=9), 1)):
        model = tiny_parallel_wavegan(**dict(discriminator_start=0) | options)
        model.mel_scale.fill_(2.0)
        forward = mock.Mock(wraps=model.generator.forward)
        model.generator.forward = forward
        fit(model, TinyMels(model), max_steps=1)
        assert forward.call_count == runs
        noises = [call.args[0] for call in forward.call_args_list]
        assert all(torch.equal(noise, noises[0]) for noise in noises)


def test_crossing_the_start():
    """Start 5 and 9 generator updates make 4 of D, as in the code that the field uses; each has its own schedule."""
    model, log = tiny_parallel_wavegan(discriminator_start=5, lr_decay_steps=4), Log()
    before, seen = weights(model.discriminator), []
    update = model.update

    def noting(optimizer, loss, clip_norm=None):
        seen.append((model.key_of(optimizer.optimizer), clip_norm))
        return update(optimizer, loss, clip_norm)

    model.update = noting
    trainer = fit(model, TinyMels(model), max_steps=5, logger=log)
    assert seen == [("g", 10.0)] * 5
    assert all(torch.equal(value, before[key]) for key, value in weights(model.discriminator).items())
    assert not any("train/loss_d" in line or "train/loss_g_adversarial" in line for line in log.lines)
    seen.clear()
    model = tiny_parallel_wavegan(discriminator_start=5, lr_decay_steps=4)
    update, model.update = model.update, noting
    trainer = fit(model, TinyMels(model), max_steps=9, logger=log)
    assert trainer.global_step == 9
    assert [key for key, _ in seen] == ["g"] * 5 + ["g", "d"] * 4
    assert seen[-1] == ("d", 1.0)
    assert [o.param_groups[0]["lr"] for o in trainer.optimizers] == [1e-4 / 4, 5e-5 / 2]
    assert [type(o) for o in trainer.optimizers] == [torch.optim.RAdam] * 2
    assert [o.param_groups[0]["eps"] for o in trainer.optimizers] == [1e-6] * 2


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(upsample_scales=(4, 5)), "upsample_scales 4,5 make 4 x 5 = 20 samples per frame, .* is 16; use 8,2, or"),
        (dict(layers=5), "5 layers cannot be cut into 2 stacks; use 20 layers"),
        (dict(kernel=4), "kernel is 4; expected an odd number"),
        (dict(gate_channels=3), "gate_channels is 3; expected an even number"),
    ],
)
def test_impossible_arguments(options, message):
    with pytest.raises(InputError, match=message):
        tiny_parallel_wavegan(**options)


def test_another_preset():
    with pytest.raises(InputError, match="unknown preset 'v1'; expected paper or ljspeech"):
        ParallelWaveGAN("v1")


# ---- training


def test_two_steps_change_all_weights():
    model, gradients = tiny_parallel_wavegan(), Gradients()
    before = weights(model)
    fit(model, TinyMels(model), [gradients], max_steps=2)
    unused = {f"generator.conv_layers.3.conv1x1_out.{name}" for name in ("bias", G, V)}
    assert set(gradients.largest) == set(before) - unused
    assert min(gradients.largest.values()) > 0
    after = weights(model)
    assert all(value.isfinite().all() for value in after.values())
    still = {f"generator.first_conv.{V}"}  # of one weight only the sign counts beside its norm
    assert {key for key in after if torch.equal(after[key], before[key])} - still == unused


def test_resumed_is_uninterrupted(tmp_path):
    """Across the start of D, between two of its updates."""
    straight = tiny_parallel_wavegan(lr_decay_steps=2)
    saver = SaveAfter(tmp_path / "mid.ckpt", 2)
    fit(straight, TinyMels(straight, batch_size=8), [saver], max_steps=4)
    resumed = tiny_parallel_wavegan(lr_decay_steps=2)
    with torch.no_grad():
        for tensor in (*resumed.parameters(), resumed.mel_mean):
            tensor.add_(1)  # everything has to come from the file
    trainer = fit(resumed, TinyMels(resumed, batch_size=8), resume=saver.path, max_steps=4)
    torch.testing.assert_close(state(resumed), state(straight), rtol=0, atol=0)
    assert [o.param_groups[0]["lr"] for o in trainer.optimizers] == [1e-4 / 4, 5e-5 / 2]


def test_evaluation_draws_the_same_noise_for_each_utterance():
    model = tiny_parallel_wavegan()
    mel = torch.randn(1, 8, 13).expand(2, -1, -1)
    batch = MelBatch(mel, sounds(2, 9))
    one, two = model.train().generate(batch)
    assert not torch.equal(one, two)
    with torch.no_grad():
        one, two = model.eval().generate(batch)
        assert torch.allclose(one, two, atol=1e-6)
        assert torch.allclose(model.generate(MelBatch(mel[:1], batch.audio[:1]))[0], one, atol=1e-6)
