"""The command ``sample``: which latents and labels are asked for, and how what they make is written."""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_gans import zoo
from lightning_gans.callbacks.media import SHOWN, clips_picture, in_sequence, write_clips
from lightning_gans.errors import InputError
from lightning_gans.training.adversarial_module import AdversarialModule
from lightning_gans.training.latents import arithmetic, interpolate

IMAGES, CLIPS = 64, 16
"""How many, without options."""
LATENTS, PICTURE = "latents.safetensors", "picture.png"

Labels = list[tuple[int, ...]] | None
"""For each sample in turn, the entries of its label row that are 1; None for one label after the other."""


class Plan(NamedTuple):
    """What to generate.

    Attributes:
        z: (N, Z) latents.
        rows: (N, K) label rows; None for models without labels.
        columns: In which a grid of images shows it.
    """

    z: Tensor
    rows: Tensor | None
    columns: int


def sample(arguments: argparse.Namespace) -> None:
    """Load the model, generate, and write files.

    Raises:
        InputError: for options that cannot be used; nothing is written then.
    """
    for name, least in (("num", 1), ("columns", 1)):
        value = getattr(arguments, name)
        if value is not None and value < least:
            raise InputError(f"--{name} is {value}; expected at least {least}")
    if arguments.latents is not None and (arguments.num is not None or arguments.seed is not None):
        raise InputError("--latents says which latents and how many; leave out --num and --seed")
    labels = _labels(arguments.label)
    if arguments.strength is not None:
        arguments.strength = _numbers(arguments.strength, float, "--strength")
    if arguments.arithmetic is not None:
        arguments.arithmetic = _terms(arguments.arithmetic)
    arguments.seed = arguments.seed or 0

    module = zoo.load(arguments.name, arguments.device)
    (_sounds if getattr(module, "sample_rate", None) else _images)(module, arguments, labels)


# ---- images


def _images(module: AdversarialModule, arguments: argparse.Namespace, labels: Labels) -> None:
    output = arguments.output or Path(f"{Path(arguments.name).stem}.png")
    suffixes = (".png", ".gif") if arguments.interpolate is not None else (".png",)
    if output.suffix not in suffixes:
        raise InputError(
            f"the output is {output}; expected a file name that ends in .png, or in .gif with --interpolate"
        )
    plan = _plan(module, arguments, labels, IMAGES, in_sequence=output.suffix == ".gif")
    images = module.sample_from(plan.z, plan.rows)
    output.parent.mkdir(parents=True, exist_ok=True)
    if output.suffix == ".gif":
        _write_gif(images, output)
    else:
        from torchvision.utils import save_image

        save_image(images, output, nrow=arguments.columns or plan.columns, normalize=True, value_range=(-1, 1))
    print(f"{len(images)} images of {arguments.name} are in {output}")


def _write_gif(images: Tensor, output: Path) -> None:
    """A frame per image, without end, ten a second."""
    from torchvision.transforms.functional import to_pil_image

    frames = [to_pil_image(image) for image in ((images.cpu() + 1) / 2).clamp(0, 1)]
    frames[0].save(output, save_all=True, append_images=frames[1:], duration=100, loop=0)


# ---- sounds


def _sounds(module: AdversarialModule, arguments: argparse.Namespace, labels: Labels) -> None:
    """A folder of clips, or a walk in one file; latents and picture beside them."""
    if arguments.columns is not None:
        raise InputError(f"--columns arranges images, and a {type(module).__name__} makes sound; leave it out")
    walk = arguments.interpolate is not None
    output = arguments.output or Path(Path(arguments.name).stem + (".wav" if walk else ""))
    if walk and output.suffix != ".wav":
        raise InputError(f"the output is {output}; expected a file name that ends in .wav, as the walk is one sound")
    if not walk:
        _check_folder(output)
    plan = _plan(module, arguments, labels, CLIPS, in_sequence=True)
    audio = module.sample_from(plan.z, plan.rows)
    if walk:
        write_clips(output.parent, in_sequence(audio, module.sample_rate)[None], module.sample_rate, [output.stem])
        # A model's own file may be called NAME.safetensors.
        latents, picture = output.with_suffix(".latents.safetensors"), output.with_suffix(".png")
    else:
        names = ["a", "b", "c", "result"] if arguments.arithmetic else None
        write_clips(output, audio, module.sample_rate, names)
        latents, picture = output / LATENTS, output / PICTURE
    _write_latents(latents, plan, arguments.name)
    clips_picture(audio, module.sample_rate).save(picture)
    how = ", one after the other," if walk else ""
    shown = f"; {picture} shows the first {SHOWN}" if len(audio) > SHOWN else ""
    print(f"{len(audio)} clips of {arguments.name}{how} are in {output}{shown}")


def _check_folder(folder: Path) -> None:
    """Refuse what is no folder, and one in which the sounds of two calls would mix."""
    if folder.suffix in (".wav", ".png", ".gif") or folder.is_file():
        raise InputError(
            f"the output is {folder}; expected a folder, as each sound is a file; one file of all is made with"
            " --interpolate"
        )
    if any(folder.glob("*.wav")) or any((folder / name).exists() for name in (LATENTS, PICTURE)):
        raise InputError(
            f"{folder} holds sounds already, and those of two calls must not mix; move them away, or choose another"
            " folder with --output DIR"
        )


