import math
from types import SimpleNamespace

import pytest
import torch
from helpers.tiny_runs import (
    CLASSES,
    SIZE,
    Gradients,
    Log,
    SaveAfter,
    TinyImages,
    build,
    fit,
    parameter_count,
    state,
    weights,
)
from lightning import Callback
from torch import nn

from lightning_gans.errors import InputError
from lightning_gans.models import ControlGAN, LogitControlGAN

TINY = dict(image_size=SIZE, channels=1, num_classes=CLASSES, labels="class", latent_dim=4, width=4)

both_forms = pytest.mark.parametrize("form", [ControlGAN, LogitControlGAN])


def conv(c_in: int, c_out: int) -> int:
    """Weights and biases of a 5x5 convolution."""
    return 25 * c_in * c_out + c_out


def test_parameter_counts():
    with torch.device("meta"):
        model = ControlGAN()
    norms = 2 * (64 + 128 + 256 + 512)
    down = conv(3, 64) + conv(64, 128) + conv(128, 256) + conv(256, 512)
    up = conv(512, 256) + conv(256, 128) + conv(128, 64) + conv(64, 3)
    # z of 128 and 40 attributes to 512 channels of 4x4
    generator = (128 + 40 + 1) * 512 * 16 + up + norms
    assert parameter_count(model.generator) == generator == 5_692_419
    assert parameter_count(model.discriminator) == down + up == 8_612_611
    assert parameter_count(model.classifier) == down + norms + 512 * 16 * 40 + 40 == 4_636_200


@pytest.mark.parametrize("size, layers", [(28, 3), (32, 3), (64, 4)])
@both_forms
def test_architecture(size, layers, form):
    model, autoencoding = form(**TINY | dict(image_size=size)), form is ControlGAN
    image = model(model.prior(2), torch.eye(CLASSES)[:2])
    assert image.shape == (2, 1, size, size)
    assert image.abs().max() <= 1
    assert model.classifier(image).shape == (2, CLASSES)
    assert model.discriminator(image).shape == ((2, 1, size, size) if autoencoding else (2, 1))

    def count(network: nn.Module, kind: type) -> int:
        return sum(isinstance(layer, kind) for layer in network.modules())

    assert count(model.generator, nn.ConvTranspose2d) == count(model.classifier, nn.Conv2d) == layers
    assert count(model.discriminator, nn.Conv2d) == layers
    assert count(model.discriminator, nn.ConvTranspose2d) == (layers if autoencoding else 0)
    assert count(model.classifier, nn.Linear) == 1


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(image_size=40), r"image_size 40 does not halve down to 4 \(it gives 40, 20, 10, 5, 3\)"),
        (dict(labels="classes"), "unknown labels 'classes'; expected class or attributes"),
    ],
)
@both_forms
def test_wrong_arguments(form, options, message):
    with pytest.raises(InputError, match=message):
        form(**TINY | options)


# ---- the controllers


def alone(model: ControlGAN) -> ControlGAN:
    """Outside of a run: one process, no log."""
    model._trainer = SimpleNamespace(strategy=SimpleNamespace(reduce=lambda tensor, reduce_op: tensor))
    model.log_dict = lambda values: None
    return model


def gammas(pairs: list[tuple[float, float]], **options) -> list[float]:
    model = alone(ControlGAN(**TINY | dict(num_classes=10) | options))
    after = []
    for loss_fake, loss_real in pairs:
        model.control(torch.tensor(loss_fake), torch.tensor(loss_real))
        after.append(model.gamma.item())
    return after


def test_gamma():
    pairs = [(2.3, 2.3), (2.0, 1.0), (1.5, 0.5), (0.2, 0.5)]
    assert gammas(pairs) == pytest.approx([0, 0.001, 0.002, 0.0017], abs=1e-9)
    # E = 1/2 aims at fakes that are easier than real images
    assert gammas([(1.0, 1.0), (1.0, 2.0)], equilibrium=0.5) == pytest.approx([0.0005, 0.0005])
    # clipped at both ends, without a memory of what lies beyond
    assert gammas([(0.5, 2.0), (3.0, 0.0), (3.0, 0.0), (0.0, 0.5)], gamma_rate=1.0) == [0, 2, 2, 1.5]
    assert gammas([(3.0, 0.0)], gamma_rate=1.0, gamma_max=20) == [3]


