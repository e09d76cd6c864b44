"""What addresses of weights mean: ``https://``, the Hugging Face Hub, W&B artifacts."""

from __future__ import annotations

import hashlib
import shutil
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lightning_gans.errors import InputError

TIMEOUT = 60
"""Seconds without an answer."""
SUFFIXES = (".safetensors", ".ckpt")


def download(url: str, output: str, file: str) -> None:
    """Write what the address on a card names into a file; its hash is checked by the caller.

    Args:
        url: ``https://``, ``hf://`` or ``wandb://``.
        output: Where to write.
        file: Which file of an artifact that holds several.
    """
    if url.startswith("https://"):
        import pooch

        pooch.HTTPDownloader(chunk_size=1 << 16, timeout=TIMEOUT)(url, output, None)
    else:
        with TemporaryDirectory(dir=Path(output).parent) as scratch:
            shutil.copyfile(fetch(url, Path(scratch), file), output)


def fetch(address: str, folder: Path, file: str | None = None) -> Path:
    """A file whose hash its place knows, in the libraries' own caches or in ``folder``.

    Args:
        address: ``hf://`` or ``wandb://``.
        folder: For what no library caches.
        file: Which file of an artifact; the only one when not given.

    Raises:
        InputError: if there is no such file, if it is damaged, or for an address of another kind.
    """
    scheme, _, rest = address.partition("://")
    if scheme == "hf":
        return _from_hub(address, rest)
    if scheme == "wandb":
        return _from_artifact(address, rest, folder, file)
    raise InputError(
        f"{address} cannot be checked; expected hf://OWNER/REPO/FILE or wandb://ENTITY/PROJECT/ARTIFACT:ALIAS, or a zoo"
        " card with its SHA-256"
    )


def _from_hub(address: str, rest: str) -> Path:
    """The Hub's cache names files by their hash: SHA-256, or for small text files that of a git object."""
    name, _, revision = rest.partition("@")
    if name.count("/") < 2 or not name.endswith(SUFFIXES):
        raise InputError(f"{address} names no file; expected hf://OWNER/REPO/FILE, FILE ending in {_either()}")
    hub, (owner, repository, file) = _hub(), name.split("/", 2)
    place = dict(repo_id=f"{owner}/{repository}", filename=file, revision=revision or None)
    path = Path(hub.hf_hub_download(**place))
    data = path.read_bytes()
    # Where there are no symbolic links, its cache has copies under the files' own names.
    expected = path.resolve().name if path.is_symlink() else hub.get_hf_file_metadata(hub.hf_hub_url(**place)).etag
    git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    if expected not in (hashlib.sha256(data).hexdigest(), git):
        raise InputError(f"{path} is damaged: it has not the hash {expected} of {address}; delete it and try again")
    return path


def _from_artifact(address: str, rest: str, folder: Path, file: str | None) -> Path:
    import wandb

    artifact = wandb.Api().artifact(rest)
    place = folder / artifact.digest
    artifact.download(root=str(place))
    try:
        artifact.verify(root=str(place))
    except ValueError as error:
        raise InputError(f"{place} is damaged ({error}); delete it and try again") from error
    found = sorted(path for path in place.rglob(file or "*") if path.suffix in SUFFIXES)
    if len(found) != 1:
        inside = ", ".join(sorted(path.name for path in place.rglob("*") if path.is_file())) or "nothing"
        raise InputError(f"{address} should hold one {file or f'file that ends in {_either()}'}; found {inside}")
    return found[0]


def _either() -> str:
    return " or ".join(SUFFIXES)


def _hub() -> Any:
    try:
        return import_module("huggingface_hub")
    except ModuleNotFoundError:
        raise InputError("huggingface_hub is not installed: pip install 'lightning-gans[hub]'") from None
