import errno
import json
import os
from functools import cache
from pathlib import Path

import onnxruntime
import pytest
import torch
from helpers import tiny_zoo
from helpers.tiny_mels import (
    MEL,
    small_discriminators,
    tiny_bigvgan,
    tiny_hifigan,
    tiny_melgan,
    tiny_parallel_wavegan,
    tiny_vocos,
)

import lightning_gans
from lightning_gans import zoo
from lightning_gans.__main__ import main
from lightning_gans.audio import MelConfig
from lightning_gans.cli import main as commands
from lightning_gans.errors import InputError
from lightning_gans.models import DCGAN, ConditionalWaveGAN, ControlledSpecGAN, ControlledWaveGAN, SpecGAN
from lightning_gans.zoo import graphs
from lightning_gans.zoo.graphs import export_graph

FRAMES = (7, 63, 200)
"""Beside the fewest that a model takes."""
FORMATS = tuple(graphs.SUFFIXES.values())
VOCODERS = {
    "melgan": tiny_melgan,
    "melgan_odd": lambda: tiny_melgan(mel=MEL | dict(hop_length=30, framing="center"), ratios=(2, 5, 3), blocks=4),
    "hifigan": tiny_hifigan,
    "hifigan_odd": lambda: tiny_hifigan(
        "v3", mel=MEL | dict(hop_length=30, framing="center"), upsample_rates=(2, 5, 3)
    ),
    "bigvgan": tiny_bigvgan,
    "bigvgan_odd": lambda: tiny_bigvgan(
        "v2_22khz_80band_256x", mel=MEL | dict(hop_length=30, framing="center"), width=16, upsample_rates=(2, 5, 3)
    ),
    "parallel_wavegan": tiny_parallel_wavegan,
    "without_context": lambda: tiny_parallel_wavegan(aux_context=0, stacks=4, upsample_scales=(16,)),
    "vocos_center": lambda: tiny_vocos(mel=MEL | dict(framing="center")),
    "vocos_same": tiny_vocos,
    "vocos_odd": lambda: tiny_vocos(mel=MEL | dict(hop_length=15)),
    "wide": lambda: tiny_parallel_wavegan(aux_context=1, kernel=5, stacks=1, upsample_scales=(2, 4, 2)),
}
pytestmark = pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # of torch.export.load


@pytest.fixture(scope="module", autouse=True)
def models_are_built_anew():
    with small_discriminators():
        yield


@cache
def vocoder(name):
    """One that is loud enough to compare, with statistics of its own."""
    model = VOCODERS[name]()
    generator = torch.Generator().manual_seed(1)
    gain = 1 if model.takes_noise else 1.3 if name.startswith("bigvgan") else 2
    for key, tensor in [*model.generator.named_parameters(), *model.named_buffers(recurse=False)]:
        if key.endswith(("bias", "mel_mean")):
            tensor.data.copy_(0.1 * torch.randn(tensor.shape, generator=generator))
        elif key.endswith(("original0", "mel_scale")):
            tensor.data.mul_(gain * (0.5 + torch.rand(tensor.shape, generator=generator)))
    return model.eval()


def inputs(model, num, frames):
    """Mel and, where the model takes any, the noise of seed 5."""
    mel = torch.rand(num, 8, frames, generator=torch.Generator().manual_seed(frames)) * 4 - 4
    noise = model.noise(num, frames * model.mel_config.hop_length, 5)
    return {"mel": mel} | ({} if noise is None else {"noise": noise})


def runner(file):
    """What a graph makes of inputs by name."""
    if file.suffix == ".pt2":
        module = torch.export.load(file).module()
        return lambda given: module(**given)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda given: torch.from_numpy(session.run(None, {key: x.numpy() for key, x in given.items()})[0])