def test_gamma_waits_for_a_classifier_that_is_better_than_chance():
    assert gammas([(3.0, 2.31), (3.0, 2.29)]) == pytest.approx([0, 0.00071])  # log 10 = 2.303
    assert gammas([(3.0, 0.70), (3.0, 0.69)], labels="attributes") == pytest.approx([0, 0.00231])  # log 2 = 0.693
    assert gammas([(float("nan"), float("nan"))]) == [0]


def test_balance():
    model = alone(ControlGAN(**TINY))
    after = []
    for error_real, error_fake in [(0.4, 0.1), (0.4, 0.1), (0.2, 0.25), (0.2, 0.5)]:
        model.keep_balance(torch.tensor(error_real), torch.tensor(error_fake))
        after.append(model.balance.item())
    assert after == pytest.approx([0.0001, 0.0002, 0.00005, 0], abs=1e-9)
    # M = 0.4 + 0.1, twice, 0.2 + 0.15, 0.2 + 0.4
    assert model.measure.tolist() == pytest.approx([1.95, 4])
    model = alone(ControlGAN(**TINY, balance_rate=10.0, diversity=0.7))
    model.keep_balance(torch.tensor(0.5), torch.tensor(0.1))
    assert model.balance.item() == 1


def test_the_losses_of_a_run():
    """What a run logs, put together again from its parts: G with gamma, gamma's controller, BEGAN's D and measure."""
    model, log = ControlGAN(**TINY, gamma_rate=0.5, balance_rate=0.5, lr_c=1e-2, lr_g=1e-3, lr_d=1e-3), Log()
    fit(model, TinyImages(count=32), logger=log, max_steps=8)
    gamma = balance = 0.0
    for line in log.lines:
        line = {key.removeprefix("train/"): value for key, value in line.items()}
        assert line["loss_g"] == pytest.approx(line["loss_g_adversarial"] + gamma * line["loss_g_classes"], rel=1e-5)
        if line["loss_c"] < math.log(CLASSES):
            gamma = min(max(gamma + 0.5 * (line["loss_g_classes"] - line["loss_c"]), 0), 2)
        assert line["gamma"] == pytest.approx(gamma, rel=1e-4)
        if balance == 0:  # then D's loss is the reconstruction error of the real images
            gap = 0.5 * line["loss_d"] - line["loss_g_adversarial"]
            assert line["convergence"] == pytest.approx(line["loss_d"] + abs(gap), rel=1e-5)
            assert line["balance"] == pytest.approx(max(0.5 * gap, 0), rel=1e-4, abs=1e-8)
        balance = line["balance"]
    assert gamma > 0
    assert model.gamma.item() == pytest.approx(gamma, rel=1e-4)


def test_the_controllers_are_in_the_checkpoint(tmp_path):
    model = ControlGAN(**TINY, gamma_rate=0.5, balance_rate=0.5, lr_c=1e-2)
    fit(model, callbacks=[SaveAfter(path := tmp_path / "model.ckpt", batches=7)], max_steps=7)
    saved = torch.load(path, weights_only=True)["state_dict"]
    assert saved["gamma"] > 0
    again = ControlGAN.load_from_checkpoint(path, weights_only=True)
    for key in ("gamma", "balance"):
        assert torch.equal(getattr(again, key), getattr(model, key)), key
        assert torch.equal(saved[key], getattr(model, key)), key
    assert again.measure[1] == 3  # batches of this epoch


class Rates(Callback):
    def __init__(self):
        self.rates = []

    def on_train_epoch_end(self, trainer, module):
        self.rates.append([optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers])


