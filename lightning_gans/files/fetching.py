"""What libraries raise that fetch something over a network: the one place where it is named."""

from __future__ import annotations

import http.client
import sys

from lightning_gans.files.reading import DAMAGE

LIBRARIES = (
    *(
        "aiohttp.client_exceptions",
        "botocore.exceptions",
        "fsspec.exceptions",
        "gdown.exceptions",
        "httpx",
        "httpx2",
        "huggingface_hub.errors",
        "requests.exceptions",
    ),
    *("wandb.errors", "wandb.sdk.lib.retry", "wandb_workspaces.workspaces.errors"),
)
"""Modules with exceptions that are of no family of Python's. Which of them a version of a library raises differs."""


def fetching_errors() -> tuple[type[Exception], ...]:
    """For an ``except``: what Python's own libraries raise, and those of ``LIBRARIES`` that are loaded by then."""
    names = [vars(sys.modules[name]).values() for name in LIBRARIES if name in sys.modules]
    theirs = {kind for kinds in names for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception)}
    return (*DAMAGE, http.client.HTTPException, *(theirs - {Exception}))
