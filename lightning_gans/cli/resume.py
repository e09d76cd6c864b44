"""``--ckpt_path``: which run goes on, in which folder, and whether its model is that of the config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.utilities import rank_zero_info

from lightning_gans import zoo
from lightning_gans.errors import InputError
from lightning_gans.tracking.run_ids import require_run_id
from lightning_gans.tracking.wandb import default_project
from lightning_gans.training.adversarial_module import AdversarialModule
from lightning_gans.training.checkpoints import newest
from lightning_gans.zoo.weights import Weights


def newest_of_run(run: Namespace | None) -> str | None:
    """What ``--ckpt_path last`` means: the newest checkpoint of ``--run.id``; None where the run begins.

    Raises:
        InputError: without a ``--run.id``.
    """
    if run is None or run.id is None:
        raise InputError(
            "--ckpt_path is last; give a file, such as runs/lightning_gans/NAME/checkpoints/last.ckpt, or --ckpt_path"
            " last with --run.id NAME, which starts a run or goes on with it"
        )
    folder = folder_of(run, run.id)
    if found := newest(folder / "checkpoints"):
        return str(found)
    rank_zero_info(f"{folder} has no checkpoint yet: this is its start")
    return None


def folder_of(run: Namespace, id: str) -> Path:
    """Where the run of an id keeps its files by the options of this start.

    Raises:
        InputError: for an id that names no folder.
    """
    require_run_id(id)
    return Path(run.folder).expanduser() / (run.project or default_project()) / id


def read(path: str, class_path: str) -> Weights:
    """A checkpoint of the config's model.

    Raises:
        InputError: for another model's, and for what is no checkpoint of this package.
    """
    if Path(path).suffix != ".ckpt":
        raise InputError(f"--ckpt_path is {path}; expected a .ckpt file: weights of the zoo go to --init_from")
    found, name = zoo.fetch(path), class_path.rpartition(".")[2]
    if found.model != name:
        raise InputError(f"{path} is a checkpoint of {found.model}, and the config's model is {name}")
    return found


def require_same(found: Weights, module: AdversarialModule) -> None:
    """Compare a checkpoint's arguments with the model's, which may have made several of one, as of a preset.

    Raises:
        InputError: for the first that differs, with both values.
    """
    for key, value in module.hparams.items():
        before = found.hparams.get(key, value)
        if _plain(before) == _plain(value):
            continue
        if isinstance(value, dict) and isinstance(before, dict):
            differing = [name for name in value if value[name] != before.get(name)]
            before, value = ({name: values.get(name) for name in differing} for values in (before, value))
        raise InputError(
            f"{found.source} was trained with {key}={before!r}, and the config says {value!r}; resume with the same"
            f" value (--model.{key}), or start anew from its weights with --init_from {found.source}"
        )


def run_of(ckpt_path: str | None) -> dict[str, str]:
    """Options of the run that a checkpoint lies in, so that a resumed one goes on in its folder; else none."""
    folder = Path(ckpt_path).resolve().parent if ckpt_path else None
    if folder is None or folder.name != "checkpoints" or not (folder.parent / "config.yaml").is_file():
        return {}
    run = folder.parent
    return {"id": run.name, "project": run.parent.name, "folder": str(run.parent.parent)}


def _plain(value: Any) -> Any:
    """Lists and tuples are the same."""
    return list(value) if isinstance(value, list | tuple) else value
