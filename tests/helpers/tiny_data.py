"""A folder of data sets in the layouts that the package looks for, of a few generated examples each."""

from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from lightning_gans.data.audio.sc09 import WORDS

RANDOM = np.random.default_rng(0)


def write_all(root: Path) -> None:
    """MNIST, CelebA, congress_faces, Speech Commands v0.01, fsdd, my_sounds and LJ Speech."""
    for split, count in {"train": 60, "t10k": 10}.items():
        write_idx(root / f"MNIST/raw/{split}-images-idx3-ubyte", RANDOM.integers(0, 256, (count, 28, 28)))
        write_idx(root / f"MNIST/raw/{split}-labels-idx1-ubyte", np.arange(count) % 10)
    boxes = ["image,face_x,face_y,face_w,face_h,face_sure"]
    for number in range(12):
        write_image(root / f"celeba/img_align_celeba/{number:06}.jpg", 178, 218)
        write_image(root / f"congress_faces/{number}.jpg", 80, 100)
        boxes.append(f"{number}.jpg,10,10,60,60,1")
    (root / "congress_faces/attributes.csv").write_text("\n".join(boxes))
    speech = root / "SpeechCommands/speech_commands_v0.01"
    names = [f"{word}/{speaker}_nohash_0.wav" for word in WORDS for speaker in "abc"]
    for name in names:
        write_sound(speech / name)
    (speech / "validation_list.txt").write_text("\n".join(names[::3]))
    (speech / "testing_list.txt").write_text("\n".join(names[1::3]))
    for number in range(12):
        for digit in (0, 1):
            write_sound(root / f"fsdd/{digit}_george_{number}.wav")
        write_sound(root / f"my_sounds/{number}.wav")
    for name in ("LJ001-0001", "LJ001-0002", "LJ050-0029", "LJ014-0285", "LJ050-0032"):
        write_sound(root / f"LJSpeech-1.1/wavs/{name}.wav", 22050)


def write_idx(path: Path, values: np.ndarray) -> None:
    """Unsigned bytes in MNIST's format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = np.array(values.shape, ">i4").tobytes()
    path.write_bytes(bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes())


def write_image(path: Path, width: int, height: int) -> None:
    """Noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, 256, (height, width, 3), np.uint8)).save(path)


def write_sound(path: Path, rate: int = 16000) -> None:
    """A second and a half of a voice-like tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(rate * 3 // 2) / rate
    tone = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 9))
    soundfile.write(path, 0.2 * tone + 0.01 * RANDOM.standard_normal(len(time)), rate)
