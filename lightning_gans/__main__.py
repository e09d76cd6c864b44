"""The command ``lightning-gans``."""

from __future__ import annotations

import os
import sys

HELP = """usage: lightning-gans COMMAND ...

Train, evaluate and use generative adversarial networks.

  fit       --config NAME      train            lightning-gans fit --config dcgan_digits
  validate  --config NAME      figures on the validation set
  test      --config NAME      the paper's figures; --init_from NAME takes a zoo model, --ckpt_path FILE your own
  predict   --config NAME      write generated images or sounds as files
  sample    NAME               draw from a zoo model or a checkpoint: pictures, an animation, sound files
  vocode    NAME IN.wav OUT.wav   sound from a mel spectrogram (.npy), or from that of a sound, with a vocoder
  compare   RUN_DIR RUN_DIR   a page with the figures, curves, pictures and sounds of runs
  dashboard --entity NAME       a W&B workspace that compares the runs of a project
  zoo       list|show|...      the released models; import takes checkpoints of other projects

A bare NAME after --config is one of the packaged configs: {configs}.
`lightning-gans COMMAND --help` tells more; `lightning-gans fit --model.help DCGAN` lists a paper's arguments.
"""

LIGHTNING_COMMANDS = ("fit", "validate", "test", "predict")
SMALL_COMMANDS = ("sample", "vocode", "compare", "dashboard", "zoo")


def main(args: list[str] | None = None) -> None:
    """Run a command; bad input ends with one line on standard error and exit code 2, a lost process with 1."""
    args = sys.argv[1:] if args is None else args
    from lightning_gans import __version__
    from lightning_gans.errors import InputError, LostProcess, closest, one_line
    from lightning_gans.zoo import assets

    try:
        if not args or args[0] in ("-h", "--help"):
            print(HELP.format(configs=", ".join(assets.config_names())), end="")
        elif args[0] == "--version":
            print(f"lightning-gans {__version__}")
        elif args[0] in LIGHTNING_COMMANDS:
            from lightning_gans.cli.train import run

            run(args)
        elif args[0] in SMALL_COMMANDS:
            from lightning_gans.cli import main as commands

            commands.main(args)
        else:
            known = [*LIGHTNING_COMMANDS, *SMALL_COMMANDS]
            raise InputError(f"unknown command {args[0]!r}; {closest(args[0], known)}")
    except LostProcess as error:  # said by each process that is left
        print(f"lightning-gans: error: {one_line(error)}", file=sys.stderr)
        sys.exit(1)
    except InputError as error:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            print(f"lightning-gans: error: {one_line(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # outside of training, which leaves a checkpoint
        print("lightning-gans: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
