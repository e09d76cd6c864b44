"""Where a command computes."""

from __future__ import annotations

from lightning_gans.errors import InputError


def usable(device: str | None) -> str:
    """The given device, if it can be used here; else cuda where there is one, and cpu."""
    import torch

    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"--device {device} cannot be used here ({reason}); leave it out, or give cpu") from None
    return device
