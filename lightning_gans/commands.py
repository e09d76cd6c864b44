"""The small commands beside training: ``sample`` and ``zoo``. Arguments are read before anything heavy is imported."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lightning_gans import zoo
from lightning_gans.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from lightning_gans.module import AdversarialModule

SIGNED = ("--strength", "--label")
Labels = list[tuple[int, ...]] | None
"""For each sample in turn, the entries of its label row that are 1; None for one label after the other."""


def main(argv: Sequence[str]) -> None:
    """Run ``sample ...`` or ``zoo ...``.

    Args:
        argv: Without the program's name.

    Raises:
        InputError: for anything given that cannot be used.
        SystemExit: 1 if ``zoo verify`` has found a problem; 0 after ``--help``.
    """
    arguments = _parser().parse_args(_joined(argv))
    arguments.run(arguments)


def _joined(argv: Sequence[str]) -> list[str]:
    """``--strength -1,0`` as one word, as argparse takes ``-1,0`` for an option."""
    words = list(argv)
    for index in reversed(range(len(words) - 1)):
        if words[index] in SIGNED and words[index + 1][:1] == "-" and words[index + 1][1:2].isdigit():
            words[index : index + 2] = [f"{words[index]}={words[index + 1]}"]
    return words


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; {self.prog} --help tells more")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="lightning-gans", description="Sample from trained models, and manage them.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    sample = commands.add_parser(
        "sample",
        help="write a picture of generated images",
        description="Write a grid of images that a trained model generates; with --interpolate a walk between them.",
        epilog="examples: lightning-gans sample dcgan_mnist --num 64 --seed 1 --output grid.png; lightning-gans sample"
        " controlgan_mnist --label 7 --strength -1,0,0.5,1,2; lightning-gans sample dcgan_faces --interpolate 9;"
        " lightning-gans sample dcgan_faces --arithmetic 1,2,3-4,5,6+7,8,9",
    )
    sample.add_argument("name", metavar="NAME", help="a model of the zoo, or a .safetensors or .ckpt file")
    sample.add_argument("--num", type=int, help="how many latents (default: 64; 10 with --strength, 5 to interpolate)")
    sample.add_argument("--seed", type=int, default=0, help="of the latents; the same on every device (default: 0)")
    sample.add_argument("--output", type=Path, help=".png, or .gif with --interpolate (default: NAME.png)")
    sample.add_argument(
        "--label",
        metavar="L[,L...]",
        help="class or attribute of conditional models, or several in turn; 20+31 sets both (default: all in turn)",
    )
    sample.add_argument("--columns", type=int, help="images per row (default: about as many as rows)")
    sample.add_argument("--device", help="such as cpu or cuda:1 (default: cuda where there is one, else cpu)")
    what = sample.add_mutually_exclusive_group()
    what.add_argument(
        "--strength",
        metavar="S[,S...]",
        help="multiply the label by each of these; one row per strength, with the same latents in every row",
    )
    what.add_argument(
        "--interpolate", type=int, metavar="STEPS", help="walk from each latent to the next in so many images"
    )
    what.add_argument(
        "--arithmetic",
        metavar="A-B+C",
        help="lists of seeds, such as 1,2,3-4,5,6+7,8,9: the means of their latents, added; rows A, B, C (the mean"
        " last), then the result and variations of it",
    )
    sample.set_defaults(run=_sample)

    commands_zoo = commands.add_parser(
        "zoo", help="list, show, export and check trained models", description="Trained models and their cards."
    ).add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        command = commands_zoo.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.set_defaults(run=run)
        return command

    add("list", lambda _: print(zoo.listing()), "a table of all models with sizes and figures")
    add("show", _show, "print a model's card").add_argument("name", metavar="NAME")
    add(
        "config", lambda arguments: print(zoo.config(arguments.name)), "the path of the config that made a model"
    ).add_argument("name", metavar="NAME")
    add("verify", _verify, "check every card and the hash of every weights file; exit with 1 if one is wrong")
    export = add("export", _export, "make a weights file and the skeleton of its card from a checkpoint of fit")
    export.add_argument("checkpoint", metavar="RUN.ckpt")
    export.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder, made if need be")
    export.add_argument("--name", help="<paper>_<dataset> (default: the checkpoint's file name)")
    export.add_argument("--float32", action="store_true", help="do not store matrices and kernels as float16")
    readme = add("readme", _readme, "write the table of results into the README")
    readme.add_argument("--file", type=Path, default=Path("README.md"), help="default: README.md")
    return parser


# ---- zoo


def _show(arguments: argparse.Namespace) -> None:
    card = zoo.card(arguments.name)
    print(card.path.read_text(encoding="utf-8").rstrip())
    weights = zoo.local(card)
    print(f"\nweights: {weights or f'not on this machine; url: {card.url}'}")


def _verify(_: argparse.Namespace) -> None:
    problems = zoo.verify()
    for problem in problems:
        print(problem)
    print(f"{len(zoo.names())} models, {len(problems)} problems")
    if problems:
        raise SystemExit(1)


def _export(arguments: argparse.Namespace) -> None:
    weights, card, missing = zoo.export(
        arguments.checkpoint, arguments.output, arguments.name, half=not arguments.float32
    )
    print(f"{weights} ({weights.stat().st_size / 1e6:.1f} MB)")
    print(f"{card}" + (f": fill in {', '.join(missing)}" if missing else ""))


def _readme(arguments: argparse.Namespace) -> None:
    zoo.write_readme(arguments.file)
    print(f"the table of {len(zoo.names())} models is in {arguments.file}")


# ---- sample


def _sample(arguments: argparse.Namespace) -> None:
    output = arguments.output or Path(f"{Path(arguments.name).stem}.png")
    suffixes = (".png", ".gif") if arguments.interpolate is not None else (".png",)
    if output.suffix not in suffixes:
        raise InputError(
            f"the output is {output}; expected a file name that ends in .png, or in .gif with --interpolate"
        )
    for name, least in (("num", 1), ("columns", 1)):
        value = getattr(arguments, name)
        if value is not None and value < least:
            raise InputError(f"--{name} is {value}; expected at least {least}")
    labels = _labels(arguments.label)
    strengths = _numbers(arguments.strength, float, "--strength") if arguments.strength is not None else None
    terms = _terms(arguments.arithmetic) if arguments.arithmetic is not None else None

    module = zoo.load(arguments.name, _device(arguments.device))
    if terms:
        images, columns = _arithmetic(module, terms, labels)
    elif arguments.interpolate is not None:
        images, columns = _walk(module, arguments, labels, gif=output.suffix == ".gif")
    elif strengths:
        images, columns = _strengths(module, arguments, labels, strengths)
    else:
        num = arguments.num or 64
        images = module.sample_from(module.latents(num, arguments.seed), _rows(module, num, labels))
        in_turn = labels is None and module.num_classes and module.num_classes <= 16
        columns = module.num_classes if in_turn else round(num**0.5)

    output.parent.mkdir(parents=True, exist_ok=True)
    if output.suffix == ".gif":
        _write_gif(images, output)
    else:
        from torchvision.utils import save_image

        save_image(images, output, nrow=arguments.columns or columns, normalize=True, value_range=(-1, 1))
    print(f"{len(images)} images of {arguments.name} are in {output}")


def _strengths(
    module: AdversarialModule,
    arguments: argparse.Namespace,
    labels: Labels,
    strengths: list[float],
) -> tuple[Tensor, int]:
    """One row of the grid per strength, the same latents in every row."""
    import torch

    if not module.linear_labels:
        raise InputError(
            f"--strength is for models whose labels may hold any number, such as controlgan_mnist; a"
            f" {type(module).__name__} knows only whole labels, so leave it out"
        )
    num = arguments.num or 10
    z, rows = module.latents(num, arguments.seed), _rows(module, num, labels)
    return module.sample_from(z.repeat(len(strengths), 1), torch.cat([strength * rows for strength in strengths])), num


def _walk(module: AdversarialModule, arguments: argparse.Namespace, labels: Labels, gif: bool) -> tuple[Tensor, int]:
    """A row per pair of neighbouring latents, with a label for each row; all of them in sequence for a GIF."""
    import torch

    from lightning_gans.latents import interpolate

    num, steps = 5 if arguments.num is None else arguments.num, arguments.interpolate
    if num < 2:
        raise InputError(f"--num is {num}; an interpolation needs at least 2 latents")
    if gif and module.num_classes and (labels is None or len(labels) > 1):
        raise InputError("a .gif of a conditional model keeps one label all along; give one with --label")
    latents = module.latents(num, arguments.seed)
    legs = [interpolate(*pair, steps) for pair in pairwise(latents)]
    if gif:  # a walk does not stop where two legs meet
        legs = [legs[0], *(leg[1:] for leg in legs[1:])]
    rows = _rows(module, len(legs), labels)
    if rows is not None:
        rows = torch.cat([row.expand(len(leg), -1) for row, leg in zip(rows, legs, strict=True)])
    return module.sample_from(torch.cat(legs), rows), steps


def _arithmetic(module: AdversarialModule, terms: list[list[int]], labels: Labels) -> tuple[Tensor, int]:
    """Rows for the three terms, each with its mean last; then two rows of the result and variations of it."""
    import torch

    from lightning_gans.latents import arithmetic

    if module.num_classes and (labels is None or len(labels) > 1):
        raise InputError("--arithmetic with a conditional model keeps one label for all images; give one with --label")
    drawn = [torch.cat([module.latents(1, seed) for seed in seeds]) for seeds in terms]
    columns = len(terms[0]) + 1
    result = arithmetic(*drawn)
    # Uniform noise of a quarter around the result: figure 7 of DCGAN.
    noise = torch.rand(2 * columns - 1, len(result), generator=torch.Generator().manual_seed(0)).to(result) * 0.5 - 0.25
    z = torch.cat([*(torch.cat([term, term.mean(0, True)]) for term in drawn), result[None], result + noise])
    return module.sample_from(z, _rows(module, len(z), labels)), columns


def _labels(given: str | None) -> Labels:
    """Read ``7``, ``0,1,2`` or ``20+31``."""
    if given is None:
        return None
    return [tuple(_numbers(part, int, "--label", "+")) for part in given.split(",")]


def _rows(module: AdversarialModule, num: int, labels: Labels) -> Tensor | None:
    """(num, K) label rows."""
    import torch

    if labels is None:
        return module.label_rows(num)
    for several in [label for label in labels if len(label) > 1]:
        if not module.linear_labels and module.num_classes:
            raise InputError(
                f"--label {'+'.join(map(str, several))} sets several entries; a {type(module).__name__} takes one"
            )
    rows = [sum(module.label_rows(1, entry) for entry in label) for label in labels]
    return torch.cat([rows[index % len(rows)] for index in range(num)])


def _numbers(given: str, kind: type, option: str, separator: str = ",") -> list:
    try:
        return [kind(part) for part in given.split(separator)]
    except ValueError:
        noun = "whole numbers" if kind is int else "numbers"
        raise InputError(f"{option} is given {given}; expected {noun} separated by {separator}") from None


def _terms(given: str) -> list[list[int]]:
    positive, minus, rest = given.partition("-")
    negative, plus, base = rest.partition("+")
    if not (minus and plus):
        raise InputError(f"--arithmetic is {given}; expected three lists of seeds, such as 1,2,3-4,5,6+7,8,9")
    terms = [_numbers(term, int, "--arithmetic") for term in (positive, negative, base)]
    if len({len(term) for term in terms}) > 1:
        raise InputError(f"--arithmetic is {given}; expected equally many seeds in the three lists")
    return terms


def _device(given: str | None) -> str:
    import torch

    if given is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=given)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"--device {given} cannot be used here ({reason}); leave it out, or give cpu") from None
    return given


def _write_gif(images: Tensor, output: Path) -> None:
    """A frame per image, without end, ten a second."""
    from torchvision.transforms.functional import to_pil_image

    frames = [to_pil_image(image) for image in ((images.cpu() + 1) / 2).clamp(0, 1)]
    frames[0].save(output, save_all=True, append_images=frames[1:], duration=100, loop=0)
