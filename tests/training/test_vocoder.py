import warnings

import numpy as np
import pytest
import torch
from helpers.tiny_mels import (
    FRAMES,
    MEL,
    TinyMels,
    sounds,
    tiny_bigvgan,
    tiny_hifigan,
    tiny_melgan,
    tiny_parallel_wavegan,
    tiny_stft_melgan,
    tiny_vocos,
)
from helpers.tiny_runs import PAPERS, TinyClips, build, fit, weights
from helpers.tiny_runs import VOCODERS as VOCODER_NAMES

from lightning_gans import cpu
from lightning_gans.audio import MelConfig
from lightning_gans.errors import InputError
from lightning_gans.models.melgan import MelGAN
from lightning_gans.models.parallel_wavegan import ParallelWaveGAN
from lightning_gans.models.vocos import Vocos
from lightning_gans.training.vocoder import Vocoder

VOCODERS = [tiny_melgan, tiny_parallel_wavegan, tiny_hifigan, tiny_bigvgan, tiny_vocos]
WEIGHT_NORMED = VOCODERS[:-1]


def mels(num: int, frames: int, bands: int = 8) -> torch.Tensor:
    """Values that log10 features have."""
    return torch.rand(num, bands, frames, generator=torch.Generator().manual_seed(1)) * 4 - 4


# ---- vocode


@pytest.mark.parametrize("build", VOCODERS)
def test_shapes_that_vocode_takes(build):
    model, mel = build(), mels(2, 9)
    audio = model.vocode(mel, seed=3)
    assert audio.shape == (2, 1, 9 * 16)
    one = model.vocode(mel[0], seed=3)
    assert one.shape == (1, 1, 9 * 16)
    assert torch.equal(model.vocode(mel[0].T.numpy(), seed=3), one)
    for dtype in (np.float64, ">f4"):
        assert torch.equal(model.vocode(mel[0].T.numpy().astype(dtype), seed=3), one)
    assert not audio.requires_grad


@pytest.mark.parametrize("build", VOCODERS)
@pytest.mark.parametrize("dtype, error", [(torch.float64, 1e-5), (torch.float16, 0.01), (torch.bfloat16, 0.05)])
@pytest.mark.parametrize("form", [cpu.put_in_place, cpu.take_off])
def test_models_in_other_precisions(build, dtype, error, form):
    model, mel = build(), mels(2, 9)
    expected = model.vocode(mel, seed=3)
    form(model.to(dtype))
    audio = model.vocode(mel, seed=3)
    assert audio.dtype == torch.float32
    assert (audio - expected).abs().max() < error * expected.abs().max()
    own = torch.nn.functional.pad(model.mel(sounds(2, 9)), (model.context, model.context))
    assert model(own).dtype == dtype or isinstance(model, Vocos)  # whose last layer is never in half precision


@pytest.mark.parametrize("build", VOCODERS)
def test_a_list_of_mels(build):
    model, rows = build(), [mels(1, 9)[0], mels(1, 12)[0].T.numpy(), mels(2, 5)]
    made = model.vocode(rows, seed=3, chunk_frames=7)
    assert [tuple(audio.shape) for audio in made] == [(1, 1, 144), (1, 1, 192), (2, 1, 80)]
    for audio, mel in zip(made, rows, strict=True):
        assert torch.equal(audio, model.vocode(mel, seed=3, chunk_frames=7))
    with pytest.raises(InputError, match=r"the mel has shape \(8,\)"):
        model.vocode([mels(1, 9), torch.zeros(8)])


@pytest.mark.parametrize("build", VOCODERS)
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_few_frames(build, frames):
    model = build()
    if frames < model.min_frames:
        with pytest.raises(InputError, match=f"the mel has {frames} frames; {type(model).__name__} takes at least"):
            model.vocode(mels(2, frames))
        return
    audio = model.vocode(mels(2, frames), seed=0)
    assert audio.shape == (2, 1, 16 * frames) and audio.isfinite().all() and audio.any()


def test_an_odd_hop():
    """Of 10 hops, 10 frames, and from these 10 hops."""
    mel = MEL | dict(name="hifigan", f_max=None, hop_length=15)
    model, audio = tiny_vocos(mel=mel), sounds(2, 10, 15)
    assert model.mel(audio).shape == (2, 8, 10)
    assert model.vocode(model.mel(audio)).shape == audio.shape


def test_the_seed():
    model, mel = tiny_parallel_wavegan(), mels(1, 9)
    assert torch.equal(model.vocode(mel, seed=1), model.vocode(mel, seed=1))
    assert not torch.equal(model.vocode(mel, seed=1), model.vocode(mel, seed=2))
    assert not torch.equal(model.vocode(mel), model.vocode(mel))
    state = torch.get_rng_state()
    model.vocode(mel)
    assert torch.equal(torch.get_rng_state(), state)  # a run's own noise goes on as it would have


