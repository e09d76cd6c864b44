from unittest import mock

import pytest
import torch
from helpers.tiny_mels import MEL, TinyMels, sounds, tiny_melgan
from helpers.tiny_runs import Gradients, Log, SaveAfter, fit, parameter_count, state, weights
from torch.nn.utils.parametrize import remove_parametrizations

from lightning_gans.data.batches import MelBatch
from lightning_gans.errors import InputError
from lightning_gans.models.melgan import MelGAN
from lightning_gans.networks.waveform_discriminators import MultiScaleDiscriminator


def folded_count(network: torch.nn.Module) -> int:
    for module in list(network.modules()):
        if hasattr(module, "parametrizations"):
            remove_parametrizations(module, "weight")
    return parameter_count(network)


def test_parameter_counts():
    with torch.device("meta"):
        model = MelGAN()
    assert (parameter_count(model.generator), parameter_count(model.discriminator)) == (4_266_050, 16_924_086)
    model = MelGAN()
    assert folded_count(model.generator) == 4_260_257  # the paper's 4.26 million
    assert folded_count(model.discriminator) == 16_913_859


def test_names_and_shapes_are_those_of_the_authors_files():
    """The key lists of https://github.com/descriptinc/melgan-neurips, after renaming."""
    with torch.device("meta"):
        model = MelGAN()
    shapes = {key: tuple(value.shape) for key, value in model.generator.state_dict().items()}
    outer = [f"model.{i}" for i in (1, 3, 8, 13, 18, 24)]
    blocks = [i for start in (4, 9, 14, 19) for i in range(start, start + 3)]
    inner = [f"model.{i}.{name}" for i in blocks for name in ("block.2", "block.4", "shortcut")]
    tensors = ("bias", "parametrizations.weight.original0", "parametrizations.weight.original1")
    assert set(shapes) == {f"{conv}.{tensor}" for conv in outer + inner for tensor in tensors}
    assert len(shapes) == 126
    g, v = "parametrizations.weight.original0", "parametrizations.weight.original1"
    assert shapes[f"model.1.{v}"] == (512, 80, 7) and shapes[f"model.1.{g}"] == (512, 1, 1)
    assert shapes[f"model.3.{v}"] == (512, 256, 16) and shapes[f"model.3.{g}"] == (512, 1, 1)
    assert [shapes[f"model.{i}.{v}"] for i in (8, 13, 18, 24)] == [
        (256, 128, 16),
        (128, 64, 4),
        (64, 32, 4),
        (1, 32, 7),
    ]
    assert shapes[f"model.4.block.2.{v}"] == (256, 256, 3) and shapes[f"model.4.shortcut.{v}"] == (256, 256, 1)
    assert shapes["model.3.bias"] == (256,)
    shapes = {key: tuple(value.shape) for key, value in model.discriminator.state_dict().items()}
    convs = ["layers.0.1", *(f"layers.{i}.0" for i in range(1, 6)), "layers.6"]
    assert set(shapes) == {f"discriminators.{i}.{c}.{t}" for i in range(3) for c in convs for t in tensors}
    assert shapes[f"discriminators.2.layers.1.0.{v}"] == (64, 4, 41)


def test_weight_norm_of_older_files_loads():
    model, other = tiny_melgan(), tiny_melgan()
    with torch.no_grad():
        for parameter in other.generator.parameters():
            parameter.add_(0.1)
    old = {
        key.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for key, value in other.generator.state_dict().items()
    }
    model.generator.load_state_dict(old)
    mel = torch.randn(1, 8, 9)
    assert torch.equal(model(mel), other(mel))


def test_discriminator_outputs():
    outputs = MultiScaleDiscriminator()(torch.randn(2, 1, 8192))
    assert [[tuple(h.shape[1:]) for h in (*maps, logits)] for logits, maps in outputs] == [
        [(16, n), (64, n // 4), (256, n // 16), (1024, n // 64), (1024, n // 256), (1024, n // 256), (1, n // 256)]
        for n in (8192, 4096, 2048)
    ]


def test_pooling_by_hand():
    """Four samples to one in steps of two; at the ends, what is beyond does not count."""
    network, seen = MultiScaleDiscriminator(), []
    for scale in network.discriminators:
        scale.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0, 0]))
        scale.forward = lambda audio: (audio, [])
    network(torch.arange(16.0)[None, None])
    assert seen[1].tolist() == [1, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14]
    assert seen[2].tolist() == pytest.approx([(1 + 2.5 + 4.5) / 3, 5.5, 9.5, (10.5 + 12.5 + 14) / 3])


@pytest.mark.parametrize("ratios", [(8, 2), (5, 3), (3, 2, 3), (2, 8)])
@pytest.mark.parametrize("frames", ["least", 11])
def test_shapes(ratios, frames):
    hop = torch.tensor(ratios).prod().item()
    model = tiny_melgan(mel=MEL | dict(hop_length=hop, framing="center"), ratios=ratios, blocks=3)
    frames = model.min_frames if frames == "least" else frames
    audio = model(torch.randn(2, 8, frames))
    assert audio.shape == (2, 1, frames * hop)
    assert audio.abs().max() < 1
    with pytest.raises(RuntimeError, match=r"[Pp]adding"):
        model(torch.randn(2, 8, model.min_frames - 1))


def test_torchs_initialisation_is_kept():
    """Uniform weights with a deviation of sqrt(1 / (3 fan_in)), and the norm that weight norm takes from them."""
    conv = MelGAN().generator.model[1]
    assert conv.weight.std().item() == pytest.approx((1 / (3 * 80 * 7)) ** 0.5, rel=0.02)
    assert torch.allclose(conv.parametrizations.weight.original0, conv.weight.norm(dim=(1, 2), keepdim=True))


