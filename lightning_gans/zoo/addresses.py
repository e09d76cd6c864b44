"""What addresses of weights mean: ``https://``, the Hugging Face Hub, W&B artifacts."""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from lightning_gans.errors import InputError

TIMEOUT = 60
"""Seconds without an answer."""
SUFFIXES = (".safetensors", ".ckpt")


def open_url(url: str, file: str, scratch: str) -> IO[bytes]:
    """Open what a url names for reading; libraries that only write files write them into ``scratch``."""
    scheme, _, rest = url.partition("://")
    if scheme == "https":
        import urllib.request

        return urllib.request.urlopen(url, timeout=TIMEOUT)
    if scheme == "hf":
        return _open_hub(rest, scratch)
    if scheme == "wandb":
        return _open_artifact(rest, file, scratch)
    raise InputError(f"the address {url} begins with {scheme}://; expected https://, hf:// or wandb://")


def _open_hub(address: str, scratch: str) -> IO[bytes]:
    """``owner/repo/file`` or ``owner/repo/file@revision``."""
    address, _, revision = address.partition("@")
    owner, repository, file = address.split("/", 2)
    path = _hub().hf_hub_download(f"{owner}/{repository}", file, revision=revision or None, local_dir=scratch)
    return open(path, "rb")


def _open_artifact(address: str, file: str, scratch: str) -> IO[bytes]:
    """``entity/project/artifact:alias``, which holds the weights under the name on the card."""
    import wandb

    folder = Path(wandb.Api().artifact(address).download(root=scratch))
    if not (folder / file).is_file():
        inside = ", ".join(sorted(path.name for path in folder.iterdir()))
        raise InputError(f"the artifact holds {inside or 'nothing'}; expected {file}")
    return (folder / file).open("rb")


def fetch(address: str, folder: Path) -> Path:
    """A file whose hash its place knows, in the libraries' own caches or in ``folder``."""
    scheme, _, rest = address.partition("://")
    if scheme == "hf":
        return _from_hub(address, rest)
    if scheme == "wandb":
        return _from_artifact(address, rest, folder)
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


def _from_artifact(address: str, rest: str, folder: Path) -> Path:
    import wandb

    artifact = wandb.Api().artifact(rest)
    place = folder / artifact.digest
    artifact.download(root=str(place))
    try:
        artifact.verify(root=str(place))
    except ValueError as error:
        raise InputError(f"{place} is damaged ({error}); delete it and try again") from error
    found = sorted(path for path in place.rglob("*") if path.suffix in SUFFIXES)
    if len(found) != 1:
        inside = ", ".join(path.name for path in found) or "none"
        raise InputError(f"{address} should hold one file that ends in {_either()}; found {inside}")
    return found[0]


def _either() -> str:
    return " or ".join(SUFFIXES)


def _hub() -> Any:
    try:
        return import_module("huggingface_hub")
    except ModuleNotFoundError:
        raise InputError("huggingface_hub is not installed: pip install 'lightning-gans[hub]'") from None
