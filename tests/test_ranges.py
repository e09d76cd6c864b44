"""The ranges of arguments: in the signature, on the command line, in its help, and in Python."""

import copy
import inspect
import pickle
from typing import Annotated, Any, get_args, get_origin

import numpy as np
import pytest
from jsonargparse import ArgumentParser

from lightning_gans import data, models
from lightning_gans.callbacks.evaluation import Evaluate
from lightning_gans.callbacks.samples import LogSamples
from lightning_gans.errors import InputError
from lightning_gans.ranges import PositiveInt, Ranged, Share, check_arguments, unmet
from lightning_gans.training.accumulation import AccumulateGradients, ClipGradients
from lightning_gans.training.ema import AverageGenerator

CLASSES: list[Any] = [getattr(room, name) for room in (models, data) for name in room.__all__]
CLASSES += [Evaluate, LogSamples, AverageGenerator, AccumulateGradients, ClipGradients]
WRONG = (0, -1, -0.5, 0.5, 1, 2, float("nan"), float("inf"), -float("inf"), "x")
NAN = float("nan")


def ranged(kind: Any) -> dict[str, Any]:
    """The arguments that hold one number which is declared a range of."""
    hints = {name: p.annotation for name, p in inspect.signature(kind).parameters.items()}
    return {name: hint for name, hint in hints.items() if "Annotated" in repr(hint) and "tuple" not in repr(hint)}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_number_has_a_range_that_python_and_the_command_line_share(kind):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "it")
    for name, parameter in inspect.signature(kind).parameters.items():
        hint = parameter.annotation
        parts = [hint] if get_origin(hint) is Annotated else [hint, *get_args(hint)]
        assert name == "seed" or not {int, float}.intersection(parts), name
        if parameter.default is not parameter.empty:
            assert unmet(parameter.default, parameter.annotation) is None, name
    for name, hint in ranged(kind).items():
        for value in WRONG:
            try:
                parser.parse_args([f"--it.{name}={value}"])
                taken = True
            except Exception as error:
                assert name in str(error)
                taken = False
            assert taken == (unmet(value, hint) is None), (name, value)
            if not taken:
                with pytest.raises(InputError, match=f"^{name} is .*; expected "):
                    kind(**{name: value})


@pytest.mark.parametrize(
    "value, hint, expected",
    [
        (0, PositiveInt, "a whole number of at least 1"),
        (1.5, PositiveInt, "a whole number"),
        (NAN, PositiveInt, "a whole number"),
        ("3", PositiveInt, "a whole number"),
        (None, PositiveInt, "a whole number"),
        (None, PositiveInt | None, None),
        (0, PositiveInt | None, "a whole number of at least 1"),
        (np.int64(3), PositiveInt, None),
        (64.0, PositiveInt, None),
        (1, Share, "a number below 1"),
        (NAN, Share, "a number of at least 0"),
        ((1, 2), tuple[PositiveInt, ...], None),
        ([1, 0], tuple[PositiveInt, ...], "numbers, each a whole number of at least 1"),
        (3, tuple[PositiveInt, ...], "several numbers"),
        ((1, 2), tuple[PositiveInt, PositiveInt, PositiveInt], "3 numbers"),
        ([1, 2], list[PositiveInt], None),
        ([1, 0], list[PositiveInt], "numbers, each a whole number of at least 1"),
        (3, list[PositiveInt] | None, "several numbers"),
        (((1,), (0,)), tuple[tuple[PositiveInt, ...], ...], "numbers, each numbers, each a whole number of at least 1"),
        ({"g": 0}, PositiveInt | dict[str, PositiveInt], "a whole number or a whole number of at least 1"),
        ({"g": 2}, PositiveInt | dict[str, PositiveInt], None),
        ("any", str, None),
    ],
)
def test_what_is_expected(value, hint, expected):
    assert unmet(value, hint) == expected


class Mine(models.DCGAN):
    """As a user would write it."""

    def __init__(self, extra: PositiveInt = 1, **options: Any) -> None:
        super().__init__(**options)
        self.extra = extra
        self.save_hyperparameters()


def test_a_subclass_has_the_ranges_of_its_parent():
    with pytest.raises(InputError, match="width is 0"):
        Mine(width=0)
    with pytest.raises(InputError, match="extra is 0"):
        Mine(0)
    with pytest.raises(TypeError, match="widht"):
        Mine(widht=4)
    model = Mine(2, width=4, channels=1)
    assert (model.hparams["extra"], model.hparams["width"]) == (2, 4)


def test_copies_are_made_without_arguments():
    model = models.GAN(latent_dim=2, hidden=2, units=2, pieces=2)
    assert copy.deepcopy(model).hparams == pickle.loads(pickle.dumps(model)).hparams == model.hparams


def test_annotations_that_only_a_type_checker_knows_are_left():
    class Odd(Ranged):
        def __init__(self, size: "PositiveInt", other: "NotThere" = None) -> None:  # type: ignore[name-defined]  # noqa: F821
            self.size = size

    assert Odd(0).size == 0
    check_arguments(Odd.__init__, (None, 1), {})
