"""What addresses of weights mean: ``https://``, the Hugging Face Hub, W&B artifacts."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from lightning_gans.errors import InputError
from lightning_gans.files.limits import LARGEST, TIMEOUT, Bounded, seconds_for, within
from lightning_gans.zoo import hub
from lightning_gans.zoo.weights import SUFFIXES


def download(url: str, output: str, file: str, limit: int = LARGEST) -> None:
    """Write what the address on a card names into a file; its hash is checked by the caller.

    Args:
        url: ``https://``, ``hf://`` or ``wandb://``.
        output: Where to write.
        file: Which file of an artifact that holds several.
        limit: Bytes that it has at most.

    Raises:
        InputError: for a larger file, and a download that takes longer than one of that size should.
    """
    within(seconds_for(limit), lambda: _download(url, output, file, limit))


def _download(url: str, output: str, file: str, limit: int) -> None:
    if url.startswith("https://"):
        import pooch

        with open(output, "wb") as opened:
            bounded = Bounded(opened, limit, seconds_for(limit))
            pooch.HTTPDownloader(chunk_size=1 << 16, timeout=TIMEOUT)(url, bounded, None)
    else:
        with TemporaryDirectory(dir=Path(output).parent) as scratch:
            shutil.copyfile(fetch(url, Path(scratch), file, limit=limit), output)


def fetch(
    address: str, folder: Path, file: str | None = None, discriminators: bool = False, limit: int = LARGEST
) -> Path:
    """A file whose hash its place knows, in the libraries' own caches or in ``folder``.

    Args:
        address: ``hf://`` or ``wandb://``.
        folder: For what no library caches.
        file: Which file of an artifact; the only one when not given.
        discriminators: Fetch those that lie in a file of their own, too.
        limit: Bytes that a file has at most.

    Raises:
        InputError: if there is no such file, if it is damaged or larger than that, or for an address of another kind.
    """
    scheme, _, rest = address.partition("://")
    if scheme == "hf":
        return hub.fetch(address, folder, discriminators, limit)
    if scheme == "wandb":
        return _from_artifact(address, rest, folder, file, limit)
    raise InputError(
        f"{address} cannot be checked; expected hf://OWNER/REPO or wandb://ENTITY/PROJECT/ARTIFACT:ALIAS, or a zoo"
        " card with its SHA-256"
    )


def _from_artifact(address: str, rest: str, folder: Path, file: str | None, limit: int) -> Path:
    import wandb

    artifact = wandb.Api().artifact(rest)
    if artifact.size > limit:
        raise InputError(f"{address} has {artifact.size} bytes; expected at most {limit}")
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