# ---- vocoders


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The graph of a vocoder, made once."""
    folder = tmp_path_factory.mktemp("graphs")
    return cache(lambda name, suffix: export_graph(vocoder(name), folder / name / f"my_vocoder{suffix}"))


@pytest.mark.parametrize(
    "name, suffix",
    [
        *((name, ".onnx") for name in VOCODERS),
        *((n, ".pt2") for n in ("melgan", "bigvgan", "parallel_wavegan", "vocos_same")),
    ],
)
def test_a_graph_makes_what_vocode_makes_for_any_batch_and_frames(name, suffix, exported):
    model, file = vocoder(name), exported(name, suffix).file
    run = runner(file)
    assert {path.stem for path in file.parent.iterdir()} == {"my_vocoder"}  # the weights are inside
    for num in (1, 3):
        for frames in (model.min_frames, *(count for count in FRAMES if count > model.min_frames)):
            given = inputs(model, num, frames)
            expected = model.vocode(given["mel"], seed=5)
            made = run(given)
            assert expected.std() > 0.05
            assert made.shape == expected.shape
            assert (made - expected).abs().max() < 1e-5 * max(1, expected.abs().max())


def test_axes_have_names(exported):
    graph = exported("parallel_wavegan", ".onnx")
    assert str(graph) == "mel (batch, 8, frames), noise (batch, 1, 16*frames) -> audio (batch, 1, 16*frames)"
    session = onnxruntime.InferenceSession(graph.file)
    shapes = {value.name: tuple(value.shape) for value in [*session.get_inputs(), *session.get_outputs()]}
    assert shapes == {
        "mel": ("batch", 8, "frames"),
        "noise": ("batch", 1, "16*frames"),
        "audio": ("batch", 1, "16*frames"),
    }


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_a_file_says_of_itself(suffix, exported):
    model, file = vocoder("melgan"), exported("melgan", suffix).file
    if suffix == ".onnx":
        found = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map
    else:
        torch.export.load(file, extra_files=(extra := {graphs.METADATA: ""}))
        found = json.loads(extra[graphs.METADATA])
    mel = found.pop("mel")
    assert MelConfig.of(json.loads(mel)) == model.mel_config
    assert found == {
        "name": "my_vocoder",
        "model": "MelGAN",
        "version": lightning_gans.__version__,
        "sample_rate": "8000",
        "min_frames": "4",
    }
    assert str(Path(lightning_gans.__file__).parent).encode() not in file.read_bytes()


def test_the_model_and_the_noise_of_a_run_stay_as_they_are(tmp_path):
    model = tiny_parallel_wavegan().train()
    model.hparams["_instantiator"] = "lightning.pytorch.cli.instantiate_module"  # as of the command line's
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    export_graph(model, tmp_path / "graph.pt2")
    assert torch.equal(torch.get_rng_state(), state)
    after = model.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[key], before[key]) for key in before)
    assert model.training and model.generator.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    # Folded, and without the discriminator.
    inside = torch.export.load(tmp_path / "graph.pt2").state_dict
    assert not [key for key in inside if "parametrizations" in key or "discriminator" in key or "stft" in key]
    assert "model.generator.conv_layers.0.conv.weight" in inside


# ---- models that start from noise


def tiny(name):
    """One whose samples differ plainly."""
    if name in tiny_zoo.TINY:
        return tiny_zoo.tiny(name).eval()
    builders = {
        "ConditionalWaveGAN": lambda: ConditionalWaveGAN(
            4, **tiny_zoo.TINY["WaveGAN"], upsampling="nearest", post_filter=True
        ),
        "ControlledSpecGAN": lambda: ControlledSpecGAN(4, width=2, latent_dim=3),
        "ControlledWaveGAN": lambda: ControlledWaveGAN(4, width=2, latent_dim=3),
        "DCGAN": lambda: DCGAN(image_size=28, channels=1, width=4, latent_dim=3),
        "SpecGAN": lambda: SpecGAN(width=2, latent_dim=3),
    }
    model = builders[name]()
    for parameter in model.generator.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    if name.endswith("SpecGAN"):
        model.std.fill_(1)
    return model.eval()


@pytest.mark.parametrize(
    "name, suffix, told",
    [
        ("GAN", ".onnx", "latents (batch, 3) -> images (batch, 1, 4, 4)"),
        ("CGAN", ".onnx", "latents (batch, 2403), label (batch, 10) -> images (batch, 1, 4, 4)"),
        ("CGAN", ".pt2", "latents (batch, 2403), label (batch, 10) -> images (batch, 1, 4, 4)"),
        ("ControlGAN", ".onnx", "latents (batch, 3), label (batch, 10) -> images (batch, 1, 28, 28)"),
        ("DCGAN", ".onnx", "latents (batch, 3) -> images (batch, 1, 28, 28)"),
        ("WaveGAN", ".onnx", "latents (batch, 3) -> audio (batch, 1, 256)"),
        ("ConditionalWaveGAN", ".onnx", "latents (batch, 3), label (batch, 4) -> audio (batch, 1, 256)"),
        ("ControlledWaveGAN", ".onnx", "latents (batch, 3), label (batch, 4) -> audio (batch, 1, 8192)"),
        # torch.export takes long for Griffin and Lim's iterations
        pytest.param("SpecGAN", ".pt2", "latents (batch, 3) -> audio (batch, 1, 16384)", marks=pytest.mark.slow),
        pytest.param(
            "ControlledSpecGAN",
            ".pt2",
            "latents (batch, 3), label (batch, 4) -> audio (batch, 1, 8192)",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_graph_makes_what_sample_makes(name, suffix, told, tmp_path):
    model = tiny(name)
    graph = export_graph(model, tmp_path / f"graph{suffix}")
    assert str(graph) == told
    run = runner(graph.file)
    for num in (1, 5):
        latents, label = model.latents(num, seed=1), model.label_rows(num)
        expected = model.sample_from(latents, label)
        made = run({"latents": latents} | ({} if label is None else {"label": label}))
        assert made.shape == expected.shape
        assert expected.std() > 0.05
        assert (made - expected).abs().max() < 1e-4


# ---- what cannot be exported


def test_what_is_refused(tmp_path, monkeypatch):
    model = tiny_melgan()
    with pytest.raises(InputError, match=r"file is graph\.tflite; expected a name that ends in \.onnx or \.pt2"):
        export_graph(model, "graph.tflite")
    with pytest.raises(InputError, match=r"a SpecGAN is not exported to ONNX: 16 iterations .*; use the format torch"):
        export_graph(tiny("SpecGAN"), tmp_path / "graph.onnx")
    model.untrained_networks = ("generator",)
    with pytest.raises(InputError, match="the weights of this MelGAN lack generator"):
        export_graph(model, tmp_path / "graph.onnx")
    model.untrained_networks = ("discriminator",)
    model.generator.model[1].bias.data[0] = float("nan")
    with pytest.raises(InputError, match=r"generator\.model\.1\.bias of this MelGAN is not finite"):
        export_graph(model, tmp_path / "graph.onnx")
    monkeypatch.setattr(graphs, "find_spec", lambda package: None if package == "onnxscript" else package)
    with pytest.raises(InputError, match=r"^ONNX graphs need onnxscript, .*: pip install 'lightning-gans\[onnx\]', or"):
        export_graph(model, tmp_path / "graph.onnx")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_is_written_whole_or_not_at_all(suffix, tmp_path, monkeypatch):
    file = tmp_path / f"graph{suffix}"
    file.write_bytes(b"before")

    def broken(*_, **__):
        raise RuntimeError("no graph")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(*{".onnx": (torch.onnx, "export"), ".pt2": (torch.export, "save")}[suffix], broken)
        with pytest.raises(RuntimeError, match="no graph"):
            export_graph(vocoder("melgan"), file)
    monkeypatch.setattr(graphs, {".onnx": "_onnx", ".pt2": "_torch"}[suffix], lambda *_: b"a whole new graph")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match=f"{file} cannot be written .No space left"):
            export_graph(vocoder("melgan"), file)
    assert [path.name for path in tmp_path.iterdir()] == [file.name] and file.read_bytes() == b"before"
    export_graph(vocoder("melgan"), file)
    assert [path.name for path in tmp_path.iterdir()] == [file.name] and file.read_bytes() == b"a whole new graph"


# ---- the command


def saved(model, path):
    """A checkpoint such as ``fit`` writes."""
    content = {"model": type(model).__name__, "hyper_parameters": dict(model.hparams), "state_dict": model.state_dict()}
    torch.save(content, path)
    return path


def test_the_command_says_what_it_made_and_nothing_else(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    run = saved(vocoder("parallel_wavegan"), tmp_path / "last.ckpt")
    main(["zoo", "export", str(run), "--format", "onnx", "--output", "out/new"])
    out, err = capfd.readouterr()
    assert err == "" and Path("out/new/last.onnx").is_file()
    file, shapes = out.splitlines()
    assert file == "out/new/last.onnx (0.0 MB)"
    assert shapes == "mel (batch, 8, frames), noise (batch, 1, 16*frames) -> audio (batch, 1, 16*frames)"


def test_the_command_takes_a_released_file(tmp_path, capsys):
    model = vocoder("melgan")
    released = zoo.export(saved(model, tmp_path / "last.ckpt"), tmp_path, "melgan_noise", half=False).weights
    capsys.readouterr()
    options = ["--format", "torch", "--output", str(tmp_path)]
    commands.main(["zoo", "export", str(released), *options, "--name", "other"])
    out = capsys.readouterr().out
    assert out == f"{tmp_path / 'other.pt2'} (0.1 MB)\nmel (batch, 8, frames) -> audio (batch, 1, 16*frames)\n"
    given = inputs(model, 1, 9)
    assert (runner(tmp_path / "other.pt2")(given) - model.vocode(given["mel"])).abs().max() < 1e-5
    with pytest.raises(InputError, match="--name is a/b; expected a file name without a folder"):
        commands.main(["zoo", "export", str(released), *options, "--name", "a/b"])
    with pytest.raises(InputError, match="format is tflite; expected"):
        commands.main(["zoo", "export", str(released), "--format", "tflite", "--output", str(tmp_path)])
