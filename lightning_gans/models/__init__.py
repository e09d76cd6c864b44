from lightning_gans.models.gan import GAN

__all__ = ["GAN"]