# ---- the receptive field


@pytest.mark.parametrize("ratios, blocks", [((8, 8, 2, 2), 3), ((5, 3), 2), ((4, 4, 4), 1), ((2, 2, 2, 2, 2), 3)])
def test_receptive_field_by_gradient(ratios, blocks):
    hop = torch.tensor(ratios).prod().item()
    mel = MEL | dict(hop_length=hop, n_fft=256, win_length=256, framing="center")
    model = tiny_melgan(mel=mel, ratios=ratios, blocks=blocks, width=1)
    frames, middle = 61, 30
    x = torch.randn(1, 8, frames, requires_grad=True)
    model(x)[..., middle * hop : (middle + 1) * hop].square().sum().backward()
    touched = x.grad.abs().sum((0, 1)).nonzero().flatten()
    assert (touched.min().item(), touched.max().item()) == (
        middle - model.receptive_frames,
        middle + model.receptive_frames,
    )
    if (ratios, blocks) == ((8, 8, 2, 2), 3):
        assert model.receptive_frames == 6


# ---- losses and the order of a step


class Judge(torch.nn.Module):
    """A discriminator of two scales whose logits and maps are the audio's mean, scaled."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.calls: list[float] = []

    def forward(self, audio):
        self.calls.append(self.scale.item())
        h = self.scale * audio.mean(-1, keepdim=True)
        return [(h, [h, 2 * h]), (2 * h, [3 * h, h])]


def one_step(model: MelGAN, audio: float) -> tuple[list[dict[str, float]], Judge]:
    """A batch of constants: G says 0.25, what is real is ``audio``."""
    model.discriminator, log = Judge(), Log()
    with torch.no_grad():
        last = model.generator.model[-2]
        last.parametrizations.weight.original0.zero_()
        last.bias.fill_(torch.tensor(0.25).atanh())
    data = TinyMels(model, count=4)
    data.examples = [(mel, torch.full_like(real, audio)) for mel, real in data.examples]
    fit(model, data, logger=log, max_steps=1)
    return log.lines, model.discriminator


@pytest.mark.parametrize("fm_scale, factor", [("official", 4 / (3 - 2) / 2), ("paper", 1)])
def test_losses_by_hand(fm_scale, factor):
    """D's logits are 1 and 2 times the mean at its two scales; its maps 1, 2, 3 and 1 times."""
    lines, judge = one_step(tiny_melgan(fm_scale=fm_scale), 0.5)
    merged = {key: value for line in lines for key, value in line.items()}
    assert merged["train/loss_d"] == pytest.approx((1 + 0.25) + (1 + 0.5) + (1 - 0.5) + (1 - 1), abs=1e-6)
    # Adam's first step is the rate, against the gradient, which is 0.25 + 0.5 - 0.5 where the hinges are open.
    assert judge.scale.item() == pytest.approx(0.9999, abs=1e-6)
    assert merged["train/loss_g_adversarial"] == pytest.approx(-(0.25 + 0.5) * 0.9999, abs=1e-6)
    gap = 0.5 - 0.25 * 0.9999  # what is real was judged before the update
    gaps = gap + 2 * gap + 3 * gap + gap
    assert merged["train/loss_g_features"] == pytest.approx(gaps * factor, abs=1e-6)
    total = merged["train/loss_g_adversarial"] + 10 * merged["train/loss_g_features"]
    assert merged["train/loss_g"] == pytest.approx(total, abs=1e-5)


def test_order_of_a_step():
    """G once; D on both, then on the fake again with new weights."""
    model = tiny_melgan()
    forward = mock.Mock(wraps=model.generator.forward)
    model.generator.forward = forward
    _, judge = one_step(model, 0.5)
    assert forward.call_count == 1
    assert judge.calls == [1.0, pytest.approx(0.9999)]


@pytest.mark.parametrize(
    "options, message",
    [
        (
            dict(ratios=(8, 4)),
            r"8,4 make 8 x 4 = 32 samples per frame, and the hop_length of mel melgan is 16; use 8,2",
        ),
        (dict(fm_scale="mean"), "unknown fm_scale 'mean'; expected official or paper"),
    ],
)
def test_impossible_arguments(options, message):
    with pytest.raises(InputError, match=message):
        tiny_melgan(**options)


# ---- training


def test_two_steps_change_all_weights():
    model, gradients = tiny_melgan(), Gradients()
    before = weights(model)
    fit(model, TinyMels(model), [gradients])
    assert set(gradients.largest) == set(before)
    last = {f"discriminator.discriminators.{i}.layers.6.bias" for i in range(3)}  # cancel while all hinges are open
    assert {key for key, largest in gradients.largest.items() if largest == 0} <= last
    after = weights(model)
    assert all(value.isfinite().all() for value in after.values())
    assert {key for key in after if torch.equal(after[key], before[key])} <= last


def test_resumed_is_uninterrupted(tmp_path):
    straight = tiny_melgan()
    saver = SaveAfter(tmp_path / "mid.ckpt", 2)
    trainer = fit(straight, TinyMels(straight, batch_size=8), [saver], max_steps=4)
    assert trainer.global_step == 4
    resumed = tiny_melgan()
    with torch.no_grad():
        for tensor in resumed.parameters():
            tensor.add_(1)  # everything has to come from the file
    fit(resumed, TinyMels(resumed, batch_size=8), resume=saver.path, max_steps=4)
    torch.testing.assert_close(state(resumed), state(straight), rtol=0, atol=0)


def test_generate_takes_the_mel_alone():
    model = tiny_melgan()
    mel = torch.randn(2, 8, 9)
    assert torch.equal(model.generate(MelBatch(mel, sounds(2, 9))), model.generator(mel))
