"""Which latents and labels ``sample`` is asked for.

What is made ``in_sequence`` is seen or heard one after the other: walks do not stop at a latent and keep one label, and
arithmetic is shown without its variations.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from lightning_gans.errors import InputError
from lightning_gans.files import reading, regular
from lightning_gans.training import sampling
from lightning_gans.training.adversarial_module import AdversarialModule

Labels = list[tuple[int, ...]] | None
"""For each sample in turn, the entries of its label row that are 1; None for one label after the other."""
Number = TypeVar("Number", int, float)


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


def drawn(module: AdversarialModule, num: int, seed: int, labels: Labels) -> Plan:
    """Latents of a seed."""
    in_turn = labels is None and module.num_classes is not None and module.num_classes <= 16
    columns = module.num_classes if in_turn and module.num_classes else round(num**0.5)
    return Plan(module.latents(num, seed), _rows(module, num, labels), columns)


def saved(module: AdversarialModule, path: Path, labels: Labels) -> Plan:
    """What ``sample`` has written beside its sounds."""
    from safetensors.torch import load_file

    way_out = "give --latents a file that sample has written"
    with reading(regular(path, way_out), "a safetensors file", way_out):
        tensors = load_file(path)
    size = module.latents(1, 0).shape[1]
    z = tensors.get("z")
    if z is None or z.dim() != 2 or len(z) == 0 or z.shape[1] != size:
        found = f"a tensor z of shape {tuple(z.shape)}" if z is not None else f"tensors {', '.join(tensors) or 'none'}"
        raise InputError(f"{path} holds {found}; {type(module).__name__} takes latents z of shape (N, {size})")
    if not z.isfinite().all():
        raise InputError(f"{path} holds latents that are not finite; {way_out}")
    kept = labels is None and "label" in tensors
    rows = module.label_rows(len(z), tensors["label"]) if kept else _rows(module, len(z), labels)
    return Plan(z.float().to(module.device), rows, round(len(z) ** 0.5))


def strengthened(module: AdversarialModule, num: int, seed: int, labels: Labels, strengths: list[float]) -> Plan:
    """One row of the grid per strength, the same latents in every row."""
    z, rows = module.latents(num, seed), _rows(module, num, labels)
    if rows is None or not module.linear_labels:
        raise InputError(
            f"--strength is for models whose labels may hold any number, such as controlgan_mnist; a"
            f" {type(module).__name__} knows only whole labels, so leave it out"
        )
    return Plan(z.repeat(len(strengths), 1), torch.cat([strength * rows for strength in strengths]), num)


def walk(module: AdversarialModule, num: int, seed: int, labels: Labels, steps: int, in_sequence: bool) -> Plan:
    """A row per pair of neighboring latents, with a label for each row; or all of them in sequence."""
    if num < 2:
        raise InputError(f"--num is {num}; an interpolation needs at least 2 latents")
    if in_sequence:
        _one_label(module, labels, "--interpolate")
    legs = [sampling.interpolate(*pair, steps) for pair in pairwise(module.latents(num, seed))]
    if in_sequence:  # a walk does not stop where two legs meet
        legs = [legs[0], *(leg[1:] for leg in legs[1:])]
    rows = _rows(module, len(legs), labels)
    if rows is not None:
        rows = torch.cat([row.expand(len(leg), -1) for row, leg in zip(rows, legs, strict=True)])
    return Plan(torch.cat(legs), rows, steps)


def arithmetic(module: AdversarialModule, terms: list[list[int]], labels: Labels, in_sequence: bool) -> Plan:
    """Rows for the three terms, each with its mean last, then two rows of the result and variations of it.

    In sequence only the three means and the result.
    """
    _one_label(module, labels, "--arithmetic")
    concepts = [torch.cat([module.latents(1, seed) for seed in seeds]) for seeds in terms]
    columns = len(terms[0]) + 1
    result = sampling.arithmetic(*concepts)
    if in_sequence:
        z = torch.stack([*(term.mean(0) for term in concepts), result])
    else:  # uniform noise of a quarter around the result: figure 7 of DCGAN
        noise = torch.rand(2 * columns - 1, len(result), generator=torch.Generator().manual_seed(0))
        noise = noise.to(result) * 0.5 - 0.25
        z = torch.cat([*(torch.cat([term, term.mean(0, True)]) for term in concepts), result[None], result + noise])
    return Plan(z, _rows(module, len(z), labels), columns)


def _one_label(module: AdversarialModule, labels: Labels, option: str) -> None:
    if module.num_classes and (labels is None or len(labels) > 1):
        raise InputError(f"{option} with a conditional model keeps one label all along; give one with --label")


def _rows(module: AdversarialModule, num: int, labels: Labels) -> Tensor | None:
    """(num, K) label rows."""
    if labels is None:
        return module.label_rows(num)
    for several in [label for label in labels if len(label) > 1]:
        if not module.linear_labels and module.num_classes:
            raise InputError(
                f"--label {'+'.join(map(str, several))} sets several entries; a {type(module).__name__} takes one"
            )
    entries = [module.label_rows(len(label), label) for label in labels]
    rows = [each.sum(0, keepdim=True) for each in entries if each is not None]
    return torch.cat([rows[index % len(rows)] for index in range(num)])


def read_labels(given: str | None) -> Labels:
    """Read ``7``, ``0,1,2`` or ``20+31``."""
    return None if given is None else [tuple(read_numbers(part, int, "--label", "+")) for part in given.split(",")]


def read_numbers(given: str, kind: type[Number], option: str, separator: str = ",") -> list[Number]:
    """Read ``-1,0,0.5``."""
    try:
        numbers = [kind(part) for part in given.split(separator)]
        if not all(map(math.isfinite, numbers)):
            raise ValueError
        return numbers
    except (ValueError, OverflowError):
        noun = "whole numbers" if kind is int else "numbers"
        raise InputError(f"{option} is given {given}; expected {noun} separated by {separator}") from None


def read_terms(given: str) -> list[list[int]]:
    """Read ``1,2,3-4,5,6+7,8,9``."""
    positive, minus, rest = given.partition("-")
    negative, plus, base = rest.partition("+")
    if not (minus and plus):
        raise InputError(f"--arithmetic is {given}; expected three lists of seeds, such as 1,2,3-4,5,6+7,8,9")
    found = [read_numbers(term, int, "--arithmetic") for term in (positive, negative, base)]
    if len({len(term) for term in found}) > 1:
        raise InputError(f"--arithmetic is {given}; expected equally many seeds in the three lists")
    require_seeds([seed for term in found for seed in term], "--arithmetic")
    return found


def require_seeds(seeds: list[int], option: str) -> None:
    """Refuse numbers that torch does not take as a seed."""
    for seed in seeds:
        if not -(2**63) <= seed < 2**64:
            raise InputError(f"{option} is given the seed {seed}; expected a number of 64 bits, such as 0 or 1234")
