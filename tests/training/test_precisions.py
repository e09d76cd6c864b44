"""Every paper in the precisions that Lightning offers: what the package makes itself follows the module's."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from helpers.tiny_runs import PAPERS, VOCODERS, build, data_for, fit
from lightning import LightningModule
from torch.utils.data import DataLoader

from lightning_gans.audio import MelConfig
from lightning_gans.audio.mel import bank
from lightning_gans.data.batches import ImageBatch

SOME = ["gan", "cgan", "dcgan_paper", "r3gan", "specgan_controlled", "parallel_wavegan", "bigvgan"]


@pytest.fixture
def default_double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def made(module: LightningModule, seed: int = 1) -> torch.Tensor:
    """A sample, or the sound of a mel."""
    if not hasattr(module, "mel_config"):
        return module.sample(2, seed=seed)
    mel = torch.linspace(-4, -3, module.mel_config.n_mels * 24, dtype=torch.float32).unflatten(0, (-1, 24))
    return module.vocode(mel, seed=seed)


def finite(module: LightningModule) -> bool:
    return all(t.isfinite().all() for t in module.state_dict().values())


@pytest.mark.parametrize(
    "name, precision, dtype",
    [
        *((name, "bf16-true", torch.bfloat16) for name in PAPERS),
        *((name, f"{bits}-true", dtype) for name in SOME for bits, dtype in ((16, torch.float16), (64, torch.float64))),
    ],
)
def test_training(name, precision, dtype):
    module = build(name)
    fit(module, data_for(module), max_steps=1, limit_val_batches=1, precision=precision)
    assert {p.dtype for p in module.parameters()} == {dtype} and finite(module)
    assert made(module).dtype == torch.float32


@pytest.mark.parametrize("name", SOME)
def test_another_default(name, default_double):
    module = build(name)
    fit(module, data_for(module), max_steps=1)
    assert {p.dtype for p in module.parameters()} == {torch.float64} and finite(module)


@pytest.mark.parametrize("name", PAPERS)
def test_models_in_half(name):
    whole = made(build(name).eval())
    torch.testing.assert_close(made(build(name).eval().bfloat16()), whole, rtol=0.2, atol=0.2)


@pytest.mark.parametrize("name", [name for name in PAPERS if name not in VOCODERS])
def test_a_seed_is_the_same_in_any_precision(name):
    latents = build(name).latents(3, seed=2)
    torch.testing.assert_close(build(name).double().latents(3, seed=2).float(), latents)
    assert torch.equal(build(name).latents(3, seed=np.int64(2)), latents)


def test_a_users_loader_of_float32():
    batches = [ImageBatch(torch.rand(4, 1, 32, 32) * 2 - 1, torch.zeros(4, dtype=torch.long)) for _ in range(2)]
    module = build("dcgan_torch")
    fit(module, DataLoader(batches, batch_size=None), max_steps=1, precision="bf16-true")
    assert module.dtype == torch.bfloat16


def test_mel_bands_do_not_follow_the_default(default_double):
    config = MelConfig.of({"name": "bigvgan", "n_mels": 40})
    bank.cache_clear()
    torch.set_default_dtype(torch.bfloat16)
    low = bank(config, torch.device("cpu"))
    bank.cache_clear()
    torch.set_default_dtype(torch.float32)
    assert torch.equal(low, bank(config, torch.device("cpu")))
