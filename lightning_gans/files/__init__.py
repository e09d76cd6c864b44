"""Files from outside: the one door through which they are opened, and what is made of their bytes."""

from lightning_gans.files.reading import Damaged, content, opened, reading, regular, sha256, there

__all__ = ["Damaged", "content", "opened", "reading", "regular", "sha256", "there"]