def _write_latents(path: Path, plan: Plan, name: str) -> None:
    from safetensors.torch import save_file

    tensors = {"z": plan.z} | ({} if plan.rows is None else {"label": plan.rows})
    save_file({key: value.contiguous().cpu() for key, value in tensors.items()}, path, {"model": name})


# ---- latents and labels


def _plan(
    module: AdversarialModule, arguments: argparse.Namespace, labels: Labels, default: int, in_sequence: bool
) -> Plan:
    """Latents and label rows that the options ask for.

    Args:
        module: Takes them.
        arguments: The options.
        labels: Of ``--label``.
        default: How many, without options.
        in_sequence: To be seen or heard one after the other: walks do not stop at a latent and keep one label, and
            arithmetic is shown without its variations.
    """
    if arguments.arithmetic:
        return _arithmetic(module, arguments.arithmetic, labels, in_sequence)
    if arguments.interpolate is not None:
        return _walk(module, arguments, labels, in_sequence)
    if arguments.strength:
        return _strengths(module, arguments, labels)
    if arguments.latents is not None:
        return _saved(module, arguments.latents, labels)
    num = arguments.num or default
    in_turn = labels is None and module.num_classes and module.num_classes <= 16
    columns = module.num_classes if in_turn else round(num**0.5)
    return Plan(module.latents(num, arguments.seed), _rows(module, num, labels), columns)


def _saved(module: AdversarialModule, path: Path, labels: Labels) -> Plan:
    """What ``_write_latents`` has written."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"--latents {path} cannot be read ({error}); give a file that sample has written") from error
    size = module.latents(1, 0).shape[1]
    z = tensors.get("z")
    if z is None or z.dim() != 2 or len(z) == 0 or z.shape[1] != size:
        found = f"a tensor z of shape {tuple(z.shape)}" if z is not None else f"tensors {', '.join(tensors) or 'none'}"
        raise InputError(f"{path} holds {found}; {type(module).__name__} takes latents z of shape (N, {size})")
    saved = labels is None and "label" in tensors
    rows = module.label_rows(len(z), tensors["label"]) if saved else _rows(module, len(z), labels)
    return Plan(z.float().to(module.device), rows, round(len(z) ** 0.5))


def _strengths(module: AdversarialModule, arguments: argparse.Namespace, labels: Labels) -> Plan:
    """One row of the grid per strength, the same latents in every row."""
    if not module.linear_labels:
        raise InputError(
            f"--strength is for models whose labels may hold any number, such as controlgan_mnist; a"
            f" {type(module).__name__} knows only whole labels, so leave it out"
        )
    num, strengths = arguments.num or 10, arguments.strength
    z, rows = module.latents(num, arguments.seed), _rows(module, num, labels)
    return Plan(z.repeat(len(strengths), 1), torch.cat([strength * rows for strength in strengths]), num)


def _walk(module: AdversarialModule, arguments: argparse.Namespace, labels: Labels, in_sequence: bool) -> Plan:
    """A row per pair of neighbouring latents, with a label for each row; or all of them in sequence."""
    num, steps = 5 if arguments.num is None else arguments.num, arguments.interpolate
    if num < 2:
        raise InputError(f"--num is {num}; an interpolation needs at least 2 latents")
    if in_sequence and module.num_classes and (labels is None or len(labels) > 1):
        what = "sound" if getattr(module, "sample_rate", None) else ".gif"
        raise InputError(f"a {what} of a conditional model keeps one label all along; give one with --label")
    latents = module.latents(num, arguments.seed)
    legs = [interpolate(*pair, steps) for pair in pairwise(latents)]
    if in_sequence:  # a walk does not stop where two legs meet
        legs = [legs[0], *(leg[1:] for leg in legs[1:])]
    rows = _rows(module, len(legs), labels)
    if rows is not None:
        rows = torch.cat([row.expand(len(leg), -1) for row, leg in zip(rows, legs, strict=True)])
    return Plan(torch.cat(legs), rows, steps)


def _arithmetic(module: AdversarialModule, terms: list[list[int]], labels: Labels, in_sequence: bool) -> Plan:
    """Rows for the three terms, each with its mean last, then two rows of the result and variations of it.

    In sequence only the three means and the result.
    """
    if module.num_classes and (labels is None or len(labels) > 1):
        what = "sounds" if getattr(module, "sample_rate", None) else "images"
        raise InputError(f"--arithmetic with a conditional model keeps one label for all {what}; give one with --label")
    drawn = [torch.cat([module.latents(1, seed) for seed in seeds]) for seeds in terms]
    columns = len(terms[0]) + 1
    result = arithmetic(*drawn)
    if in_sequence:
        z = torch.stack([*(term.mean(0) for term in drawn), result])
    else:  # uniform noise of a quarter around the result: figure 7 of DCGAN
        noise = torch.rand(2 * columns - 1, len(result), generator=torch.Generator().manual_seed(0))
        noise = noise.to(result) * 0.5 - 0.25
        z = torch.cat([*(torch.cat([term, term.mean(0, True)]) for term in drawn), result[None], result + noise])
    return Plan(z, _rows(module, len(z), labels), columns)


def _labels(given: str | None) -> Labels:
    """Read ``7``, ``0,1,2`` or ``20+31``."""
    if given is None:
        return None
    return [tuple(_numbers(part, int, "--label", "+")) for part in given.split(",")]


def _rows(module: AdversarialModule, num: int, labels: Labels) -> Tensor | None:
    """(num, K) label rows."""
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
