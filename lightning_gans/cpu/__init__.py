"""Faster forms of layers on CPUs."""
