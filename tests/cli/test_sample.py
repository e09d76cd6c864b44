import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers import tiny_zoo
from PIL import Image
from safetensors.torch import load_file, save_file

from lightning_gans import zoo
from lightning_gans.callbacks.media import clips_picture
from lightning_gans.cli import main as commands
from lightning_gans.errors import InputError
from lightning_gans.training.sampling import interpolate
from lightning_gans.zoo import assets

RATE = tiny_zoo.TINY["WaveGAN"]["sample_rate"]
PAUSE = RATE // 4
GAP = 2
"""Pixels between the images of a grid."""


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    tiny_zoo.entry(folder, "wavegan_noise", "WaveGAN")
    with pytest.MonkeyPatch.context() as patch:
        labels = tiny_zoo.TINY["WaveGAN"] | {"num_classes": 3, "channels": 2}
        patch.setitem(tiny_zoo.TINY, "ConditionalWaveGAN", labels)
        tiny_zoo.entry(folder, "wavegan_classes", "ConditionalWaveGAN")
    for name, model in (("gan_noise", "GAN"), ("cgan_noise", "CGAN"), ("controlgan_noise", "ControlGAN")):
        tiny_zoo.entry(folder, name, model)
    return folder


@pytest.fixture(autouse=True)
def here(released, tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "zoo", lambda: released)
    monkeypatch.delenv("LIGHTNING_GANS_ZOO", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sample(*arguments: str) -> None:
    commands.main(["sample", *arguments, "--device", "cpu"])


# ---- images


def grid(path: str, size: int, columns: int) -> np.ndarray:
    """The images of a picture, (N, size, size) as bytes, row by row."""
    picture = np.asarray(Image.open(path).convert("L"))
    height, width = picture.shape
    rows = (height - GAP) // (size + GAP)
    assert (height, width) == (rows * (size + GAP) + GAP, columns * (size + GAP) + GAP)
    cells = picture[GAP:, GAP:].reshape(rows, size + GAP, columns, size + GAP).transpose(0, 2, 1, 3)
    return cells[:, :, :size, :size].reshape(-1, size, size)


def as_bytes(images: torch.Tensor) -> np.ndarray:
    """Grey levels; the images must differ for a comparison to mean anything."""
    assert len(images.unique(dim=0)) > 1
    return (((images[:, 0] + 1) / 2).clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()


def test_a_grid_shows_what_the_model_samples(capsys):
    sample("gan_noise", "--num", "12", "--seed", "3", "--output", "new/folder/grid.png", "--columns", "6")
    assert np.array_equal(grid("new/folder/grid.png", 4, 6), as_bytes(zoo.load("gan_noise").sample(12, seed=3)))
    assert capsys.readouterr().out == "12 images of gan_noise are in new/folder/grid.png\n"


def test_without_options_it_is_64_images_beside_the_caller():
    sample("gan_noise")
    assert len(grid("gan_noise.png", 4, 8)) == 64


def test_a_file_of_the_user_is_sampled_too(released):
    sample(str(released / "gan_noise.safetensors"), "--num", "4")
    sample(str(released / "runs" / "last.ckpt"), "--num", "2")
    assert np.array_equal(grid("gan_noise.png", 4, 2), as_bytes(zoo.load("gan_noise").sample(4, seed=0)))
    assert Path("last.png").is_file()


def test_labels_are_taken_in_turn():
    model = zoo.load("cgan_noise")
    sample("cgan_noise", "--num", "4", "--label", "7,1,0", "--columns", "4")
    assert np.array_equal(grid("cgan_noise.png", 4, 4), as_bytes(model.sample(4, [7, 1, 0, 7], seed=0)))
    sample("cgan_noise", "--num", "20")
    assert np.array_equal(grid("cgan_noise.png", 4, 10), as_bytes(model.sample(20, seed=0)))


def test_strengths_multiply_the_label_with_the_same_latents_in_every_row():
    sample("controlgan_noise", "--num", "3", "--label", "7", "--strength", "-1,0,0.5,2")
    model, rows = zoo.load("controlgan_noise"), torch.zeros(12, 10)
    rows[:, 7] = torch.tensor([-1.0] * 3 + [0.0] * 3 + [0.5] * 3 + [2.0] * 3)
    expected = as_bytes(model.sample_from(model.latents(3, 0).repeat(4, 1), rows))
    shown = grid("controlgan_noise.png", 28, 3)
    assert np.array_equal(shown, expected)
    assert not np.array_equal(shown[:3], shown[9:])


def test_a_sum_of_labels_sets_both_entries():
    sample("controlgan_noise", "--num", "2", "--label", "2+5,1")
    model, rows = zoo.load("controlgan_noise"), torch.zeros(2, 10)
    rows[0, [2, 5]] = rows[1, 1] = 1.0
    expected = as_bytes(model.sample_from(model.latents(2, 0), rows))
    assert np.array_equal(grid("controlgan_noise.png", 28, 1), expected)


def test_a_walk_has_a_row_per_leg_that_ends_at_the_latents():
    sample("gan_noise", "--num", "3", "--interpolate", "5", "--seed", "1")
    shown, ends = grid("gan_noise.png", 4, 5), as_bytes(zoo.load("gan_noise").sample(3, seed=1))
    assert len(shown) == 10
    assert np.array_equal(shown[[0, 4, 5, 9]], ends[[0, 1, 1, 2]])


def test_a_walk_keeps_one_label_per_leg():
    sample("cgan_noise", "--num", "3", "--interpolate", "2", "--label", "4,9")
    model = zoo.load("cgan_noise")
    z = model.latents(3, 0)[[0, 1, 1, 2]]
    expected = as_bytes(model.sample_from(z, model.label_rows(4, [4, 4, 9, 9])))
    assert np.array_equal(grid("cgan_noise.png", 4, 2), expected)


def test_a_gif_walks_without_stopping_where_legs_meet():
    sample("gan_noise", "--num", "3", "--interpolate", "5", "--output", "walk.gif")
    with Image.open("walk.gif") as walk:
        assert walk.format == "GIF" and walk.size == (4, 4) and walk.n_frames == 9
        assert walk.info["loop"] == 0


def test_arithmetic_shows_terms_means_and_result():
    sample("gan_noise", "--arithmetic", "1,2-3,4+5,6")
    model, shown = zoo.load("gan_noise"), grid("gan_noise.png", 4, 3)
    z = {seed: model.latents(1, seed)[0] for seed in range(1, 7)}
    result = (z[1] + z[2] - z[3] - z[4] + z[5] + z[6]) / 2
    expected = as_bytes(model.sample_from(torch.stack([z[1], z[2], (z[1] + z[2]) / 2, z[3], result])))
    assert len(shown) == 15
    assert np.array_equal(shown[[0, 1, 2, 3, 9]], expected)


def test_below_each_row_are_the_nearest_training_images(here, monkeypatch):
    monkeypatch.setenv("LIGHTNING_GANS_CACHE", str(here / "cache"))
    made = as_bytes(zoo.load("gan_noise").sample(5, seed=0))
    Path("mine").mkdir()
    for index in (4, 1, 3, 0, 2):
        Image.fromarray(made[index]).save(f"mine/{index}.png")
    options = {"root": ".", "folder": "mine", "image_size": 4, "channels": 1, "validation": 0}
    Path("mine.yaml").write_text(json.dumps({"data": {"class_path": "ImageFolder", "init_args": options}}))
    sample("gan_noise", "--num", "5", "--columns", "3", "--nearest", "mine.yaml")
    shown = grid("gan_noise.png", 4, 3)
    assert np.array_equal(shown[[0, 1, 2, 6, 7]], made) and np.array_equal(shown[[3, 4, 5, 9, 10]], made)
    assert shown[[8, 11]].min() == 255
    wrong = {
        "data: os.system": "not the config of a data set",
        "data: Digits": "Digits has image_size 32",
        "data: {class_path: Digits, init_args: {nope: 1}}": "mine.yaml: not the config .*'nope'",
        "data: [1]": "mine.yaml: not the config",
        "- 1": "mine.yaml: not the config",
    }
    for content, message in wrong.items():
        Path("mine.yaml").write_text(content)
        with pytest.raises(InputError, match=message):
            sample("gan_noise", "--nearest", "mine.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gan_nose"], r"did you mean gan_noise"),
        (["gan_noise", "--label", "1"], "GAN takes no label"),
        (["gan_noise", "--label", "1+2"], "GAN takes no label"),
        (["cgan_noise", "--label", "10"], "label 10 is out of range; this CGAN has 0 to 9"),
        (["cgan_noise", "--label", "-1"], "label -1 is out of range"),
        (["cgan_noise", "--label", "seven"], "--label is given seven; expected whole numbers"),
        (["cgan_noise", "--label", "1+2"], r"--label 1\+2 sets several entries; a CGAN takes one"),
        (["cgan_noise", "--strength", "1,2"], "a CGAN knows only whole labels"),
        (["controlgan_noise", "--strength", "1;2"], "--strength is given 1;2; expected numbers separated by ,"),
        (["controlgan_noise", "--strength", "nan"], "--strength is given nan; expected numbers"),
        (["gan_noise", "--num", "0"], "--num is 0; expected at least 1"),
        (["gan_noise", "--columns", "0"], "--columns is 0; expected at least 1"),
        (["gan_noise", "--interpolate", "1"], "expected at least 2"),
        (["gan_noise", "--interpolate", "5", "--num", "1"], "needs at least 2 latents"),
        (["cgan_noise", "--interpolate", "5", "--output", "a.gif"], "keeps one label"),
        (["gan_noise", "--output", "a.gif"], r"the output is a\.gif; expected .*\.png"),
        (["gan_noise", "--output", "grid"], "the output is grid; expected"),
        (["gan_noise", "--arithmetic", "1,2"], "--arithmetic is 1,2; expected three lists"),
        (["gan_noise", "--arithmetic", "1,2-3+4,5"], "equally many seeds"),
        (["gan_noise", "--arithmetic", f"1-2+{2**64}"], "--arithmetic is given the seed 18446744073709551616;"),
        (["gan_noise", "--seed", str(-(2**63) - 1)], "--seed is given the seed -9223372036854775809; expected"),
        (["cgan_noise", "--arithmetic", "1-2+3"], "keeps one label"),
    ],
)
def test_what_cannot_be_sampled_is_said_in_one_line_and_leaves_nothing(here, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        sample(*arguments)
    assert "\n" not in str(caught.value)
    assert list(here.iterdir()) == []


def test_a_device_that_is_not_there_is_said_in_one_line():
    with pytest.raises(InputError, match="--device gpu cannot be used here") as caught:
        commands.main(["sample", "gan_noise", "--device", "gpu"])
    assert "\n" not in str(caught.value)


# ---- sounds


def names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def clip(path: str | Path) -> np.ndarray:
    """(T, C) as 16-bit numbers."""
    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    assert rate == RATE and soundfile.info(path).subtype == "PCM_16"
    return samples


def as_16_bit(audio: torch.Tensor) -> np.ndarray:
    """(C, T) to what its file holds."""
    return (audio.clamp(-1, 1) * 32767).round().short().T.numpy()


def test_a_folder_of_clips_with_latents_and_picture(capsys):
    sample("wavegan_noise", "--num", "3", "--seed", "5", "--output", "new/folder")
    assert capsys.readouterr().out == "3 clips of wavegan_noise are in new/folder\n"
    assert names("new/folder") == ["000.wav", "001.wav", "002.wav", "latents.safetensors", "picture.png"]
    model = zoo.load("wavegan_noise")
    audio = model.sample(3, seed=5)
    assert len(audio.unique(dim=0)) == 3
    for number in range(3):
        assert np.array_equal(clip(f"new/folder/00{number}.wav"), as_16_bit(audio[number]))
    saved = load_file("new/folder/latents.safetensors")
    assert set(saved) == {"z"} and torch.equal(saved["z"], model.latents(3, 5))
    shown = np.asarray(Image.open("new/folder/picture.png"))
    assert np.array_equal(shown, np.asarray(clips_picture(audio, RATE)))


def test_without_options_it_is_16_clips_in_a_folder_beside_the_caller():
    sample("wavegan_noise")
    assert len(list(Path("wavegan_noise").glob("*.wav"))) == 16


def test_a_picture_of_many_shows_the_first(capsys):
    sample("wavegan_noise", "--num", "65")
    assert capsys.readouterr().out.endswith("; wavegan_noise/picture.png shows the first 64\n")


def test_labels_are_taken_in_turn_and_kept_beside_the_latents():
    sample("wavegan_classes", "--num", "4", "--label", "2,0")
    model = zoo.load("wavegan_classes")
    audio = model.sample(4, [2, 0, 2, 0], seed=0)
    for number in range(4):
        assert np.array_equal(clip(f"wavegan_classes/00{number}.wav"), as_16_bit(audio[number]))
    saved = load_file("wavegan_classes/latents.safetensors")
    assert saved["label"].argmax(1).tolist() == [2, 0, 2, 0]
    sample("wavegan_classes", "--num", "4", "--output", "turn")
    assert load_file("turn/latents.safetensors")["label"].argmax(1).tolist() == [0, 1, 2, 0]


def test_saved_latents_give_the_same_clips_again():
    sample("wavegan_classes", "--num", "3", "--seed", "8", "--label", "2", "--output", "first")
    sample("wavegan_classes", "--latents", "first/latents.safetensors", "--output", "again")
    assert names("first") == names("again")
    for name in names("first"):
        assert Path("first", name).read_bytes() == Path("again", name).read_bytes(), name
    sample("wavegan_classes", "--latents", "first/latents.safetensors", "--label", "1", "--output", "other")
    audio = zoo.load("wavegan_classes").sample(3, 1, seed=8)
    assert np.array_equal(clip("other/001.wav"), as_16_bit(audio[1]))


def test_a_walk_is_one_sound(capsys):
    sample("wavegan_noise", "--num", "3", "--interpolate", "4", "--output", "walk.wav")
    assert "7 clips of wavegan_noise, one after the other, are in walk.wav" in capsys.readouterr().out
    assert names(".") == ["walk.latents.safetensors", "walk.png", "walk.wav"]
    model = zoo.load("wavegan_noise")
    ends = model.latents(3, 0)
    z = torch.cat([interpolate(ends[0], ends[1], 4), interpolate(ends[1], ends[2], 4)[1:]])
    assert torch.equal(load_file("walk.latents.safetensors")["z"], z)
    sound, length = clip("walk.wav"), tiny_zoo.TINY["WaveGAN"]["length"]
    assert len(sound) == 7 * length + 6 * PAUSE
    for number, audio in enumerate(model.sample_from(z)):
        start = number * (length + PAUSE)
        assert np.array_equal(sound[start : start + length], as_16_bit(audio))
        assert not sound[start + length : start + length + PAUSE].any()


def test_a_walk_leaves_a_weights_file_beside_it_alone(released):
    weights = Path("mine.safetensors")
    weights.write_bytes((released / "wavegan_noise.safetensors").read_bytes())
    sample("mine.safetensors", "--interpolate", "2", "--num", "2")
    assert weights.read_bytes() == (released / "wavegan_noise.safetensors").read_bytes()
    assert names(".") == ["mine.latents.safetensors", "mine.png", "mine.safetensors", "mine.wav"]
    Path("mine.wav").unlink()  # the picture may be somebody else's then
    with pytest.raises(InputError, match=r"mine\.latents\.safetensors would be replaced; move it away"):
        sample("mine.safetensors", "--interpolate", "2", "--num", "2", "--output", "mine.wav")


def test_a_walk_of_a_conditional_model_keeps_its_label():
    sample("wavegan_classes", "--interpolate", "3", "--num", "2", "--label", "1")
    saved = load_file("wavegan_classes.latents.safetensors")
    assert saved["label"].argmax(1).tolist() == [1, 1, 1] and clip("wavegan_classes.wav").shape[1] == 2


def test_arithmetic_writes_the_means_and_the_result():
    sample("wavegan_noise", "--arithmetic", "1,2-3,4+5,6")
    model = zoo.load("wavegan_noise")
    a, b, c = (torch.cat([model.latents(1, seed) for seed in seeds]).mean(0) for seeds in ((1, 2), (3, 4), (5, 6)))
    audio = model.sample_from(torch.stack([a, b, c, a - b + c]))
    for name, expected in zip(("a", "b", "c", "result"), audio, strict=True):
        assert np.array_equal(clip(f"wavegan_noise/{name}.wav"), as_16_bit(expected))


def test_latents_give_images_too():
    model = zoo.load("gan_noise")
    save_file({"z": model.latents(4, 9)}, "z.safetensors")
    sample("gan_noise", "--latents", "z.safetensors", "--output", "again.png")
    sample("gan_noise", "--num", "4", "--seed", "9", "--output", "first.png")
    assert Path("again.png").read_bytes() == Path("first.png").read_bytes()


def test_the_clips_of_two_calls_do_not_mix():
    sample("wavegan_noise", "--num", "2")
    before = {name: Path("wavegan_noise", name).read_bytes() for name in names("wavegan_noise")}
    with pytest.raises(InputError, match=r"wavegan_noise holds sounds already.*--output DIR"):
        sample("wavegan_noise", "--num", "1", "--seed", "1")
    assert before == {name: Path("wavegan_noise", name).read_bytes() for name in names("wavegan_noise")}
    Path("other").mkdir()
    Path("other", "notes.txt").touch()
    sample("wavegan_noise", "--num", "2", "--output", "other")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["wavegan_noise", "--nearest", "wavegan_fsdd"], "--nearest is for images"),
        (["wavegan_noise", "--columns", "3"], "--columns arranges images, and a WaveGAN makes sound"),
        (["wavegan_noise", "--output", "a.wav"], r"the output is a\.wav; expected a folder.*--interpolate"),
        (["wavegan_noise", "--output", "a.png"], r"the output is a\.png; expected a folder"),
        (["wavegan_noise", "--interpolate", "3", "--output", "a.gif"], r"the output is a\.gif; expected .*\.wav"),
        (["wavegan_noise", "--interpolate", "3", "--output", "folder"], r"the output is folder; expected .*\.wav"),
        (["wavegan_noise", "--interpolate", "1"], "expected at least 2"),
        (["wavegan_noise", "--strength", "1,2"], "a WaveGAN knows only whole labels"),
        (["wavegan_noise", "--label", "1"], "WaveGAN takes no label"),
        (["wavegan_classes", "--label", "3"], "label 3 is out of range; this ConditionalWaveGAN has 0 to 2"),
        (["wavegan_classes", "--interpolate", "3"], "keeps one label"),
        (["wavegan_classes", "--arithmetic", "1-2+3"], "keeps one label"),
        (["wavegan_noise", "--num", "0"], "--num is 0; expected at least 1"),
        (["wavegan_noise", "--latents", "x.safetensors", "--num", "3"], "leave out --num and --seed"),
        (["wavegan_noise", "--latents", "x.safetensors", "--seed", "0"], "leave out --num and --seed"),
        (["wavegan_noise", "--latents", "x.safetensors"], "there is no file x.safetensors; give --latents"),
        (
            ["wavegan_noise", "--latents", "x.safetensors", "--interpolate", "3"],
            "--interpolate and --latents are not allowed",
        ),
    ],
)
def test_what_makes_no_sense_for_sound_is_one_line_and_leaves_nothing(here, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        sample(*arguments)
    assert "\n" not in str(caught.value)
    assert list(here.iterdir()) == []


def test_latents_that_do_not_fit_the_model(here):
    save_file({"z": torch.zeros(2, 5)}, "long.safetensors")
    save_file({"z": torch.zeros(2, 3), "label": torch.zeros(2, 4)}, "classes.safetensors")
    save_file({"x": torch.zeros(2, 3)}, "other.safetensors")
    save_file({"z": torch.full((2, 3), torch.nan)}, "nan.safetensors")
    Path("text.safetensors").write_text("no tensors")
    for name, message in (
        ("long", r"z of shape \(2, 5\); ConditionalWaveGAN takes latents z of shape \(N, 3\)"),
        ("classes", r"the label has shape \(2, 4\)"),
        ("other", "holds tensors x"),
        ("nan", "nan.safetensors holds latents that are not finite"),
        ("text", "not a safetensors file"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            sample("wavegan_classes", "--latents", f"{name}.safetensors")
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="WaveGAN takes no label"):
        sample("wavegan_noise", "--latents", "classes.safetensors")
    assert not Path("wavegan_classes").exists() and not Path("wavegan_noise").exists()


def test_a_file_in_the_place_of_the_folder():
    Path("wavegan_noise").touch()
    with pytest.raises(InputError, match="the output is wavegan_noise; expected a folder"):
        sample("wavegan_noise")
    with pytest.raises(InputError, match=r"000\.wav cannot be written \(Not a directory\)"):
        sample("wavegan_noise", "--output", "wavegan_noise/x")
