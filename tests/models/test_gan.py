import math

import pytest
import torch
from helpers.tiny_runs import Log, TinyImages, build, fit, parameter_count, weights
from lightning import Callback, Trainer
from torch.utils.data import DataLoader

from lightning_gans.data.batches import ImageBatch
from lightning_gans.errors import InputError
from lightning_gans.models import GAN
from lightning_gans.models.gan import Maxout, sgd


def without_dropout(x, p, training):
    return x


def test_parameter_counts():
    model = GAN()
    assert parameter_count(model.generator) == 2_503_984
    assert parameter_count(model.discriminator) == 1_231_441


def test_momentum_after_a_first_step_that_overflows_in_fp16():
    plain, scaled = (torch.nn.Linear(2, 1) for _ in range(2))
    scaled.load_state_dict(plain.state_dict())
    expected, optimizer = torch.optim.SGD(plain.parameters(), 0.1, 0.5), sgd(scaled, 0.1, 0.5)
    scaler = torch.amp.GradScaler("cpu")
    for size in (torch.inf, 1.0, 1.0):
        optimizer.zero_grad()
        scaler.scale(scaled(torch.full((1, 2), size)).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    for _ in range(2):
        expected.zero_grad()
        plain(torch.ones(1, 2)).sum().backward()
        expected.step()
    torch.testing.assert_close(scaled.state_dict(), plain.state_dict())


def test_initialization():
    model = GAN()
    for network, bound in ((model.generator, 0.05), (model.discriminator, 0.005)):
        for name, tensor in network.named_parameters():
            if name.endswith("bias"):
                assert not tensor.any()
            elif tensor.numel() > 1000:
                assert bound * 0.99 < tensor.abs().max() <= bound
                assert tensor.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_prior_has_unit_variance():
    z = GAN(hidden=8).prior(10_000)
    assert z.shape == (10_000, 100)
    assert 1.732 < z.max() < 1.7321 and -1.7321 < z.min() < -1.732  # sqrt 3
    assert z.mean().abs() < 0.005
    assert z.var().item() == pytest.approx(1, abs=0.005)


def test_maxout():
    layer = Maxout(1, units=2, pieces=2)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.tensor([[1.0], [-1.0], [2.0], [0.0]]))
        layer.linear.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 1.0]))
    # max(x, -x) and max(2 x, 1)
    assert layer(torch.tensor([[3.0], [-4.0], [0.25]])).tolist() == [[3, 6], [4, 1], [0.25, 1]]


def test_dropout_is_on_every_input_of_the_discriminator(monkeypatch):
    seen = []
    monkeypatch.setattr("lightning_gans.models.gan.dropout", lambda x, p, training: seen.append((p, training)) or x)
    network = build("gan").discriminator
    network(torch.zeros(1, 1024))
    network.eval()(torch.zeros(1, 1024))
    assert seen == [(0.2, True), (0.5, True), (0.5, True), (0.2, False), (0.5, False), (0.5, False)]


def test_both_updates_start_from_the_same_parameters(monkeypatch):
    """One step against the same step written by hand: dropout off, momentum has no effect on a first step."""
    monkeypatch.setattr("lightning_gans.models.gan.dropout", without_dropout)
    z = torch.randn(4, 4)
    monkeypatch.setattr(GAN, "prior", lambda self, num, generator=None: z)
    monkeypatch.setattr("lightning_gans.models.gan.bias_to_mean_image", lambda *_: None)
    model, data = build("gan"), TinyImages(batch_size=4, count=4)
    g, d = (dict(network.named_parameters()) for network in (model.generator, model.discriminator))
    real = (data.splits["train"].image / 255).flatten(1)

    fake = model.generator(z)
    logit_real, logit_fake = model.discriminator(real), model.discriminator(fake)
    loss_d = -0.5 * (logit_real.sigmoid().log() + (1 - logit_fake.sigmoid()).log()).mean()
    loss_g = -logit_fake.sigmoid().log().mean()
    expected_d = {
        k: p - 0.1 * grad
        for (k, p), grad in zip(d.items(), torch.autograd.grad(loss_d, d.values(), retain_graph=True), strict=True)
    }
    expected_g = {
        k: p - 0.1 * grad for (k, p), grad in zip(g.items(), torch.autograd.grad(loss_g, g.values()), strict=True)
    }

    fit(model, data, logger=(log := Log()), max_steps=1)
    torch.testing.assert_close(weights(model.generator), expected_g)
    torch.testing.assert_close(weights(model.discriminator), expected_d)
    assert log.lines[0]["train/loss_d"] == pytest.approx(loss_d.item())
    assert log.lines[0]["train/loss_g"] == pytest.approx(loss_g.item())
    assert loss_d.item() == pytest.approx(math.log(2), rel=1e-3)  # an indifferent D: half of log 4


