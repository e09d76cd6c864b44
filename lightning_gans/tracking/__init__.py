"""Runs recorded, read back, and laid side by side."""