def test_rates_are_halved_when_the_measure_stalls(monkeypatch):
    monkeypatch.setattr(ControlGAN, "keep_balance", lambda self, *_: self.measure.add_(torch.tensor([0.5, 1.0])))
    model = ControlGAN(**TINY, patience=1, lr_g=8e-4, lr_d=4e-4, lr_c=2e-4)
    fit(model, callbacks=[rates := Rates()], max_steps=-1, max_epochs=6, limit_train_batches=2)
    # the first epoch is the best, two more make it worse than patience allows
    assert [epoch[0] for epoch in rates.rates] == pytest.approx([8e-4, 8e-4, 8e-4, 4e-4, 4e-4, 2e-4])
    assert rates.rates[-1] == pytest.approx([2e-4, 1e-4, 5e-5])
    assert model.measure.tolist() == [1, 2]  # the last epoch's


# ---- labels and the classifier


def test_labels_act_linearly_on_the_first_layer():
    model = build("controlgan").eval()
    z, label = torch.randn(1, 4).expand(4, -1), torch.tensor([[0.0, 1.0, 0.0]])
    strength = torch.tensor([0.0, 1.0, 0.5, 2.0])[:, None]
    seen = []
    model.generator.layers[0].register_forward_hook(lambda layer, inputs, output: seen.append(output.detach()))
    model.sample_from(torch.cat([z, z[:1]]), torch.cat([strength, -torch.ones(1, 1)]) * label)
    without, once, half, twice, opposite = seen[0]
    effect = once - without
    assert effect.abs().max() > 0.01
    for output, factor in ((half, 0.5), (twice, 2), (opposite, -1)):
        torch.testing.assert_close(output - without, factor * effect, atol=1e-6, rtol=1e-4)


def test_sample_takes_strengths():
    model = build("controlgan")
    rows = torch.tensor([[0.0, 2.0, 0.0], [0.0, -1.0, 0.5]])
    images = model.sample(2, rows, seed=0)
    torch.testing.assert_close(images, model.sample_from(model.latents(2, seed=0), rows), rtol=0, atol=0)


@both_forms
def test_the_classifier_learns_from_real_images_only(form):
    """Other fakes leave its parameters and its batch statistics as they are, bit for bit."""
    runs = []
    for spread in (None, 0.3):
        torch.manual_seed(0)
        model = form(**TINY, lr_c=1e-2)
        if spread:
            for parameter in model.generator.parameters():
                nn.init.normal_(parameter, std=spread)
        if form is ControlGAN:
            model.balance.fill_(0.5)  # k of 0 would hide the fakes from the auto-encoder
        before = weights(model.classifier)
        fit(model, callbacks=[gradients := Gradients()], max_steps=3)
        assert {name for name in gradients.largest if name.startswith("classifier")} == {
            f"classifier.{name}" for name in before
        }
        assert all(not torch.equal(before[name], tensor) for name, tensor in weights(model.classifier).items())
        runs.append(model)
    one, other = runs
    torch.testing.assert_close(state(one.classifier), state(other.classifier), rtol=0, atol=0)
    assert not torch.equal(one.discriminator[0].weight, other.discriminator[0].weight)
    assert {int(v) for k, v in state(one.classifier).items() if k.endswith("num_batches_tracked")} == {3}
    assert one.classifier.training


def test_attributes():
    model = ControlGAN(**TINY | dict(labels="attributes"))
    image, label = torch.rand(2, 1, SIZE, SIZE), torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    model.eval()
    p = model.classifier(image).sigmoid()
    by_hand = -(label * p.log() + (1 - label) * (1 - p).log()).sum() / 6
    assert model.classification_loss(image, label).item() == pytest.approx(by_hand.item(), rel=1e-5)
    model.train()
    before = weights(model)
    fit(model, TinyImages(attributes=True))
    assert all(tensor.isfinite().all() and not torch.equal(before[k], tensor) for k, tensor in weights(model).items())


def test_classes():
    model = build("controlgan").eval()
    image = torch.rand(2, 1, SIZE, SIZE)
    p = model.classifier(image).softmax(1)
    by_hand = -(p[0, 2].log() + p[1, 0].log()) / 2
    loss = model.classification_loss(image, model.conditions(torch.tensor([2, 0])))
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-5)
