"""Options of the commands that LightningCLI runs which are not Lightning's, and the first page of their help."""

from __future__ import annotations

import textwrap
from argparse import SUPPRESS

from lightning_gans.cli.messages import OneLine
from lightning_gans.ranges import OpenUnitInterval, PositiveFloat, PositiveInt, resolved
from lightning_gans.zoo import assets

GROUPS = {
    "trainer": "Lightning's Trainer, such as --trainer.max_steps 10000",
    "run": "the run's name, folder and W&B project",
    "evaluation": "metrics and their sample counts",
    "samples": "image grids and clips at each validation",
    "checkpoint": "which checkpoints are kept",
}
"""Classes whose arguments are options, with a help of their own."""

MORE = """\
more options, each with a help of its own:
  --model.help NAME    a paper's arguments, such as DCGAN's: --model.width 64
  --data.help NAME     a data set's arguments, such as MNIST's: --data.root DIR
{groups}

packaged configs:
{configs}

examples:
  lightning-gans fit --config dcgan_mnist --trainer.max_steps 10000
  lightning-gans fit --config dcgan_celeba -c ddp --trainer.devices 4
  lightning-gans test --config gan_mnist --init_from gan_mnist
"""


@resolved
def options(
    init_from: str | None = None,
    ema: OpenUnitInterval | None = None,
    accumulate: PositiveInt | dict[str, PositiveInt] | None = None,
    clip_norm: PositiveFloat | dict[str, PositiveFloat] | None = None,
    compile: bool = False,
    validate_at_end: bool = True,
    global_batch_size: PositiveInt | None = None,
) -> None:
    """Options of the commands that LightningCLI runs; see ``cli.train`` for what is made of them.

    Args:
        init_from: Model or checkpoint to start from.
        ema: Average G's weights with this decay.
        accumulate: Batches of an update, for all or as {g: 2, d: 4}.
        clip_norm: Largest norm of gradients, as {g: 10.0, d: 1.0}.
        compile: Train with torch.compile.
        validate_at_end: Validate at the end.
        global_batch_size: Examples of all processes.
    """


def print_help(command: str, summary: str) -> None:
    """Print the first page of a command's help, for which neither torch nor Lightning is imported."""
    parser = OneLine(
        prog=f"lightning-gans {command}",
        usage=f"lightning-gans {command} --config NAME [options]",
        description=summary,
        epilog=MORE.format(
            groups="\n".join(f"  --{name + '.help':19}{text}" for name, text in GROUPS.items()),
            configs=textwrap.fill(", ".join(assets.config_names()), 80, initial_indent="  ", subsequent_indent="  "),
        ),
    )
    parser.add_argument("-c", "--config", metavar="NAME", help="A packaged config or a file; several are layered.")
    parser.add_argument("--ckpt_path", metavar="FILE", help="A checkpoint; with --run.id, last is that run's.")
    parser.add_argument(
        "--print_config", action="store_true", help="Print the whole configuration, and stop.", default=SUPPRESS
    )
    parser.add_function_arguments(options, as_group=False)
    parser.print_help()
