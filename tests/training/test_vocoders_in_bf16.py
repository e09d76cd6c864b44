"""Mixed precision: what is bfloat16, what stays float32, and how far results are from those in float32."""

from unittest import mock

import pytest
import torch
from helpers.tiny_mels import (
    TinyMels,
    tiny_bigvgan,
    tiny_hifigan,
    tiny_melgan,
    tiny_parallel_wavegan,
    tiny_stft_melgan,
    tiny_vocos,
)
from helpers.tiny_runs import fit
from torch import Tensor

from lightning_gans import cpu
from lightning_gans.cpu import gated_block as gated_blocks
from lightning_gans.models.parallel_wavegan import Generator

PAPERS = {
    "melgan": tiny_melgan,
    "stft_melgan": tiny_stft_melgan,
    "hifigan": tiny_hifigan,
    "bigvgan": tiny_bigvgan,
    "bigvgan_v2": lambda: tiny_bigvgan("v2_22khz_80band_256x"),
    "vocos": tiny_vocos,
    "parallel_wavegan": lambda: tiny_parallel_wavegan(discriminator_start=0),
}


@pytest.mark.parametrize("paper", PAPERS)
def test_training_and_synthesis_in_bf16(paper):
    model = PAPERS[paper]()
    logged, stft, transformed = [], torch.stft, []

    def noting(audio: Tensor, *args, **kwargs) -> Tensor:
        transformed.append(audio.dtype)
        return stft(audio, *args, **kwargs)

    model.log_dict = lambda losses, **_: logged.append({key: value.detach() for key, value in losses.items()})
    data = TinyMels(model)
    with mock.patch.object(torch, "stft", noting):
        fit(model, data, precision="bf16-mixed", max_steps=3)
    assert set(transformed) == (set() if paper == "melgan" else {torch.float32})
    assert len(logged) == 3
    assert all(value.isfinite() for losses in logged for value in losses.values())
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in model.parameters())
    mel = data.examples[0][0]
    mel = mel[..., model.context : mel.shape[-1] - model.context]
    expected = model.vocode(mel, seed=0)
    with torch.autocast("cpu", torch.bfloat16):
        audio = model.vocode(mel, seed=0).float()
    assert (audio - expected).abs().max() < 0.05 * expected.abs().max()
    assert not torch.equal(audio, expected)


def outputs_and_gradients(network: Generator, noise: Tensor, mel: Tensor) -> list[Tensor]:
    audio = network(noise, mel).float()
    weight = torch.randn(audio.shape, generator=torch.Generator().manual_seed(0))
    return [audio, *torch.autograd.grad((audio * weight).sum(), network.parameters(), allow_unused=True)]


def test_pieces_in_bf16_are_as_close_to_float32_as_plain_layers():
    torch.manual_seed(0)
    network = Generator(5, (4, 4), 2, 6, 2, 3, 16, 32, 16)
    inputs = torch.randn(2, 1, 12 * 16), torch.randn(2, 5, 12 + 4)
    exact, results = outputs_and_gradients(network, *inputs), {}
    for form in ("pieces", "plain"):
        product = mock.Mock(wraps=gated_blocks.product)
        (cpu.put_in_place if form == "pieces" else cpu.take_off)(network)
        with mock.patch.object(gated_blocks, "product", product), torch.autocast("cpu", torch.bfloat16):
            results[form] = outputs_and_gradients(network, *inputs)
        dtypes = {call.args[0].dtype for call in product.call_args_list}
        assert dtypes == ({torch.bfloat16} if form == "pieces" else set())
    assert all(value is None or value.dtype == torch.float32 for value in results["pieces"])
    errors = {}
    for form, values in results.items():
        pairs = [(value, expected) for value, expected in zip(values, exact, strict=True) if expected is not None]
        gradients, expected = (
            torch.cat([tensor.flatten() for tensor in part]) for part in zip(*pairs[1:], strict=True)
        )
        errors[form] = relative(*pairs[0]), relative(gradients, expected)
    assert all(0 < of_pieces < 1.2 * plain for of_pieces, plain in zip(*errors.values(), strict=True))
    assert errors["pieces"][0] < 0.02 and errors["pieces"][1] < 0.15


def relative(value: Tensor, expected: Tensor) -> float:
    """The norm of the error over that of what is expected."""
    return ((value - expected).norm() / expected.norm()).item()


def test_other_precisions_get_plain_layers():
    network = Generator(5, (4, 4), 2, 2, 1, 3, 4, 6, 3)
    cpu.put_in_place(network)
    with mock.patch.object(cpu.parallel_wavegan.Generator, "in_pieces", side_effect=AssertionError):
        with torch.autocast("cpu", torch.float16):
            network(torch.randn(1, 1, 48), torch.randn(1, 5, 7))
        with torch.autocast("cpu", torch.bfloat16), pytest.raises(AssertionError):
            network(torch.randn(1, 1, 48), torch.randn(1, 5, 7))
