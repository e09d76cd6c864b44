import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny_zoo
from PIL import Image

from lightning_gans import zoo
from lightning_gans.cli import main as commands
from lightning_gans.errors import InputError
from lightning_gans.zoo import assets

GAP = 2
"""Pixels between the images of a grid."""


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
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
        (["gan_noise", "--num", "0"], "--num is 0; expected at least 1"),
        (["gan_noise", "--columns", "0"], "--columns is 0; expected at least 1"),
        (["gan_noise", "--interpolate", "1"], "expected at least 2"),
        (["gan_noise", "--interpolate", "5", "--num", "1"], "needs at least 2 latents"),
        (["cgan_noise", "--interpolate", "5", "--output", "a.gif"], "keeps one label"),
        (["gan_noise", "--output", "a.gif"], r"the output is a\.gif; expected .*\.png"),
        (["gan_noise", "--output", "grid"], "the output is grid; expected"),
        (["gan_noise", "--arithmetic", "1,2"], "--arithmetic is 1,2; expected three lists"),
        (["gan_noise", "--arithmetic", "1,2-3+4,5"], "equally many seeds"),
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


def test_the_list_is_an_aligned_table(capsys):
    commands.main(["zoo", "list"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "cgan_noise", "controlgan_noise", "gan_noise"]
    assert lines[3].endswith("parzen 226.5 nats (225 ± 2), fid_lenet 4.5")
    assert len({line.index(word) for line, word in zip(lines, ["PAPER", *["1406.2661"] * 3], strict=True)}) == 1


def test_show_prints_the_card_and_config_its_path(released, capsys):
    commands.main(["zoo", "show", "gan_noise"])
    out = capsys.readouterr().out
    assert out.startswith("---\nname: gan_noise\n")
    assert "Grey noise" in out and out.endswith(f"weights: {released / 'gan_noise.safetensors'}\n")
    with pytest.raises(InputError, match="did you mean cgan_noise"):
        commands.main(["zoo", "show", "cgan_nois"])


def test_export_makes_files_and_lists_what_is_to_be_filled_in(released, capsys):
    run = str(released / "runs" / "last.ckpt")
    commands.main(["zoo", "export", run, "--output", "out", "--name", "controlgan_new"])
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("out/controlgan_new.safetensors (")
    assert second.startswith("out/controlgan_new.md: fill in ") and "results[0].metric" in second


def test_verify_exits_with_1_when_a_hash_is_wrong(released, tmp_path, monkeypatch, capsys):
    (tmp_path / "zoo").mkdir()
    monkeypatch.setattr(assets, "zoo", lambda: tmp_path / "zoo")
    monkeypatch.setattr(assets, "configs", lambda: tmp_path)
    (tmp_path / "gan_mnist.yaml").write_text("")
    weights = tiny_zoo.entry(tmp_path / "zoo")
    commands.main(["zoo", "verify"])
    assert capsys.readouterr().out == "1 models, 0 problems\n"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(SystemExit) as status:
        commands.main(["zoo", "verify"])
    assert status.value.code == 1
    assert "SHA-256" in capsys.readouterr().out


def test_the_readme_is_rewritten(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("<!-- zoo:begin -->\n<!-- zoo:end -->\n")
    commands.main(["zoo", "readme"])
    assert readme.read_text().count("noise.md) |") == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["zoo"], "required: COMMAND; lightning-gans zoo --help tells more"),
        (["zoo", "lst"], "invalid choice: 'lst'"),
        (["sample"], "required: NAME; lightning-gans sample --help tells more"),
        (["sample", "x_y", "--num", "few"], "argument --num: invalid int value: 'few'"),
        (["sample", "x_y", "--nmu", "3"], "unrecognized arguments: --nmu 3"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, told):
    with pytest.raises(InputError) as raised:
        commands.main(arguments)
    assert told in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("arguments", [["sample", "--help"], ["zoo", "--help"], ["zoo", "export", "--help"]])
def test_help_does_not_wait_for_torch(arguments):
    code = (
        "import sys\nfrom lightning_gans import commands\n"
        f"try:\n    commands.main({arguments})\nexcept SystemExit:\n    sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "lightning-gans" in result.stdout + result.stderr
