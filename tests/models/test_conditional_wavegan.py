import pytest
import torch
from torch import nn

from lightning_gans.models import ConditionalWaveGAN

TINY = dict(num_classes=3, length=256, width=2, latent_dim=4, phase_shuffle=0)


def test_sizes_of_the_paper():
    with torch.device("meta"):
        model = ConditionalWaveGAN()
    assert model.generator.project.in_features == 90 + 10
    assert [layer.stride[0] for layer in model.generator.up] == [4, 4, 4, 4, 2]
    assert model.discriminator.down[0].in_channels == 1 + 10


@pytest.mark.parametrize("projection", [False, True])
def test_labels_count_in_both_networks(projection):
    model = ConditionalWaveGAN(**TINY, projection=projection)
    z, label = model.prior(2), model.conditions(torch.tensor([0, 2]))
    other = model.conditions(torch.tensor([1, 2]))
    audio = model(z, label)
    same = (model(z, other) == audio).flatten(1).all(1)
    assert same.tolist() == [False, True]
    assert (model.discriminator(audio, other) == model.discriminator(audio, label)).flatten().tolist() == [False, True]
    channels = model.discriminator.down[0].in_channels
    assert channels == (1 if projection else 4)
    assert model.sample(6, label=1, seed=0).shape == (6, 1, 256)


def test_the_projection_by_hand():
    model = ConditionalWaveGAN(**TINY, projection=True)
    audio, label = torch.randn(2, 1, 256), torch.eye(3)[:2]
    features = []
    model.discriminator.down[-1].register_forward_hook(lambda _, __, out: features.append(out))
    logits = model.discriminator(audio, label)
    h = nn.functional.leaky_relu(features[0], 0.2)
    weight, bias = model.discriminator.output.weight, model.discriminator.output.bias
    flat = torch.stack([h[:, :, step] for step in range(16)], 1).reshape(2, -1)  # time before channels
    embedded = model.discriminator.embedding.weight.T[:2]
    expected = flat @ weight.T + bias + (embedded * h.mean(2)).sum(1, keepdim=True)
    torch.testing.assert_close(logits, expected)
