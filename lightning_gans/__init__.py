"""Generative adversarial networks as PyTorch Lightning modules, with a zoo of trained ones.

Letters of tensor dimensions, the same in every file:

====  ===========================  ====  ==============================
``B``  batch                       ``T``  audio samples, ``T = L * hop_length``
``C``  channels                    ``L``  spectrogram frames
``H``  height, ``W`` width         ``M``  mel bins
``Z``  latent                      ``F``  frequency bins
``K``  classes or attributes
====  ===========================  ====  ==============================

Images and audio lie in [-1, 1]. A step is a generator update, everywhere.
"""

__version__ = "0.1.0"
