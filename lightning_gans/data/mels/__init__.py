"""Data sets of vocoders: audio with its log-mel spectrograms."""
