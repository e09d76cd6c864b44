"""Make samples.png, the picture of the README, from released models: python zoo/samples.py."""

from pathlib import Path

import librosa
import matplotlib.pyplot as plt
import soundfile
import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from lightning_gans import zoo
from lightning_gans.data.base import data_root

FOLDER = Path(__file__).parent
RECORDING = data_root(None) / "LJSpeech-1.1" / "wavs" / "LJ014-0285.wav"
"""A clip of LJ Speech (public domain) that no model was trained on."""
SECONDS = 3


def grid(images: Tensor, columns: int) -> Tensor:
    """Images (B, C, H, W) in [-1, 1] as one (H, W, C) in [0, 1]."""
    return make_grid(images, columns, normalize=True, value_range=(-1, 1)).permute(1, 2, 0)


def main(output: Path = FOLDER / "samples.png") -> None:
    """Write the picture: digits of each class, faces, the spectrogram of generated speech."""
    digits = zoo.load("r3gan_mnist").sample(50, seed=0)  # the classes in turn
    faces = zoo.load("dcgan_faces").sample(18, seed=0)
    samples, rate = soundfile.read(RECORDING, stop=SECONDS * 22050, dtype="float32")
    vocoder = zoo.load("vocos_ljspeech")
    speech = vocoder.vocode(vocoder.mel(torch.from_numpy(samples)))[0, 0].numpy()
    decibels = librosa.amplitude_to_db(abs(librosa.stft(speech, n_fft=1024, hop_length=256)), ref=30)

    _, axes = plt.subplots(1, 3, figsize=(11, 2.4), width_ratios=(2, 2, 2.2), layout="constrained")
    for axis, image, title in [
        (axes[0], grid(digits, 10), "r3gan_mnist: a class per column"),
        (axes[1], grid(faces, 6), "dcgan_faces"),
    ]:
        axis.imshow(image)
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    extent = (0, len(speech) / rate, 0, rate / 2000)
    axes[2].imshow(decibels, origin="lower", aspect="auto", vmin=-80, vmax=-10, extent=extent)
    axes[2].set_title("vocos_ljspeech: speech made of a mel spectrogram", fontsize=10)
    axes[2].set(xlabel="s", ylabel="kHz")
    plt.savefig(output, dpi=110)
    Image.open(output).convert("RGB").quantize(128).save(output, optimize=True)


if __name__ == "__main__":
    main()