def test_vocode_repeats_the_outer_frames_as_context():
    model, mel = tiny_parallel_wavegan(), mels(1, 9)
    padded = torch.cat([mel[..., :1]] * 2 + [mel] + [mel[..., -1:]] * 2, -1)
    expected = model(padded, model.noise(1, 9 * 16, 5))
    assert torch.allclose(model.vocode(mel, seed=5), expected, atol=1e-6)


@pytest.mark.parametrize("build", VOCODERS)
@pytest.mark.parametrize("chunk", [1, 7, 30, 100])
def test_chunks_are_equal_to_the_whole(build, chunk):
    model, mel = build(), mels(2, 61)
    whole = model.vocode(mel, seed=0)
    assert (model.vocode(mel, seed=0, chunk_frames=chunk) - whole).abs().max() < 1e-6 * max(1, whole.abs().max())


@pytest.mark.parametrize("build", [build for build in VOCODERS if build is not tiny_bigvgan])
def test_chunks_need_every_frame_around_them(build):
    """BigVGAN's farthest frames count for less than rounding; ``test_bigvgan.py`` has its reach."""
    model, mel = build(), mels(1, 61)
    for name, parameter in model.generator.named_parameters():
        if name.endswith("original0"):
            parameter.data.mul_(2)  # so that what is farthest away counts
    whole = model.vocode(mel, seed=0)
    model.receptive_frames -= 1
    assert (model.vocode(mel, seed=0, chunk_frames=7) - whole).abs().max() > 1e-6


@pytest.mark.parametrize(
    "model", [MelGAN, lambda: ParallelWaveGAN("ljspeech", layers=10, stacks=1), lambda: Vocos(mel="hifigan")]
)
def test_chunks_at_the_real_size(model):
    torch.manual_seed(0)
    model, mel = model(), mels(1, 30, 80)
    whole = model.vocode(mel, seed=0)
    assert whole.shape == (1, 1, 30 * 256)
    assert (model.vocode(mel, seed=0, chunk_frames=11) - whole).abs().max() < 1e-5


@pytest.mark.parametrize("build", WEIGHT_NORMED)
def test_weight_norm_is_taken_once_and_stays(build):
    model = build()
    before = weights(model)
    parametrized = [m for m in model.generator.modules() if hasattr(m, "parametrizations")]
    calls = []
    for module in parametrized:
        module.parametrizations.weight[0].register_forward_hook(lambda *_: calls.append(1))
    model.vocode(mels(1, 30), seed=0, chunk_frames=5)
    assert len(calls) <= len(parametrized)
    assert weights(model).keys() == before.keys()
    audio = model.vocode(mels(1, 9), seed=0)
    with torch.no_grad():
        for parameter in model.generator.parameters():
            parameter.mul_(1.1)
    assert not torch.equal(model.vocode(mels(1, 9), seed=0), audio)  # nothing is remembered from call to call
    model.train()
    model(torch.nn.functional.pad(mels(1, 9), (model.context,) * 2)).sum().backward()
    assert parametrized[0].parametrizations.weight.original0.grad is not None


@pytest.mark.parametrize(
    "mel, message",
    [
        (mels(1, 9, 80), r"the mel has shape \(1, 80, 9\), so 80 bands; MelGAN takes \(B, 8, L\) or \(8, L\), in the"),
        (mels(1, 9).mT, r"shape \(1, 9, 8\), so 9 bands; .*; its axes are swapped: transpose it"),
        (mels(1, 9)[0].numpy(), r"shape \(8, 9\), so 9 bands; MelGAN takes \(L, 8\) as numpy.*; its axes are swapped"),
        (mels(1, 9).mT.numpy(), r"shape \(1, 9, 8\); MelGAN takes \(L, 8\) as numpy"),
        (torch.zeros(1, 1, 22050), "which is sound; .*mel"),
        (np.zeros(22050, np.float32), "which is sound; .*mel"),
        ("in.wav", "the mel is a str; expected"),
        (torch.zeros(8), r"shape \(8,\); MelGAN takes \(B, 8, L\) or \(8, L\)"),
        (mels(1, 3), "the mel has 3 frames; MelGAN takes at least 4"),
    ],
)
def test_mels_of_other_shapes(mel, message):
    with pytest.raises(InputError, match=message):
        tiny_melgan().vocode(mel)


def test_mels_that_are_not_finite():
    mel = mels(1, 9)
    mel[0, 3, 4], mel[0, 5, 4], mel[0, 5, 7] = float("nan"), float("inf"), -float("inf")
    with pytest.raises(InputError, match="not finite in 2 of 9 frames, first in frame 4"):
        tiny_melgan().vocode(mel)
    with pytest.raises(InputError, match="chunk_frames is 0; expected at least 1"):
        tiny_melgan().vocode(mels(1, 9), chunk_frames=0)


def test_vocode_warns_and_goes_on():
    model = tiny_melgan()
    with pytest.warns(
        UserWarning, match=r"values from -7.91 to .*, and those of melgan lie between -5.00 and about 2;"
    ):
        audio = model.vocode(mels(1, 9) * 2)
    assert audio.isfinite().all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.vocode(mels(1, 9))


