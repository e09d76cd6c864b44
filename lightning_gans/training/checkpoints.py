"""Files of checkpoints that are whole at any time, and which of a run's is the newest."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from lightning_gans.errors import InputError
from lightning_gans.files.writing import written


class CheckpointFiles(TorchCheckpointIO):
    """Writes a checkpoint so that a kill leaves the previous file or the new one, see ``writing``.

    Lightning's own goes by the folder for temporary files. Where that is another file system, it is copied from there
    into its place, and a kill leaves half of it.

    Args:
        of_today: What is done with a checkpoint that is loaded, which an older version may have written.
    """

    def __init__(self, of_today: Callable[[dict[str, Any]], dict[str, Any]] = lambda content: content) -> None:
        self.of_today = of_today

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return self.of_today(super().load_checkpoint(*args, **kwargs))

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        if "://" in str(path):
            return super().save_checkpoint(checkpoint, path, storage_options)
        path = Path(path)
        kept = newest(path.parent)
        go_on = f"go on with --ckpt_path {kept}" if kept else "start again"
        with written(path, f"make room, or give another folder with --run.folder, and {go_on}") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # torch could not write all of it
                reason = error.__context__
                raise OSError(*(reason.args if isinstance(reason, OSError) else error.args)) from error


def require_writable(folder: Path, option: str) -> None:
    """Make a folder and a file in it.

    Raises:
        InputError: if that fails, with the option that names another folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written to ({error.strerror}); give another folder with {option}"
        ) from error


def newest(*folders: Path) -> Path | None:
    """The checkpoint in one of the folders that was written last."""
    found = [path for folder in folders for path in folder.glob("*.ckpt")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)
