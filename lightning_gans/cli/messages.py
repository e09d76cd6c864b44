"""Parsers that say what is wrong in one line; private names of argparse and jsonargparse are used in this file only."""

from __future__ import annotations

import argparse
import re
import traceback
from collections.abc import Iterator
from typing import Any, ClassVar, NoReturn, get_args, get_origin

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from lightning_gans.errors import InputError, closest
from lightning_gans.ranges import described


class OneLine(ArgumentParser):
    """Raises InputError where jsonargparse would print its usage and several lines."""

    classes: ClassVar[dict[str, list[str]]] = {}
    """Names that an option takes for a class, by option."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, formatter_class=_Formatter, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise InputError(_readable(message, ex, self)) from ex


class _Formatter(DefaultHelpFormatter):
    """Leaves indented paragraphs as they are, and says nothing about defaults of None."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        paragraphs = [p if "\n " in f"\n{p}" else fill(p, width, indent) for p in text.split("\n\n")]
        return "\n\n".join(paragraphs)

    def _expand_help(self, action: argparse.Action) -> str:
        text = re.sub(r"<class '(\w+)'>", r"\1", super()._expand_help(action))
        text = re.sub(r"Annotated\[(\w+), (.*?\))\]", lambda match: f"{match[1]} {described(match[2])}", text)
        text = re.sub(r"Optional\[([^\[\]]*)\]", r"\1 | null", text)
        return text.replace(" (default: null)", "").replace(", default: null", "")


class CommandParser(OneLine):
    """Of a command that is a function: ``parser.add_function_arguments(function, as_group=False, as_positional=True)``.

    Required parameters are positional, the others and those that are keyword-only are options. A positional list takes
    several words, a bool that is False by default is an option without a value.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=True, **kwargs)
        self._negative_number_matcher = re.compile(r"-\.?\d")  # so that -1,0,0.5 is a value, not an option

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        """See argparse; it is called for each parameter of a function."""
        if kwargs.get("type") is bool and kwargs.get("default") is False:
            del kwargs["type"]
            return super().add_argument(*args, action="store_true", **kwargs)
        if args[0] == "--data":
            from lightning_gans import data

            self.classes = {"data": data.__all__}  # type: ignore[misc]
        listed = getattr(kwargs.get("action"), "_typehint", None)
        if not args[0].startswith("-") and get_origin(listed) is list:
            del kwargs["action"]
            return super().add_argument(*args, type=get_args(listed)[0], nargs="+", **kwargs)
        return super().add_argument(*args, **kwargs)


class GroupHelp(argparse._HelpAction):
    """``--run.help``: the options of the class that was added under ``run``."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        formatter = parser._get_formatter()
        formatter.add_arguments(parser.groups[self.dest.partition(".")[0]]._group_actions)  # type: ignore[attr-defined]
        print(formatter.format_help(), end="")
        parser.exit()


def _command(parser: ArgumentParser) -> str:
    """As it is typed; jsonargparse puts the options that may stand before a subcommand between its words."""
    return " ".join(parser.prog.replace("[options]", "").split())


def raised_in(error: BaseException, package: str) -> bool:
    """Whether a package's own code has raised an error, which then has looked at something and found it wrong."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).partition(".")[0] == package


def raised(error: BaseException) -> BaseException:
    """What a constructor raised, without jsonargparse's exceptions around it."""
    while (cause := error.__cause__) is not None:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is None or not trace.tb_frame.f_globals["__name__"].startswith("jsonargparse."):
            break
        error = cause
    return error


def _options(parser: ArgumentParser) -> list[str]:
    """What can be given, subcommands' options included."""
    parsers = [parser, *(p for a in parser._actions if isinstance(a.choices, dict) for p in a.choices.values())]
    return sorted({option for each in parsers for option in each._option_string_actions})


def _readable(message: str, error: BaseException | None, parser: OneLine) -> str:
    """Reduce one of jsonargparse's messages, which list all that was tried, to what was given and what was expected.

    Args:
        message: Of the parser; one of an unknown kind is returned as it is.
        error: What the message was made of, with its causes.
        parser: Whose message it is.
    """
    options, classes = _options(parser), parser.classes
    if match := re.search(r"arguments are required: (.*)", message):
        names = [name.rpartition(".")[2] for name in match[1].split(", ")]
        for name in classes:
            if name in names:
                listed = ", ".join(classes[name])
                return f"no {name} given; give --{name} NAME with one of {listed}, or --config NAME"
        names = [f"--{name}" if f"--{name}" in options else name.upper() for name in names]
        return f"{' and '.join(names)} not given; {_command(parser)} --help tells more"
    if match := re.search(r"unrecognized arguments: (-[^\s=]+)", message):
        return f"unknown option {match[1]}; {_closest_option(match[1], options, parser.prog)}"
    if match := re.search(r"unrecognized arguments: (.*)", message):
        return f"{match[1]} stands without an option before it; {_command(parser)} --help tells more"
    if match := re.search(r"(?:Option|does not accept option) '([^']+)'", message):
        return (
            f"unknown option {match[1]}; {_closest_option(f'--{match[1]}', options, parser.prog).replace(' --', ' ')}"
        )
    keys = re.findall(r'(?:Parser key "|^--)([^":]+?)(?:"|\.help:)', message)
    if not keys:
        return message
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, InputError):  # of the parser of a class, in our words already
            return f"{keys[0]}: {cause}"
    if match := re.search(r"Expected a dot import path string: (\S+)", message):
        if keys[0] in classes:
            return f"unknown {keys[0]} {match[1]!r}; {closest(match[1], classes[keys[0]])}"
        return f"{keys[0]}: {match[1]} is no class; give its name with its package, as in package.module.Class"
    if ranges := re.findall(r"Input should be (.+?) \[type=.*?input_value='?(.+?)'?, input_type", message):
        expected, value = ranges[-1]
        return f"{'.'.join(keys)} is {value}; expected {_range_of(expected)}"
    given = re.search(r"(?:Got|Given) value: (.*)", message)
    reason = str(causes[-1]).partition("\n")[0] if causes else "Expected"
    if given and not reason.startswith("Expected"):
        return f"{keys[0]}: {given[1]} cannot be used ({reason})"
    kinds = list(dict.fromkeys(re.findall(r"Expected an? (.+?)(?:\.? Got value: .*)?$", message, re.MULTILINE)))
    if not (kinds and given):
        return message
    return f"{'.'.join(keys)} is {given[1]}; expected {' or '.join(map(_type_name, kinds))}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _closest_option(given: str, options: list[str], prog: str) -> str:
    found = closest(given, options)
    return found if found.startswith("did you mean") else f"{prog} --help lists the options"


def _range_of(expected: str) -> str:
    """What pydantic says of a number that it refuses, in the words of ``ranges.unmet``."""
    if match := re.fullmatch(r"(greater|less) than( or equal to)? (\S+)", expected):
        words = {"greater": ("above", "of at least"), "less": ("below", "of at most")}[match[1]]
        return "a finite number" if "inf" in match[3] else f"a number {words[bool(match[2])]} {match[3]}"
    return "a whole number" if "integer" in expected else "a number" if "number" in expected else expected


def _type_name(expected: str) -> str:
    """``<class 'int'>`` to int, ``typing.Literal['a', 'b']`` to a, b."""
    if match := re.fullmatch(r"<class '(?:\w+\.)*(\w+)'>", expected):
        return {"NoneType": "null", "int": "a whole number", "float": "a number", "str": "text"}.get(match[1], match[1])
    return re.sub(r"(?:typing\.)?Literal\[(.*?)\]", lambda match: match[1].replace("'", ""), expected)
