"""The Hugging Face Hub: weights and the settings beside them at ``hf://OWNER/REPO``, checked against their hashes."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import sys
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from lightning_gans.errors import InputError, one_line
from lightning_gans.files import opened, reading, sha256, there
from lightning_gans.files.documents import read_json
from lightning_gans.files.fetching import fetching_errors
from lightning_gans.files.limits import LARGEST, TIMEOUT
from lightning_gans.files.records import typed
from lightning_gans.files.writing import write_whole

REVISION = "[0-9a-f]{40}"
"""What names a revision for good; branches and tags move."""


@dataclass(frozen=True)
class Loaded:
    """What was loaded of an address: the commit, and each file's hash."""

    commit: str
    hashes: dict[str, str]


class Place(NamedTuple):
    """What an address says; None where it leaves something to be found.

    Args:
        repository: ``OWNER/REPO``.
        file: With its folder.
        revision: A branch, a tag or a commit.
    """

    repository: str
    file: str | None
    revision: str | None


def place(address: str) -> Place:
    """Read ``hf://OWNER/REPO``, with ``/FILE`` or ``@REVISION`` or both behind it.

    Raises:
        InputError: for another form.
    """
    match = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)(?:/([^@]+))?(?:@(.+))?", address)
    if not match:
        raise InputError(f"{address} names no repository; expected hf://OWNER/REPO or hf://OWNER/REPO/FILE@REVISION")
    return Place(*match.groups())


def fetch(address: str, folder: Path, discriminators: bool = False, limit: int = LARGEST) -> Path:
    """The file of weights at an address, with the settings beside it, in the Hub's own cache.

    Each file is checked at each use: against the hash that the Hub has for it, or, where there is no network, against
    the one that it had when it was loaded first, which is kept in ``folder``.

    Args:
        address: See ``place``. Without a file, the one of a usual name.
        folder: Where the hashes are kept.
        discriminators: Fetch those that lie in a file of their own, too.
        limit: Bytes that a file has at most.

    Raises:
        InputError: if there is no such thing, if it cannot be fetched, or is damaged.
    """
    api, where = library().HfApi(), place(address)
    kept = folder / f"{address.removeprefix('hf://').replace('/', '--')}.json"
    before = _kept(kept) if there(kept) else None
    sizes: dict[str, int] = {}
    try:
        commit, hashes, sizes = _listed(api, where)
    except fetching_errors() as error:
        if before is None or not _unreachable(error):
            raise explained(error, address) from error
        commit, hashes = before.commit, before.hashes
    names = _wanted(hashes, where, address, discriminators)
    for name in names:
        if sizes.get(name, 0) > limit:
            raise InputError(f"{address}: {name} has {sizes[name]} bytes; expected at most {limit}")
    try:
        paths = [
            Path(api.hf_hub_download(where.repository, name, revision=commit, etag_timeout=TIMEOUT)) for name in names
        ]
    except fetching_errors() as error:
        raise explained(error, address) from error
    for name, path in zip(names, paths, strict=True):
        if not _has(path, hashes[name]):
            raise InputError(
                f"{path} is damaged: it has not the hash {hashes[name]} of {address}; delete {path.resolve()} and try"
                " again"
            )
    if before and before.hashes.get(names[0], hashes[names[0]]) != hashes[names[0]]:
        if re.fullmatch(REVISION, where.revision or ""):
            raise InputError(f"{address} has changed since it was loaded first, and a commit never does; do not use it")
        print(f"lightning-gans: {address} has changed since it was loaded last, now {commit}", file=sys.stderr)
    # with those of the discriminators, or what was loaded once to listen would later be trained without them unsaid
    loaded = {name: hashes[name] for name in _wanted(hashes, where, address, discriminators=True)}
    if before and before.commit == commit:
        loaded = before.hashes | loaded
    write_whole(kept, json.dumps(asdict(Loaded(commit, loaded)), indent=1))
    return paths[0]


def library() -> Any:
    """``huggingface_hub``.

    Raises:
        InputError: if it is not installed.
    """
    try:
        hub = import_module("huggingface_hub")
    except ModuleNotFoundError:
        raise InputError("huggingface_hub is not installed: pip install 'lightning-gans[hub]'") from None
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # else each new try is a warning
    return hub


def explained(error: Exception, address: str) -> InputError:
    """What went wrong, in one line, with the way out."""
    where = place(address)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    login = "log in with: hf auth login"
    if isinstance(error, InputError):
        return error
    if "GatedRepoError" in kinds:
        return InputError(
            f"{address} is for those whom its owner has let in; ask at https://huggingface.co/{where.repository}, and"
            f" {login}"
        )
    if "RevisionNotFoundError" in kinds:
        return InputError(f"{where.repository} has no revision {where.revision}; correct {address}")
    if "RepositoryNotFoundError" in kinds:
        return InputError(f"there is no repository {where.repository} for you; correct {address}, or {login}")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return InputError(f"{address}: you have no permission ({one_line(error)}); {login}, as somebody who has")
    if _unreachable(error):
        return InputError(
            f"{address}: the connection to the Hub failed ({one_line(error)}); try again with a network, or with a file"
            " that is here"
        )
    return InputError(f"{address}: the Hub does not do it ({one_line(error)}); correct the address")


def _kept(path: Path) -> Loaded:
    """What was kept when an address was loaded.

    Raises:
        InputError: for a damaged file.
    """
    way_out = "delete it and try again"
    with reading(path, "what the zoo keeps of an address", way_out):
        kept: Loaded = typed(Loaded, read_json(path, way_out=way_out))
        return kept


def _listed(api: Any, where: Place) -> tuple[str, dict[str, str], dict[str, int]]:
    """The commit, each file's hash, SHA-256 or for small text files that of a git object, and its size in bytes."""
    info = api.model_info(where.repository, revision=where.revision, files_metadata=True, timeout=TIMEOUT)
    hashes = {each.rfilename: each.lfs.sha256 if each.lfs else each.blob_id for each in info.siblings}
    return info.sha, hashes, {each.rfilename: each.size or 0 for each in info.siblings}


def _wanted(hashes: dict[str, str], where: Place, address: str, discriminators: bool) -> list[str]:
    """The file of weights, and what is needed with it."""
    from lightning_gans.importers.detect import needed, weights_among

    weights = where.file or weights_among(hashes, address)
    if weights not in hashes:
        raise InputError(f"{address}: there is no such file; found {', '.join(sorted(hashes)) or 'nothing'}")
    return [weights, *needed([name for name in hashes if name != weights], weights, discriminators)]


def _unreachable(error: Exception) -> bool:
    """Whether no server has answered, or one that cannot."""
    response = getattr(error, "response", None)
    return response is None or response.status_code >= 500


def _has(path: Path, expected: str) -> bool:
    if len(expected) == 64:
        return sha256(path) == expected
    with opened(path) as file:
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == expected
