"""The one error for what a user gave: the command line prints its one line and exits with 2."""

from collections.abc import Iterable


class LostProcess(RuntimeError):
    """Another process of a run has ended; the command line shows it as one line and exits with 1."""


class InputError(ValueError):
    """Something given from outside cannot be used. The message says what was given, what was expected, the way out."""


def one_line(error: BaseException) -> str:
    """Its message without line breaks, control characters as their codes; its kind where it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Check an argument that is one of several names.

    Raises:
        InputError: for a value that is none of them.
    """
    known = list(choices)
    if value not in known:
        raise InputError(f"unknown {name} {value!r}; expected {' or '.join(known)}")


def closest(given: str, known: list[str]) -> str:
    """The end of an "unknown name" message: the names most like the one given, else all of them."""
    from difflib import get_close_matches

    matches = get_close_matches(given, known, n=3, cutoff=0.5)
    if matches:
        return f"did you mean {' or '.join(matches)}?"
    return f"known: {', '.join(sorted(known)) or 'none'}"
