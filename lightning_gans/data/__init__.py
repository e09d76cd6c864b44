"""Data sets as LightningDataModules."""

from lightning_gans.data.audio.folder import AudioFolder
from lightning_gans.data.audio.sc09 import SC09
from lightning_gans.data.images.celeba import CelebA
from lightning_gans.data.images.digits import Digits
from lightning_gans.data.images.folder import ImageFolder
from lightning_gans.data.images.mnist import MNIST
from lightning_gans.data.images.streamed import StreamedImages
from lightning_gans.data.mels.folder import MelFolder
from lightning_gans.data.mels.ljspeech import LJSpeech
from lightning_gans.data.mels.streamed import StreamedMels

__all__ = [
    "MNIST",
    "SC09",
    "AudioFolder",
    "CelebA",
    "Digits",
    "ImageFolder",
    "LJSpeech",
    "MelFolder",
    "StreamedImages",
    "StreamedMels",
]
