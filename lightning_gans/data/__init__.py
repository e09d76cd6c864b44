"""Data sets as LightningDataModules."""

from lightning_gans.data.mnist import MNIST

__all__ = ["MNIST"]
