"""Data sets as LightningDataModules."""

from lightning_gans.data.celeba import CelebA
from lightning_gans.data.digits import Digits
from lightning_gans.data.folder import ImageFolder
from lightning_gans.data.mnist import MNIST

__all__ = ["MNIST", "CelebA", "Digits", "ImageFolder"]
