"""The command ``lightning-gans``."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def main(args: list[str] | None = None) -> None:
    """Run a command; bad input ends with one line on standard error and exit code 2, a lost process with 1."""
    from lightning_gans.cli.main import main as run
    from lightning_gans.cli.terminal import printing
    from lightning_gans.errors import InputError, LostProcess, one_line
    from lightning_gans.signals import Ended

    try:
        with printing():
            run(sys.argv[1:] if args is None else args)
    except LostProcess as error:  # said by each process that is left
        print(f"lightning-gans: error: {one_line(error)}", file=sys.stderr)
        sys.exit(1)
    except InputError as error:
        rank, torch = os.environ.get("LOCAL_RANK", "0"), sys.modules.get("torch")  # which is not imported for this
        joined = torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized()
        if rank == "0" or joined:  # it may be the only one that has met this, as in its own part of the data
            which = "" if rank == "0" else f"rank {rank}: "
            sys.stderr.write(f"lightning-gans: error: {which}{one_line(error)}\n")  # whole, beside other processes
        sys.exit(2)
    except Ended as error:
        with suppress(OSError):  # a lost terminal
            print(f"lightning-gans: ended by {error.signal} while nothing was trained", file=sys.stderr)
        raise
    except KeyboardInterrupt:  # outside of training, which leaves a checkpoint
        print("lightning-gans: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
