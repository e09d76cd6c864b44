import pytest
import torch
from helpers.tiny_runs import Gradients, TinyImages, build, fit, parameter_count, weights
from lightning import Callback
from torch import nn

from lightning_gans.errors import InputError
from lightning_gans.models import DCGAN
from lightning_gans.models.dcgan import sizes

TINY = dict(channels=1, latent_dim=4, width=4)


@pytest.mark.parametrize(
    "options, generator, discriminator",
    [
        (dict(), 18_885_760, 17_232_768),
        (dict(preset="torch"), 3_576_704, 2_765_568),
        (dict(preset="torch", channels=1), 3_574_656, 2_763_520),
        (dict(preset="torch", width=128), 12_658_432, 11_036_160),
    ],
)
def test_parameter_counts(options, generator, discriminator):
    with torch.device("meta"):
        model = DCGAN(**options)
    assert (parameter_count(model.generator), parameter_count(model.discriminator)) == (generator, discriminator)


@pytest.mark.parametrize("preset", ["paper", "torch"])
def test_architecture(preset):
    """Section 3: batch norm everywhere but at G's output and D's input; no biases; ReLU, tanh; leaky ReLU of 0.2."""
    model = DCGAN(preset, **TINY)
    shorthand = {nn.BatchNorm1d: "n", nn.BatchNorm2d: "n", nn.ReLU: "r", nn.LeakyReLU: "l", nn.Tanh: "t"}
    shorthand |= {nn.Linear: "f", nn.Conv2d: "c", nn.ConvTranspose2d: "u", nn.Flatten: "", nn.Unflatten: ""}
    generator, discriminator = (
        "".join(shorthand[type(m)] for m in net) for net in (model.generator, model.discriminator)
    )
    assert generator == ("fnr" if preset == "paper" else "unr") + 3 * "unr" + "ut"
    assert discriminator == "cl" + 3 * "cnl" + ("f" if preset == "paper" else "c")
    for layer in model.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            assert layer.bias is None
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            assert layer.kernel_size == ((5, 5) if preset == "paper" else (4, 4))
        if isinstance(layer, nn.LeakyReLU):
            assert layer.negative_slope == 0.2
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            assert layer.eps == (1e-8 if preset == "paper" else 1e-5)
    assert next(m for m in model.generator if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))).num_features == (
        32 * 16 if preset == "paper" else 32
    )


@pytest.mark.parametrize("preset, size", [("paper", 28), ("paper", 32), ("paper", 64), ("torch", 32), ("torch", 64)])
def test_sizes(preset, size):
    model = DCGAN(preset, size, **TINY)
    images = model(model.prior(2))
    assert images.shape == (2, 1, size, size)
    assert images.abs().max() <= 1
    assert model.discriminator(images).shape == (2, 1)
    shapes = {28: [28, 14, 7, 4], 32: [32, 16, 8, 4], 64: [64, 32, 16, 8, 4]}
    assert sizes(size) == shapes[size]


@pytest.mark.parametrize(
    "preset, size, message",
    [
        ("paper", 48, r"image_size 48 does not halve down to 4 \(it gives 48, 24, 12, 6, 3\); use 28, 32, 64 or 128"),
        ("torch", 20, r"image_size 20 does not halve down to 4 \(it gives 20, 10, 5, 3\)"),
        ("paper", 8, r"image_size 8 does not halve down to 4"),
        ("torch", 28, "image_size 28 is no multiple of 32 for 4x4 kernels; use preset paper, or 32"),
    ],
)
def test_impossible_sizes(preset, size, message):
    with pytest.raises(InputError, match=message):
        DCGAN(preset, size, **TINY)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(preset="theano"), "unknown preset 'theano'; expected paper or torch"),
        (dict(loss="wasserstein"), "unknown loss 'wasserstein'; expected non_saturating or hinge or least_squares"),
    ],
)
def test_unknown_names(options, message):
    with pytest.raises(InputError, match=message):
        DCGAN(**options, **TINY)


@pytest.mark.parametrize("preset", ["paper", "torch"])
def test_initialization(preset):
    model = DCGAN(preset, 32, channels=1, width=32)
    gains = []
    for name, tensor in model.named_parameters():
        if name.endswith("bias"):
            assert not tensor.any(), name
        elif tensor.dim() > 1:
            if tensor.numel() > 5000:
                assert tensor.std().item() == pytest.approx(0.02, rel=0.05), name
        else:
            gains.append(tensor)
    gains = torch.cat(gains)
    assert gains.mean().item() == pytest.approx(1, abs=0.005)
    assert gains.std().item() == pytest.approx(0.02, rel=0.15)


def test_priors():
    uniform, normal = DCGAN("paper", **TINY).prior(20_000), DCGAN("torch", **TINY).prior(20_000)
    assert 0.999 < uniform.max() <= 1 and -1 <= uniform.min() < -0.999
    assert uniform.std().item() == pytest.approx(3**-0.5, abs=0.005)
    assert normal.max() > 3 and normal.std().item() == pytest.approx(1, abs=0.01)


def test_optimizers():
    for preset, weight_decay in (("paper", 1e-5), ("torch", 0)):
        for optimizer in DCGAN(preset, **TINY).configure_optimizers():
            assert type(optimizer) is torch.optim.Adam
            group = optimizer.param_groups[0]
            assert (group["lr"], group["betas"], group["weight_decay"]) == (2e-4, (0.5, 0.999), weight_decay)
    two_rates = DCGAN(lr=1e-4, lr_d=4e-4, weight_decay=0.0, **TINY).configure_optimizers()
    assert [o.defaults["lr"] for o in two_rates] == [1e-4, 4e-4]
    assert [o.defaults["weight_decay"] for o in two_rates] == [0, 0]
    # a 0 that is meant: D stands still
    assert [o.defaults["lr"] for o in DCGAN(lr_d=0.0, **TINY).configure_optimizers()] == [2e-4, 0]


class Moved(Callback):
    """Which of the networks each batch changed."""

    def on_train_start(self, trainer, module):
        self.moved, self.before = [], self.values(module)

    def on_train_batch_end(self, trainer, module, *_):
        after = self.values(module)
        self.moved.append("".join(p for p, a, b in zip("gd", after, self.before, strict=True) if not torch.equal(a, b)))
        self.before = after

    def values(self, module):
        return [torch.cat([p.detach().flatten() for p in network.parameters()]) for network in module.children()]


def test_the_networks_take_turns():
    moved = Moved()
    trainer = fit(build("dcgan_paper"), TinyImages(count=20), [moved], max_steps=-1, max_epochs=2)
    # five batches per epoch: the turns go on across its end
    assert moved.moved == ["g", "d"] * 5
    assert trainer.global_step == 5
    moved = Moved()
    fit(build("dcgan_torch"), callbacks=[moved], max_steps=3)
    assert moved.moved == ["gd"] * 3


@pytest.mark.parametrize("loss", ["non_saturating", "hinge", "least_squares"])
def test_each_loss_takes_a_step(loss):
    model = DCGAN("torch", 32, **TINY, loss=loss)
    before = weights(model)
    fit(model, callbacks=[gradients := Gradients()], max_steps=2)
    assert set(gradients.largest) == set(before)
    assert all(
        tensor.isfinite().all() and not torch.equal(before[key], tensor) for key, tensor in weights(model).items()
    )
