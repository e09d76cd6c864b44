import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.tiny_mels import small_discriminators, sounds, tiny_melgan, tiny_parallel_wavegan
from helpers.tiny_zoo import checkpoint as gan_checkpoint

from lightning_gans.__main__ import main
from lightning_gans.audio.resampling import resample
from lightning_gans.cli import main as commands
from lightning_gans.errors import InputError
from lightning_gans.training import vocoder

RATE, HOP, FRAMES = 8000, 16, 90


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for build in (tiny_melgan, tiny_parallel_wavegan):
        model = louder(build)
        content = {"model": type(model).__name__, "hyper_parameters": dict(model.hparams)}
        torch.save(content | {"state_dict": model.state_dict()}, f"{build.__name__}.ckpt")
    with small_discriminators():
        yield tmp_path


def louder(build):
    """With sounds that differ plainly in 16 bit."""
    model = build().eval()
    with torch.no_grad():
        list(model.generator.parameters())[-2].mul_(20)
    return model


def recording(path: str, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """A whole number of frames and a rest."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    audio = sounds(seed + 1, FRAMES, HOP)[seed, 0].numpy()[: FRAMES * HOP - 5]
    samples = (audio * 30000).astype(np.int16)
    soundfile.write(path, samples, rate)
    return samples


def vocode(*args: str) -> None:
    commands.main(["vocode", *args, "--device=cpu"])


def heard(path: str) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    assert rate == RATE and samples.shape[1] == 1 and len(np.unique(samples)) > 20
    return samples[:, 0]


def as_16_bit(audio: torch.Tensor) -> np.ndarray:
    return (audio[0, 0].clamp(-1, 1) * 32767).round().short().numpy()


@pytest.mark.parametrize("build", [tiny_melgan, tiny_parallel_wavegan])
def test_copy_synthesis(build, capsys):
    samples = recording("in.wav")
    vocode(f"{build.__name__}.ckpt", "in.wav", "new/out.wav", "--seed=3")
    model = louder(build)
    expected = model.vocode(model.mel(torch.from_numpy(samples / 32768).float()), seed=3)
    assert expected.shape[-1] == (FRAMES - 1) * HOP
    # a loaded model has the faster forms of CPUs
    assert np.abs(heard("new/out.wav").astype(int) - as_16_bit(expected)).max() <= 1
    said = capsys.readouterr().out
    assert said.startswith("new/out.wav: 0.18 s of sound in ") and "real-time factor of" in said and "(cpu)" in said
    assert "resampled" not in said


def test_features(capsys):
    model = louder(tiny_melgan)
    mel = model.mel(sounds(1, FRAMES, HOP))[0]
    np.save("mel.npy", mel.T.numpy())
    np.save("batch.npy", mel.T[None].numpy().astype(np.float64))
    for name in ("mel", "batch"):
        vocode("tiny_melgan.ckpt", f"{name}.npy", f"{name}.wav")
        assert np.array_equal(heard(f"{name}.wav"), as_16_bit(model.vocode(mel)))


def test_other_sample_rates_are_resampled_which_is_said_once(capsys):
    for seed in range(3):
        recording(f"in/{seed}.wav", 16000, seed)
    vocode("tiny_melgan.ckpt", "in", "out")
    assert capsys.readouterr().out.count("resampled from 16000 Hz to the model's 8000 Hz") == 1
    model = louder(tiny_melgan)
    audio = resample(torch.from_numpy(soundfile.read("in/1.wav", dtype="float32")[0])[None], 16000, RATE)
    expected = as_16_bit(model.vocode(model.mel(audio)))
    assert np.abs(heard("out/1.wav").astype(int) - expected).max() < 40  # the samples are rounded to 16 bit between


def test_a_folder_keeps_its_names(capsys):
    recording("in/a.wav")
    recording("in/deep/b.flac", seed=1)
    np.save("in/deep/c.npy", louder(tiny_melgan).mel(sounds(1, 20, HOP))[0].T.numpy())
    vocode("tiny_melgan.ckpt", "in", "out")
    made = sorted(str(path) for path in Path("out").rglob("*") if path.is_file())
    assert made == ["out/a.wav", "out/deep/b.wav", "out/deep/c.wav"]
    assert not np.array_equal(heard("out/a.wav"), heard("out/deep/b.wav")) and len(heard("out/deep/c.wav")) == 20 * HOP
    assert capsys.readouterr().out.startswith("3 files in out: 0.40 s of sound in ")
    with pytest.raises(InputError, match=r"out holds sounds already.*move them away"):
        vocode("tiny_melgan.ckpt", "in", "out")


def test_chunks_and_seeds():
    recording("in.wav")
    for name, options in (("whole", []), ("parts", ["--chunk-seconds=0.02"]), ("other", ["--seed=1"])):
        vocode("tiny_parallel_wavegan.ckpt", "in.wav", f"{name}.wav", *options)
    whole, parts, other = (heard(f"{name}.wav").astype(int) for name in ("whole", "parts", "other"))
    assert np.abs(whole - parts).max() <= 1 and np.abs(whole - other).max() > 100
    vocode("tiny_parallel_wavegan.ckpt", "in.wav", "whole.wav", "--seed=1")  # a single file is replaced
    assert np.array_equal(heard("whole.wav"), other)


def test_a_cpu_works_on_some_seconds_at_a_time(monkeypatch):
    """The sound is the same, and no more of it is ever in memory."""
    recording("in.wav")
    vocode("tiny_parallel_wavegan.ckpt", "in.wav", "whole.wav")
    monkeypatch.setattr(vocoder, "CPU_SECONDS", 0.04)
    longest = []
    forward = vocoder.Vocoder.vocode_pieces

    def pieces(*args):
        for piece in forward(*args):
            longest.append(piece.shape[-1])
            yield piece

    monkeypatch.setattr(vocoder.Vocoder, "vocode_pieces", pieces)
    vocode("tiny_parallel_wavegan.ckpt", "in.wav", "parts.wav")
    assert longest == [320] * 4 + [(FRAMES - 1) * HOP - 4 * 320]
    assert np.abs(heard("whole.wav").astype(int) - heard("parts.wav")).max() <= 1


def test_all_files_are_looked_at_before_the_first_is_made(capsys):
    for name in ("a", "b", "c"):
        recording(f"in/{name}.wav")
    soundfile.write("in/short.wav", np.ones(3 * HOP, np.int16), RATE)
    np.save("in/z.npy", np.zeros((8, 30), np.float32))
    with pytest.raises(InputError, match=r"in/short\.wav: .*48 samples.*, in/z\.npy: .*its axes are swapped"):
        vocode("tiny_melgan.ckpt", "in", "out")
    assert not Path("out").exists()
    Path("in/short.wav").unlink()
    Path("in/z.npy").unlink()
    vocode("tiny_melgan.ckpt", "in", "out")
    assert capsys.readouterr().out.startswith("3 files in out: ")


def test_what_turns_out_to_be_damaged_is_left_out_and_named(capsys):
    recording("in/a.wav")
    mel_file(nan=True)
    Path("mel.npy").rename("in/b.npy")
    recording("in/c.wav")
    with pytest.raises(InputError, match=r"1 of 3 files were not made: in/b\.npy: the mel is not finite.*each alone"):
        vocode("tiny_melgan.ckpt", "in", "out")
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.wav", "c.wav"]
    assert capsys.readouterr().out.startswith("2 files in out: ")


def test_samples_that_are_not_finite_leave_nothing(monkeypatch):
    recording("in.wav")
    content = torch.load("tiny_melgan.ckpt")
    content["state_dict"]["generator.model.1.bias"].fill_(float("nan"))
    torch.save(content, "broken.ckpt")
    with pytest.raises(InputError, match="not finite"):
        vocode("broken.ckpt", "in.wav", "out.wav")
    assert not Path("out.wav").exists() and not list(Path().glob(".*"))


def test_clipped_sound_is_told(capsys):
    recording("in.wav")
    soundfile.write("loud.wav", np.where(np.arange(800) % 40 < 20, 32767, -32768).astype(np.int16), RATE)
    vocode("tiny_melgan.ckpt", "loud.wav", "out.wav")
    assert "loud.wav: 800 samples are at full scale" in capsys.readouterr().out


def mel_file(**changes) -> None:
    mel = np.full((30, 8), -2.0, np.float32)
    if "nan" in changes:
        mel[4] = np.nan
    np.save("mel.npy", mel.astype(changes.get("dtype", np.float32)).reshape(changes.get("shape", mel.shape)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(shape=(8, 30)), r"mel.npy: the mel has shape \(8, 30\), so 30 bands; .* its axes are swapped"),
        (dict(shape=(24, 10)), r"mel.npy: the mel has shape \(24, 10\), so 10 bands; MelGAN takes \(L, 8\)"),
        (dict(shape=(240,)), r"mel.npy: the mel has shape \(240,\)"),
        (dict(nan=True), "mel.npy: the mel is not finite in 1 of 30 frames, first in frame 4"),
        (dict(dtype=np.int64), "mel.npy: it holds int64; expected"),
        (dict(dtype=object), "mel.npy: not a .npy array of plain values"),
    ],
)
def test_features_that_cannot_be_used(changes, message):
    mel_file(**changes)
    with pytest.raises(InputError, match=message):
        vocode("tiny_melgan.ckpt", "mel.npy", "out.wav")
    assert not Path("out.wav").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("tiny_melgan.ckpt nowhere.wav out.wav", "there is no nowhere.wav; give a sound file, features"),
        ("tiny_melgan.ckpt in.wav out", "the output is out; expected a file name that ends in .wav"),
        ("tiny_melgan.ckpt in.wav in.wav", "in.wav would replace the input"),
        ("tiny_melgan.ckpt both out.wav", "the output is out.wav; expected a folder"),
        ("tiny_melgan.ckpt empty out", "empty holds no sound files and no features"),
        ("tiny_melgan.ckpt both out", "both/a.npy and both/a.wav would both become out/a.wav"),
        ("tiny_melgan.ckpt cut.wav out.wav", r"1 file.s. cannot be used: cut.wav .cut short"),
        ("tiny_melgan.ckpt text.wav out.wav", r"1 file.s. cannot be used: text.wav"),
        ("tiny_melgan.ckpt short.wav out.wav", "short.wav: .* 47 samples, and MelGAN takes at least 64"),
        ("tiny_melgan.ckpt in.wav out.wav --chunk-seconds 0", "--chunk-seconds is 0; expected a number above 0"),
        (f"tiny_melgan.ckpt in.wav out.wav --seed {2**64}", "--seed is given the seed 18446744073709551616; exp"),
        ("gan.ckpt in.wav out.wav", "gan.ckpt is a GAN, which makes nothing from mels"),
        ("no_model in.wav out.wav", "no model no_model in the zoo"),
    ],
)
def test_what_cannot_be_vocoded(args, message, here, capsys):
    recording("in.wav")
    recording("both/a.wav")
    np.save("both/a.npy", np.zeros((9, 8), np.float32))
    Path("empty").mkdir()
    Path("text.wav").write_text("no sound")
    Path("cut.wav").write_bytes(Path("in.wav").read_bytes()[:-200])
    soundfile.write("short.wav", np.ones(2 * HOP + 30, np.int16)[: 3 * HOP - 1], RATE)
    gan_checkpoint(here / "gan.ckpt")
    before = sorted(here.rglob("*"))
    with pytest.raises(SystemExit, match="2"):
        main(["vocode", *args.split(), "--device", "cpu"])
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("lightning-gans: error: ") and re.search(message, said), said
    assert sorted(here.rglob("*")) == before


def test_sample_points_to_vocode():
    with pytest.raises(InputError, match="not from noise; use vocode"):
        commands.main(["sample", "tiny_melgan.ckpt", "--device=cpu"])
