"""A page as a real browser shows it."""

import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-sync", "--virtual-time-budget=10000"]


def shown(page: Path) -> str:
    """The document after its scripts have run; the test is skipped where there is no Chromium."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium to show the page")
    profile = page.parent / "profile"
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout, done.stderr[-1000:]
    return done.stdout
