"""Models in other processes, and in several threads: whole copies, and nothing of one call in another."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from helpers.tiny_mels import tiny_hifigan
from helpers.tiny_runs import PAPERS, build
from torch import nn

from lightning_gans.errors import InputError
from lightning_gans.models import DCGAN
from lightning_gans.networks.norms import spectral_norm, weight_norm
from lightning_gans.training.modes import evaluating


@pytest.mark.parametrize("name", PAPERS)
def test_every_paper_is_pickled(name):
    module = build(name)
    again = pickle.loads(pickle.dumps(module))
    assert type(again) is type(module) and dict(again.hparams) == dict(module.hparams)
    ours, theirs = module.state_dict(), again.state_dict()
    assert list(ours) == list(theirs) and all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert [name for name, _ in again.named_parameters()] == [name for name, _ in module.named_parameters()]


@pytest.mark.parametrize("norm", [weight_norm, spectral_norm])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_a_copy_is_trained_alone_and_copied_again(norm, copied):
    layer = norm(nn.Conv1d(3, 4, 5))
    x, before = torch.ones(1, 3, 9), layer(torch.ones(1, 3, 9)).detach()
    again = copied(copied(layer.eval()))
    assert torch.equal(again(x), layer(x))
    again(x).sum().backward()
    with torch.no_grad():
        for parameter in again.parameters():
            parameter -= 0.1 * parameter.grad
    assert not torch.equal(again(x), layer(x)) and torch.equal(layer(x), before)
    assert all(parameter.grad is None for parameter in layer.parameters())


def test_a_saved_model_is_loaded_whole(tmp_path):
    model, mel = tiny_hifigan().eval(), torch.full((1, 8, 20), -2.0)
    torch.save(model, tmp_path / "model.pt")
    assert torch.equal(torch.load(tmp_path / "model.pt", weights_only=False).vocode(mel), model.vocode(mel))


def test_threads_draw_alike_and_leave_no_mode_behind():
    model = DCGAN(image_size=16, channels=1, width=4)
    model.train()
    model.discriminator.eval()
    alone = [model.sample(3, seed=seed) for seed in range(8)]
    barrier = Barrier(4)

    def sample(seed: int) -> torch.Tensor:
        if seed < 4:
            barrier.wait()
        return model.sample(3, seed=seed)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(sample, range(8)))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    assert model.training and model.generator.training and not model.discriminator.training


def test_the_last_one_out_restores_the_mode():
    layer = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout())
    layer[1].eval()
    first, second = evaluating(layer), evaluating(layer)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not layer.training and not layer[0].training
    second.__exit__(None, None, None)
    assert layer.training and layer[0].training and not layer[1].training


def test_a_script_is_refused_and_a_trace_is_not():
    model = DCGAN(image_size=16, channels=1, width=4).eval()
    with pytest.raises(InputError, match=r"zoo export.*trace"):
        model.to_torchscript()
    z = model.latents(2, seed=0)
    assert torch.equal(model.to_torchscript(method="trace", example_inputs=z)(z), model(z))
