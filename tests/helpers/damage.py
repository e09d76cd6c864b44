"""Small files of each kind that is read, how each is read, and ways to damage a file."""

import gzip
import io
import random
import zipfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import soundfile
import yaml
from helpers import tiny_zoo
from PIL import Image

from lightning_gans import zoo
from lightning_gans.cli.arguments import read_config
from lightning_gans.data.audio.decoding import decode, measure
from lightning_gans.data.images.files import ImageFiles
from lightning_gans.data.images.lists import read_attributes, read_boxes, read_partition
from lightning_gans.data.images.mnist import read_idx
from lightning_gans.data.images.resizing import resized_images
from lightning_gans.data.mels.files import _load
from lightning_gans.files.arrays import named
from lightning_gans.importers.tensorflow_bundle import read_index
from lightning_gans.tracking.recorded import read_run
from lightning_gans.zoo.cards import Card

ANEW = count()
"""Times of change, so that no image is taken from the cache."""
KINDS: dict[str, Callable[[Path], object]] = {
    "a.wav": lambda path: decode(path, measure(path), 16000, 1, None, False),
    "a.flac": lambda path: decode(path, measure(path), 16000, 1, None, False),
    "a.ogg": lambda path: decode(path, measure(path), 16000, 1, None, False),
    "a.npy": lambda path: _load(path, 4),
    "a.npz": lambda path: named(path, ("mean", "std")),
    "a.png": lambda path: resized_images(
        ImageFiles(path.parent, {path.name: (0, next(ANEW))}), [path.name], None, 8, 3
    ),
    "a.jpg": lambda path: resized_images(
        ImageFiles(path.parent, {path.name: (0, next(ANEW))}), [path.name], None, 8, 3
    ),
    "a.zip": lambda path: [ImageFiles(path).read(name) for name in ImageFiles(path).stamps],
    "train-images-idx3-ubyte.gz": lambda path: read_idx(path.parent, path.stem),
    "attributes.txt": read_attributes,
    "partition.txt": read_partition,
    "boxes.csv": read_boxes,
    "a.safetensors": zoo.load,
    "a.ckpt": zoo.load,
    "gan_noise.md": Card.read,
    "a.yaml": read_config,
    "metrics.csv": lambda path: read_run(path.parent),
    "model.index": lambda path: read_index(path.with_suffix("")),
}
"""How a file of each name is read."""


def resized(path: Path) -> object:
    """An image as a data set takes it."""
    return resized_images(ImageFiles(path.parent, {path.name: (0, next(ANEW))}), [path.name], None, 8, 3)


def write_all(folder: Path) -> None:
    """A good file of each kind, in a folder of its own."""
    from helpers.bundle_writer import write_bundle

    def place(name: str) -> Path:
        (folder / name).mkdir(parents=True)
        return folder / name / name

    draw = np.random.default_rng(0)
    tone = 0.5 * np.sin(np.arange(4000) / 10)
    for name in ("a.wav", "a.flac", "a.ogg"):
        soundfile.write(place(name), tone, 8000)
    np.save(place("a.npy"), draw.normal(size=(30, 4)))
    np.savez(place("a.npz"), mean=np.ones(5), std=np.ones(5))
    image = Image.fromarray(draw.integers(0, 255, (24, 24, 3), np.uint8))
    for name in ("a.png", "a.jpg"):
        image.save(place(name))
    image.save(data := io.BytesIO(), "PNG")
    with zipfile.ZipFile(place("a.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", data.getvalue())
    header = b"".join(number.to_bytes(4, "big") for number in (0x803, 3, 28, 28))
    place("train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + draw.bytes(3 * 28 * 28)))
    place("attributes.txt").write_text("2\nBald Young\na.jpg 1 -1\nb.jpg -1 1\n")
    place("partition.txt").write_text("a.jpg 0\nb.jpg 2\n")
    place("boxes.csv").write_text("image,face_x,face_y,face_w,face_h\na.jpg,1,2,30,40\n")
    exported = tiny_zoo.entry(folder / "entry")
    place("a.safetensors").write_bytes(exported.read_bytes())
    place("gan_noise.md").write_bytes(exported.with_suffix(".md").read_bytes())
    tiny_zoo.checkpoint(place("a.ckpt"))
    place("a.yaml").write_text(yaml.safe_dump({"model": {"class_path": "GAN"}, "data": "Digits"}))
    place("metrics.csv").write_text("generator_updates,val/x\n1,0.5\n2,0.25\n")
    write_bundle(place("model.index").with_suffix(""), {"G/a": np.ones((2, 3), np.float32)})


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Cut, bytes changed, a part repeated, filled with zeros or left out; a number enlarged."""
    content = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8))):
        at = draw.randrange(len(content) or 1)
        size = draw.choice((1, 4, 8, 64))
        match draw.randrange(6):
            case 0:
                del content[at:]
            case 1:
                content[at : at + 1] = bytes([draw.randrange(256)])
            case 2:
                content[at:at] = content[at : at + size] * draw.choice((1, 50))
            case 3:
                content[at : at + size] = bytes(size)
            case 4:
                del content[at : at + size]
            case 5:
                content[at : at + size] = b"\xff" * size
    return bytes(content)
