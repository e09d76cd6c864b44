"""Data sets as LightningDataModules."""

from lightning_gans.data.audio_folder import AudioFolder
from lightning_gans.data.celeba import CelebA
from lightning_gans.data.digits import Digits
from lightning_gans.data.folder import ImageFolder
from lightning_gans.data.ljspeech import LJSpeech
from lightning_gans.data.mel_folder import MelFolder
from lightning_gans.data.mnist import MNIST
from lightning_gans.data.sc09 import SC09

__all__ = ["MNIST", "SC09", "AudioFolder", "CelebA", "Digits", "ImageFolder", "LJSpeech", "MelFolder"]
