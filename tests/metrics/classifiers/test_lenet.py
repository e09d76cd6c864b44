import hashlib

import pytest
import torch
from torch.nn.functional import pad

from lightning_gans.errors import InputError
from lightning_gans.metrics.classifiers import lenet
from lightning_gans.metrics.classifiers.lenet import LeNet, accuracy, load_lenet, shifted, train_lenet
from lightning_gans.metrics.classifiers.stored import store


def test_architecture():
    """By hand: (25 + 1) 20 + (500 + 1) 50 + (1250 + 1) 128 + (128 + 1) 10 = 186,988."""
    network = LeNet()
    assert sum(p.numel() for p in network.parameters()) == 520 + 25_050 + 160_128 + 1_290
    images = torch.rand(3, 1, 28, 28) * 2 - 1
    assert network.features(images).shape == (3, 128) and network(images).shape == (3, 10)


def test_weights_file():
    data = lenet.WEIGHTS.read_bytes()
    assert hashlib.sha256(data).hexdigest() == lenet.SHA256
    assert len(data) < 400_000
    network = load_lenet()
    assert not network.training and not any(p.requires_grad for p in network.parameters())


def test_knows_digits_that_it_never_saw(digits):
    """91.5 % of another data set's digits; chance is 10 %."""
    images, labels = digits
    assert (load_lenet()(images).argmax(1) == labels).float().mean().item() == pytest.approx(0.915, abs=0.005)


def test_accuracy_on_mnist(mnist):
    """99.45 % of all test images; here of every fourth."""
    images, labels = mnist["test"][0][::4], mnist["test"][1][::4]
    assert accuracy(load_lenet(), (images + 1) * 127.5, labels) == pytest.approx(0.9956, abs=4e-4)


def test_padding_and_colour_change_nothing(digits):
    images, network = digits[0][:8], load_lenet()
    expected = network(images)
    assert torch.equal(network(pad(images, (2,) * 4, value=-1)), expected)
    tinted = torch.cat([images - 0.1, images, images + 0.1], 1)
    torch.testing.assert_close(network(tinted), expected, atol=1e-4, rtol=1e-4)


def test_same_under_autocast(digits):
    network = load_lenet()
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(digits[0][:8].bfloat16())
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("shape", [(2, 1, 64, 64), (2, 4, 28, 28), (1, 28, 28), (2, 1, 28, 32)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(InputError, match=r"takes \(B, 1 or 3, 28, 28\) and"):
        load_lenet()(torch.zeros(shape))


def test_damaged_or_missing_weights(tmp_path):
    damaged = tmp_path / "lenet.safetensors"
    damaged.write_bytes(lenet.WEIGHTS.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=f"expected {lenet.SHA256[:12]}"):
        load_lenet(damaged)
    with pytest.raises(InputError, match=r"there is no file .*install the package again"):
        load_lenet(tmp_path / "none")


def test_training_learns_and_repeats(digits, tmp_path):
    images, labels = digits[0][:400], digits[1][:400]
    images = ((images + 1) * 127.5).round().byte()
    first, second = (train_lenet(images, labels, epochs=4, batch_size=20, seed=3) for _ in range(2))
    assert accuracy(first, images, labels) > 0.9
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    other = train_lenet(images, labels, epochs=1, seed=4)
    assert not torch.equal(other.conv1.weight, first.conv1.weight)
    path = tmp_path / "lenet.safetensors"
    stored = load_lenet(path, store(first, path))
    torch.testing.assert_close(stored.conv1.weight, first.conv1.weight, atol=1e-3, rtol=1e-3)
    assert accuracy(stored, images, labels) == pytest.approx(accuracy(first, images, labels), abs=0.01)


def test_shifts_of_up_to_two_pixels():
    """One lit pixel at (10, 10) of 28x28 is at (12, 12) of 32x32, give or take two, each of the 25 places in use."""
    images = torch.full((500, 1, 28, 28), -1.0)
    images[:, 0, 10, 10] = 1
    moved = shifted(images, torch.Generator().manual_seed(0))
    assert moved.shape == (500, 1, 32, 32) and (moved == 1).sum() == 500
    places = {(row, column) for _, _, row, column in (moved == 1).nonzero().tolist()}
    assert places == {(row, column) for row in range(10, 15) for column in range(10, 15)}


def test_command(tmp_path, capsys):
    """The command on a few images of the idx format."""
    import struct

    from lightning_gans.metrics.classifiers.stored import command
    from lightning_gans.metrics.classifiers.train_lenet import main

    generator = torch.Generator().manual_seed(0)
    for name, count in (("train", 200), ("t10k", 50)):
        pixels = torch.randint(256, (count, 28, 28), dtype=torch.uint8, generator=generator)
        header = struct.pack(">HBB3I", 0, 8, 3, count, 28, 28)
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(header + pixels.numpy().tobytes())
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, count) + bytes(count))
    output = tmp_path / "lenet.safetensors"
    assert command(main, ["--root", str(tmp_path), "--output", str(output), "--epochs", "2"]) == 0
    printed = capsys.readouterr().out
    assert "test accuracy 100.00% on 50 images" in printed  # all labels are 0
    assert hashlib.sha256(output.read_bytes()).hexdigest() in printed