# ---- features


@pytest.mark.parametrize("framing", ["hop", "center"])
def test_mel_is_what_training_takes(framing):
    model = tiny_melgan(mel=MEL | dict(framing=framing))
    data, audio = TinyMels(model), sounds(16, FRAMES)
    batch = next(iter(data.train_dataloader()))
    assert torch.allclose(model.mel(audio[:4]), batch.mel, atol=1e-5)
    assert model.mel(audio[0, 0]).shape == (8, FRAMES)
    assert model.mel(audio[0, 0, :-1]).shape == (8, FRAMES - 1)
    assert torch.equal(model.mel(audio[:2, 0]), model.mel(audio[:2]))
    assert torch.equal(model.mel(audio[0, 0].numpy()), model.mel(audio[0, 0]))
    assert model.vocode(model.mel(audio[:2])).shape == audio[:2].shape
    with pytest.raises(InputError, match=r"shape \(2, 2, 100\); expected mono"):
        model.mel(torch.zeros(2, 2, 100))
    with pytest.raises(InputError, match=r"\(T, C\).*mean"):
        model.mel(np.zeros((4000, 2), np.float32))


@pytest.mark.parametrize("name", PAPERS)
def test_damaged_weights_make_nothing(name):
    model = build(name)
    parameter = next(p for p in model.generator.parameters() if p.dim() > 1)
    with torch.no_grad():
        parameter.fill_(float("nan"))
    with pytest.raises(InputError, match="not finite"):
        model.vocode(torch.full((model.mel_config.n_mels, 20), -3.0)) if name in VOCODER_NAMES else model.sample(2)


def test_statistics_by_hand():
    """Two utterances of 40 frames, whose context does not count."""
    model = tiny_parallel_wavegan(discriminator_start=9)
    data = TinyMels(model, count=2)
    mel = torch.randn(2, 8, FRAMES + 4)
    mel[:, 3] = 0.5  # a band that never changes
    mel[..., :2] = mel[..., -2:] = 100
    data.examples = [(m, audio) for m, (_, audio) in zip(mel, data.examples, strict=True)]
    assert not model.is_measured
    fit(model, data, max_steps=1)
    own = mel[..., 2:-2].transpose(0, 1).flatten(1).double()
    assert torch.allclose(model.mel_mean, own.mean(1).float(), atol=1e-6)
    expected = own.std(1, correction=0).float()
    expected[3] = 1
    assert torch.allclose(model.mel_scale, expected, atol=1e-6)
    normalized = model.normalized(mel)[..., 2:-2].transpose(0, 1).flatten(1)
    assert torch.allclose(normalized.mean(1), torch.zeros(8), atol=1e-6)
    assert torch.allclose(normalized.std(1, correction=0)[[0, 1, 2, 4]], torch.ones(4), atol=1e-5)


def test_statistics_that_came_with_the_weights_stay():
    model = tiny_parallel_wavegan(discriminator_start=9)
    model.mel_mean.fill_(-2.0)
    fit(model, TinyMels(model), max_steps=1)
    assert model.mel_mean.tolist() == [-2.0] * 8
    plain = tiny_melgan()
    fit(plain, TinyMels(plain), max_steps=1)
    assert not plain.is_measured
    measured = tiny_stft_melgan()
    fit(measured, TinyMels(measured), max_steps=1)
    assert measured.is_measured


# ---- what does not fit together


def test_data_of_another_convention():
    model = tiny_melgan()
    with pytest.raises(
        InputError, match=r"the mels of TinyMels \(melgan\) are not those of MelGAN \(melgan\): f_max 3000 ag"
    ):
        fit(model, TinyMels(model, f_max=3000.0))
    data = TinyMels(model)
    data.context = 2
    with pytest.raises(
        InputError, match=r"2 frames of context on either side, and MelGAN takes 0; use --data.context 0"
    ):
        fit(model, data)
    with pytest.raises(InputError, match="TinyClips hands out no mels, and MelGAN takes them"):
        fit(model, TinyClips())


@pytest.mark.parametrize("build", VOCODERS)
def test_there_is_nothing_to_sample(build):
    model = build()
    for call in (
        lambda: model.sample(4),
        lambda: model.latents(4),
        lambda: model.prior(1),
        lambda: model.sample_from(1),
    ):
        with pytest.raises(InputError, match="makes sound from a mel spectrogram, not from noise; use vocode"):
            call()


def test_hyper_parameters_rebuild_the_model():
    """With every field of the convention, so that it does not depend on what its name means later."""
    model = tiny_melgan(mel=MEL | dict(log="ln"))
    assert model.hparams.mel == MelConfig.of(MEL | dict(log="ln")).hparams()
    again = MelGAN(**model.hparams)
    assert again.mel_config == model.mel_config and again.hparams == model.hparams
    assert isinstance(again, Vocoder)
