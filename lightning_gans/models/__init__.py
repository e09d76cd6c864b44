"""The papers, one file each."""

from lightning_gans.models.bigvgan import BigVGAN
from lightning_gans.models.cgan import CGAN
from lightning_gans.models.conditional_wavegan import ConditionalWaveGAN
from lightning_gans.models.controlgan import ControlGAN
from lightning_gans.models.controlled_specgan import ControlledSpecGAN
from lightning_gans.models.controlled_wavegan import ControlledWaveGAN
from lightning_gans.models.dcgan import DCGAN
from lightning_gans.models.gan import GAN
from lightning_gans.models.hifigan import HiFiGAN
from lightning_gans.models.logit_controlgan import LogitControlGAN
from lightning_gans.models.melgan import MelGAN
from lightning_gans.models.multi_scale_parallel_wavegan import MultiScaleParallelWaveGAN
from lightning_gans.models.parallel_wavegan import ParallelWaveGAN
from lightning_gans.models.r3gan import R3GAN
from lightning_gans.models.specgan import SpecGAN
from lightning_gans.models.stft_melgan import STFTMelGAN
from lightning_gans.models.vocos import Vocos
from lightning_gans.models.wavegan import WaveGAN
from lightning_gans.models.wgan_gp import WGANGP

__all__ = [
    "CGAN",
    "DCGAN",
    "GAN",
    "R3GAN",
    "WGANGP",
    "BigVGAN",
    "ConditionalWaveGAN",
    "ControlGAN",
    "ControlledSpecGAN",
    "ControlledWaveGAN",
    "HiFiGAN",
    "LogitControlGAN",
    "MelGAN",
    "MultiScaleParallelWaveGAN",
    "ParallelWaveGAN",
    "STFTMelGAN",
    "SpecGAN",
    "Vocos",
    "WaveGAN",
]
