from typing import Any

import pytest
import torch
from helpers.tiny_runs import PAPERS, build, data_for, fit, state
from lightning import Callback, Trainer

from lightning_gans.training.compilation import CompileNetworks
from lightning_gans.training.vocoder import Vocoder

SLOW = {"bigvgan", "bigvgan_v2", "hifigan", "vocos"}
"""Whose discriminators take the compiler ten seconds and more."""


class Compiled(Callback):
    """Which networks are, while a fit lasts."""

    def on_train_end(self, trainer: Trainer, module: Any) -> None:
        self.networks = {n for n in module.networks.values() if getattr(module, n)._compiled_call_impl is not None}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in PAPERS]
)
def test_every_paper_trains_alike_with_compiled_networks(name):
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    states = []
    seen = Compiled()
    for callbacks in ([], [CompileNetworks(backend), seen]):
        module = build(name)
        fit(module, data_for(module), callbacks, limit_val_batches=1, check_val_every_n_epoch=1)
        states.append(state(module))
        networks = [name for name in module.networks.values() if name not in module.twice_differentiated]
        assert len(graphs) >= len(networks) if callbacks else not graphs
    plain, compiled = states
    assert list(plain) == list(compiled)
    close = dict(rtol=1e-4, atol=1e-5)
    if isinstance(module, Vocoder):  # logarithms of small magnitudes enlarge the rounding of another form
        close = dict(rtol=1e-3, atol=5e-4)
    torch.testing.assert_close(compiled, plain, **close)
    assert seen.networks == set(networks)
    assert not any(getattr(module, network)._compiled_call_impl for network in networks)  # nor what follows


def test_a_penalty_keeps_its_critic_from_being_compiled():
    expected = {"wgan_gp", "r3gan", "wavegan", "specgan", "specgan_controlled", "wavegan_controlled", "controlgan_gp"}
    assert {name for name in PAPERS if build(name).twice_differentiated} == expected
