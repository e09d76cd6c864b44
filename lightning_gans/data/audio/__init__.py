"""Data sets of short clips of audio."""