class Schedules(Callback):
    def __init__(self):
        self.lr, self.momentum = [], []

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.lr.append(optimizer.param_groups[0]["lr"])
        self.momentum.append(optimizer.param_groups[0]["momentum"])


def test_learning_rate_falls_with_every_update_down_to_a_floor():
    model = GAN((1, 32, 32), latent_dim=4, hidden=8, units=6, pieces=2, lr_decay=10, min_lr=3e-4)
    fit(model, callbacks=[schedules := Schedules()], max_steps=5)
    assert schedules.lr[::2] == pytest.approx([0.1, 0.01, 0.001, 3e-4, 3e-4])
    assert schedules.lr[1::2] == schedules.lr[::2]


def test_learning_rate_of_the_paper():
    optimizer = GAN(hidden=8).configure_optimizers()[1][0]
    rate = optimizer.lr_lambdas[0]
    assert 0.1 * rate(125_000) == pytest.approx(0.0607, abs=5e-5)  # 250 epochs of 500 updates
    assert rate(173_287) == pytest.approx(0.5, abs=1e-5)
    assert 0.1 * rate(2_878_236) > 1e-6 and 0.1 * rate(2_878_238) == pytest.approx(1e-6)


@pytest.mark.parametrize(
    "epochs, expected",
    [(5, [0.5, 0.5, 0.55, 0.6, 0.65, 0.7, 0.7]), (2, [0.5, 0.5, 0.7, 0.7]), (1, [0.5, 0.7, 0.7])],
)
def test_momentum_rises_between_epochs_1_and_n(epochs, expected):
    model = GAN((1, 32, 32), latent_dim=4, hidden=8, units=6, pieces=2, momentum_epochs=epochs)
    fit(model, callbacks=[schedules := Schedules()], max_steps=-1, max_epochs=len(expected), limit_train_batches=1)
    assert schedules.momentum[::2] == pytest.approx(expected)
    assert schedules.momentum[1::2] == schedules.momentum[::2]


class Untrained(Callback):
    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if module.batches_seen == 0:
            self.bias = module.generator.output.bias.detach().clone()


def test_output_bias_is_the_logit_of_the_mean_image():
    data = TinyImages()
    image = data.splits["train"].image
    image[:, :, :2] = torch.tensor([0, 255])[:, None]  # pixels that never change
    mean = image.double().flatten(1).mean(0) / 255
    model = build("gan")
    fit(model, data, [untrained := Untrained()])
    torch.testing.assert_close(untrained.bias.sigmoid().double()[64:], mean[64:], atol=1e-6, rtol=0)
    torch.testing.assert_close(untrained.bias[:32], torch.full((32,), math.log(0.001 / 0.999)), atol=1e-3, rtol=0)
    torch.testing.assert_close(untrained.bias[32:64], torch.full((32,), math.log(999.0)), atol=1e-3, rtol=0)
    # a second run keeps what was learned
    trained = model.generator.output.bias.detach().clone()
    fit(model, data, [untrained := Untrained()])
    torch.testing.assert_close(untrained.bias, trained, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["gan", "cgan"])
def test_output_bias_where_the_loader_gives_floats(name):
    """Images in [-1, 1] of a user's own loader, without a DataModule: the mean is theirs, not a 255th of it."""
    image = torch.rand(8, 1, 32, 32)
    batches = [ImageBatch(2 * half - 1, torch.zeros(4, dtype=torch.long)) for half in image.split(4)]
    model = build(name)
    trainer = Trainer(accelerator="cpu", max_steps=1, logger=False, enable_checkpointing=False, callbacks=[Untrained()])
    trainer.fit(model, DataLoader(batches, batch_size=None))
    expected = image.mean(0).flatten()
    torch.testing.assert_close(trainer.callbacks[0].bias.sigmoid(), expected, atol=1e-6, rtol=1e-4)


def test_minimax_trains():
    model = GAN((1, 32, 32), latent_dim=4, hidden=32, units=6, pieces=2, loss="minimax")
    before = weights(model)
    fit(model, logger=(log := Log()))
    after = weights(model)
    assert all(tensor.isfinite().all() and not torch.equal(before[key], tensor) for key, tensor in after.items())
    assert log.lines[0]["train/loss_g"] == pytest.approx(-math.log(2), rel=1e-2)  # log(1 - 1/2)


def test_unknown_loss():
    with pytest.raises(InputError, match="unknown loss 'non_saturatin'; expected non_saturating or minimax"):
        GAN(loss="non_saturatin")


def test_generate_makes_one_image_per_example():
    model = build("gan")
    images = model.generate(ImageBatch(torch.zeros(3, 1, 32, 32), torch.zeros(3)))
    assert images.shape == (3, 1, 32, 32)
    # the sigmoid's (0, 1) on [-1, 1], pixels in the order of rows
    z = torch.randn(2, 4)
    torch.testing.assert_close(model(z).flatten(1), 2 * model.generator(z) - 1)
