"""Finding cards and weights: the user's folders, the package, the cache, then the address on the card."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from lightning_gans.errors import InputError, closest, one_line
from lightning_gans.files import sha256, there
from lightning_gans.files.fetching import fetching_errors
from lightning_gans.files.limits import LARGEST, seconds_for, within
from lightning_gans.files.writing import written
from lightning_gans.zoo import addresses, assets, packages
from lightning_gans.zoo.cards import Card

FOLDERS = "LIGHTNING_GANS_ZOO"
CACHE = "LIGHTNING_GANS_CACHE"
SHARED = 0o666
"""Of locks, less what the umask takes: users who share a cache wait for each other."""


def folders() -> list[Path]:
    """Where cards and weights are looked for, in this order: those in ``$LIGHTNING_GANS_ZOO``, the package's."""
    given = [Path(folder).expanduser() for folder in os.environ.get(FOLDERS, "").split(os.pathsep) if folder]
    for folder in given:
        if not folder.is_dir():
            raise InputError(f"${FOLDERS} names {folder}, which is no folder; correct or unset it")
    return [*given, assets.zoo()]


def cache(card: Card) -> Path:
    """Where a download is kept. The hash is in the path, so that a newer card never meets an older file."""
    return cache_folder() / card.sha256[:16] / card.weights


def cache_folder() -> Path:
    """Where all downloads of the zoo are kept."""
    import platformdirs

    return Path(os.environ.get(CACHE) or platformdirs.user_cache_dir("lightning_gans")).expanduser() / "zoo"


def card_files() -> dict[str, Path]:
    """Every card's file by name; the first folder that has a name gives it."""
    found: dict[str, Path] = {}
    for folder in folders():
        for path in sorted(folder.glob("*.md")):
            if path.name != "README.md":
                found.setdefault(path.stem, path)
    return found


def names() -> list[str]:
    """Names of all released models."""
    return sorted(card_files())


def card(name: str) -> Card:
    """The checked card of a released model.

    Raises:
        InputError: for an unknown name (with the closest ones), or a card with a missing or wrong field.
    """
    files = card_files()
    if name in files:
        return Card.read(files[name])
    for path in files.values():
        with suppress(InputError):  # of another model's card
            card = Card.read(path)
            if name in card.formerly:
                print(f"lightning-gans: {name} is called {card.name} now", file=sys.stderr)
                return card
    raise InputError(f"there is no such file, and no model {name} in the zoo; {closest(name, list(files))}")


def local(card: Card) -> Path | None:
    """The weights file, if it is on this machine. Its hash is not checked here."""
    candidates = [folder / card.weights for folder in (card.path.parent, *folders())]
    found = next((path for path in [*candidates, cache(card)] if there(path)), None)
    if found is None and card.url and card.url.startswith(packages.SCHEME):
        return packages.find(card.url)
    return found


def locate(card: Card) -> Path:
    """The weights file, fetched once if need be, however many processes ask for it.

    Raises:
        InputError: if it is nowhere, or cannot be fetched; it says where to put it by hand.
    """
    found, target = local(card), cache(card)
    if found and (found != target or card.url is None or sha256(found) == card.sha256):
        return found
    if card.url is None:
        looked = ", ".join(str(folder) for folder in dict.fromkeys([card.path.parent, *folders()]))
        raise InputError(
            f"{card.weights} of {card.name} is not in {looked}, and its card has no url; put the file into one of them"
        )
    if card.url.startswith(packages.SCHEME):
        raise packages.absent(card.url)
    from filelock import FileLock

    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock", mode=SHARED):
        if not there(target) or sha256(target) != card.sha256:
            if there(target):
                print(f"lightning-gans: {target} is damaged, and is fetched again", file=sys.stderr)
            _download(card, card.url, target)
    return target


def fetch_address(address: str, discriminators: bool = False) -> Path:
    """The weights file or checkpoint at ``hf://OWNER/REPO`` or ``wandb://ENTITY/PROJECT/ARTIFACT:ALIAS``.

    It is kept in the cache, and checked at each use against the hash that the Hub, or W&B, has for it.

    Args:
        address: See ``loading.fetch``.
        discriminators: Fetch those that lie in a file of their own, too.

    Raises:
        InputError: if it is not there, cannot be fetched, or is damaged.
    """
    from filelock import FileLock

    folder = cache_folder() / "addresses"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock", mode=SHARED):
        try:
            work = partial(addresses.fetch, address, folder, discriminators=discriminators)
            return within(seconds_for(LARGEST), work)
        except InputError:
            raise
        except fetching_errors() as error:
            reason = one_line(error)
            raise InputError(
                f"{address} could not be fetched ({reason}); get the file elsewhere and name it"
            ) from error


def check(path: Path, card: Card) -> None:
    """Compare a weights file with its card.

    Raises:
        InputError: if the hash differs.
    """
    found = sha256(path)
    if found != card.sha256:
        raise InputError(
            f"{path} ({path.stat().st_size} bytes) has the SHA-256 {found}, its card {card.name} says {card.sha256}:"
            " the file is damaged, cut short or of another version; delete it and get it again"
        )


def _download(card: Card, url: str, target: Path) -> None:
    """Make the file once it is whole and its hash is that of the card."""
    print(f"lightning-gans: fetching {card.weights} from {url}", file=sys.stderr)
    with written(target, f"make room, or set {CACHE} to another folder") as part:
        try:
            addresses.download(url, part.name, card.weights, card.bytes or LARGEST)
            if (found := sha256(Path(part.name))) != card.sha256:
                raise ValueError(f"it has the SHA-256 {found}, and its card says {card.sha256}")
        except fetching_errors() as error:  # whatever went wrong, the way out is the same
            raise InputError(
                f"{card.weights} of {card.name} is not on this machine and could not be fetched from {url}"
                f" ({one_line(error)}); get it elsewhere and put it at {target}, or into a folder that ${FOLDERS} names"
            ) from error
