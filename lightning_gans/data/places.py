"""Where shards lie: a folder, or an address in a cloud, whose files come to this machine when they are first needed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

from lightning_gans.data.caching import cache_path, written_whole
from lightning_gans.errors import InputError, one_line
from lightning_gans.files import Damaged
from lightning_gans.files.fetching import fetching_errors
from lightning_gans.files.limits import seconds_for
from lightning_gans.files.reading import MISSING

LIBRARIES = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "abfs": "adlfs",
    "hf": "huggingface_hub",
    "https": "aiohttp",
    "http": "aiohttp",
}
"""Kinds of addresses, and what fsspec needs for each."""
BLOCK = 2**23
"""Bytes that are asked for at once."""


def is_address(source: str) -> bool:
    """Whether it is an address, and no folder."""
    return "://" in source


def file_system(address: str) -> Any:
    """What fsspec has for an address, with the credentials of its own settings.

    Raises:
        InputError: for a kind of address that is none of ``LIBRARIES``, and where its library is not installed.
    """
    import fsspec

    kind = address.partition("://")[0]
    if kind not in LIBRARIES:
        kinds = ", ".join(f"{known}://" for known in LIBRARIES)
        raise InputError(f"{address} is no address that shards are kept at; give a folder, or one of {kinds}")
    try:
        return fsspec.filesystem(kind)
    except ImportError:
        raise InputError(
            f"{kind}:// needs {LIBRARIES[kind]}; pip install {LIBRARIES[kind]}, or give a folder"
        ) from None


class Place:
    """A folder of shards, here or elsewhere.

    Args:
        folder: Where its files are on this machine.
        address: Where they come from, when they are not there yet.
    """

    def __init__(self, folder: Path, address: str | None = None) -> None:
        self.folder, self.address = folder, address

    @classmethod
    def of(cls, source: str, record: str, limit: int) -> Place:
        """The place that a user names.

        What comes from an address is kept in a cache of its own for each content of the record, so that shards that
        were written anew are fetched anew.

        Args:
            source: A folder or an address.
            record: The file that tells one writing from another.
            limit: Its largest size, in bytes.

        Raises:
            InputError: for an address that cannot be used, or has no record.
        """
        if not is_address(source):
            return cls(Path(source).expanduser())
        address = source.rstrip("/")
        content = b"".join(blocks(f"{address}/{record}", limit))
        place = cls(cache_path("shards", "", address, hashlib.sha256(content).hexdigest()), address)
        with written_whole(place.folder / record, f"what comes from {address}") as file:
            file.write(content)
        return place

    def __truediv__(self, name: str) -> Place:
        return Place(self.folder / name, self.address and f"{self.address}/{name}")

    def __str__(self) -> str:
        return self.address or str(self.folder)

    def file(self, name: str, limit: int) -> Path:
        """A file of this place on this machine, fetched by one process where it is not there yet.

        Args:
            name: Of the file.
            limit: Bytes that it has at most.

        Raises:
            InputError: where it cannot be fetched.
        """
        from filelock import FileLock

        path = self.folder / name
        if self.address and not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):
                if not path.exists():
                    with written_whole(path, f"what comes from {self.address}") as file:
                        for block in blocks(f"{self.address}/{name}", limit):
                            file.write(block)
        return path


def blocks(address: str, limit: int) -> Iterator[bytes]:
    """The content of a file at an address.

    Raises:
        InputError: where it cannot be read, takes too long, or is larger than the limit.
    """
    files, left, end = file_system(address), limit, time.monotonic() + seconds_for(limit)
    again = "try again, or copy the shards and give that folder"
    try:
        with files.open(address, "rb", block_size=BLOCK, cache_type="readahead") as file:
            while block := file.read(BLOCK):
                left -= len(block)
                if left < 0:
                    raise Damaged(address, f"more than {limit} bytes; expected no more", again)
                if time.monotonic() > end:
                    raise Damaged(address, f"not here after {seconds_for(limit):.0f} seconds", again)
                yield block
    except InputError:
        raise
    except fetching_errors() as error:
        # fsspec has a server that does not answer for a file that is not there
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        if isinstance(cause, FileNotFoundError):
            way_out = "give the address of what `lightning-gans data shard` has written"
            raise Damaged(address, MISSING, way_out) from error
        way_out = "check the address and your credentials, or try again"
        raise Damaged(address, f"it cannot be read ({one_line(cause)})", way_out) from error


def is_taken(address: str, record: str) -> bool:
    """Whether there are shards already.

    Raises:
        InputError: where that cannot be found out.
    """
    files = file_system(address)
    with writing_to(address, "check it and your credentials"):
        return bool(files.exists(f"{address}/{record}"))


def upload(folder: Path, address: str, last: str) -> None:
    """Copy a folder to an address.

    Args:
        folder: With files and folders of files.
        address: Where to.
        last: The file without which nobody takes the others for whole.

    Raises:
        InputError: where that fails.
    """
    from tqdm import tqdm

    files = file_system(address)
    paths = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path == folder / last)
    with writing_to(address, f"copy {folder} there, or check the address and your credentials"):
        for path in tqdm(paths, desc=f"to {address}", unit="", delay=2, leave=False):
            files.put_file(str(path), f"{address}/{path.relative_to(folder).as_posix()}")


@contextmanager
def writing_to(address: str, way_out: str) -> Iterator[None]:
    """Turn what goes wrong with an address into ``InputError``."""
    try:
        yield
    except fetching_errors() as error:
        raise InputError(
            f"{address} cannot be written ({one_line(error) or type(error).__name__}); {way_out}"
        ) from error


class Ahead:
    """Fetches files in a thread, in the order in which they will be needed; a new order takes the place of the last.

    What fails here fails again, and is told, where the file is needed.
    """

    def __init__(self, place: Place) -> None:
        self.place, self.over = place, Event()

    def fetch(self, names: Iterable[tuple[str, int]]) -> None:
        """Begin with files of these names and largest sizes."""
        if not self.place.address:
            return
        self.over.set()
        over = self.over = Event()

        def work() -> None:
            for name, limit in names:
                if over.is_set():
                    return
                try:
                    self.place.file(name, limit)
                except InputError:
                    return

        Thread(target=work, daemon=True).start()

    def __reduce__(self) -> Any:  # to loader processes, which fetch what is not there yet
        return type(self), (self.place,)
