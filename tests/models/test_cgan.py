import pytest
import torch
from helpers.tiny_runs import CLASSES, Log, TinyImages, build, fit, parameter_count, weights

from lightning_gans.errors import InputError
from lightning_gans.models import CGAN


def test_parameter_counts():
    model = CGAN()
    assert parameter_count(model.generator) == 2_413_984
    assert parameter_count(model.discriminator) == 1_224_351


def test_priors():
    z, masks = CGAN((1, 4, 4)).prior(1_000).split([100, 2_400], 1)
    assert 0 <= z.min() < 1e-4 and 1 - 1e-4 < z.max() <= 1
    assert z.mean().item() == pytest.approx(0.5, abs=0.005)
    assert masks.unique().tolist() == [0, 2]
    assert masks.mean().item() == pytest.approx(1, abs=0.005)
    assert CGAN((1, 4, 4), generator_dropout=0.2).prior(100)[:, 100:].unique().tolist() == [0, 1.25]
    assert CGAN((1, 4, 4), generator_dropout=0.0).prior(100)[:, 100:].unique().tolist() == [1]
    with pytest.raises(InputError, match="generator_dropout is 1; expected a number below 1"):
        CGAN((1, 4, 4), generator_dropout=1)


def test_the_label_changes_the_image():
    model = build("cgan")
    z = model.prior(1).expand(CLASSES, -1)
    images = model.sample_from(z, torch.eye(CLASSES))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (images[one] - images[other]).abs().max() > 0.01
    torch.testing.assert_close(model.sample_from(z, torch.eye(CLASSES)[[1] * 3]), images[[1] * 3])


def test_the_discriminator_looks_at_the_label():
    network = build("cgan").discriminator.eval()
    logits = network(torch.full((CLASSES, 1024), 0.5), torch.eye(CLASSES))
    assert logits.shape == (CLASSES, 1)
    assert logits.unique().numel() == CLASSES


def test_dropout(monkeypatch):
    seen = []
    monkeypatch.setattr("lightning_gans.models.cgan.dropout", lambda x, p, training: seen.append((p, training)) or x)
    build("cgan").discriminator(torch.zeros(1, 1024), torch.eye(CLASSES)[:1])
    assert seen == [(0.2, True), (0.5, True), (0.5, True)]


def test_masks_drop_units_of_both_hidden_layers():
    network = build("cgan").generator
    z, label = torch.rand(1, 4), torch.eye(CLASSES)[:1]
    nothing = network(torch.cat([z, torch.zeros(1, 2_400)], 1), label)
    torch.testing.assert_close(nothing, network.output.bias.sigmoid()[None])
    first_only = torch.cat([z, torch.zeros(1, 1_200), torch.ones(1, 1_200)], 1)
    from_biases = network.output(network.combined.bias.relu())[None].sigmoid()
    torch.testing.assert_close(network(first_only, label), from_biases)
    h = torch.cat([network.latent(z), network.label(label)], 1).relu()
    expected = network.output(2 * network.combined(2 * h).relu()).sigmoid()
    torch.testing.assert_close(network(torch.cat([z, torch.full((1, 2_400), 2.0)], 1), label), expected)


def test_learning_rate_of_the_paper():
    rate = CGAN((1, 4, 4)).configure_optimizers()[1][0].lr_lambdas[0]
    assert rate(17_329) == pytest.approx(0.5, abs=1e-5)  # ten times as fast as the GAN's
    assert 0.1 * rate(287_827) > 1e-6 and 0.1 * rate(287_830) == pytest.approx(1e-6)


def test_one_step_by_hand(monkeypatch):
    """Both networks get the labels of the real batch, and both gradients are taken at the same parameters."""
    monkeypatch.setattr("lightning_gans.models.cgan.dropout", lambda x, p, training: x)
    monkeypatch.setattr("lightning_gans.models.cgan.bias_to_mean_image", lambda *_: None)
    z = torch.cat([torch.rand(4, 4), torch.ones(4, 2_400)], 1)
    monkeypatch.setattr(CGAN, "prior", lambda self, num, generator=None: z)
    model, data = build("cgan"), TinyImages(batch_size=4, count=4)
    order = torch.tensor([3, 1, 0, 2])
    monkeypatch.setattr("lightning_gans.data.loading.ResumableSampler.__iter__", lambda self: iter(order.tolist()))
    real, label = (data.splits["train"].image[order] / 255).flatten(1), torch.eye(CLASSES)[torch.arange(4) % 3][order]

    fake = model.generator(z, label)
    logit_real, logit_fake = model.discriminator(real, label), model.discriminator(fake, label)
    loss_d = -0.5 * (logit_real.sigmoid().log() + (1 - logit_fake.sigmoid()).log()).mean()
    loss_g = -logit_fake.sigmoid().log().mean()
    expected = {}
    for name, network, loss in (("generator", model.generator, loss_g), ("discriminator", model.discriminator, loss_d)):
        gradients = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
        for (key, parameter), gradient in zip(network.named_parameters(), gradients, strict=True):
            expected[f"{name}.{key}"] = parameter.detach() - 0.1 * gradient

    fit(model, data, logger=(log := Log()), max_steps=1)
    torch.testing.assert_close(weights(model), expected)
    assert log.lines[0]["train/loss_d"] == pytest.approx(loss_d.item())
