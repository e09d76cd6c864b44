import argparse
import os
import re
import subprocess
import sys
from contextlib import suppress
from inspect import signature
from itertools import chain
from pathlib import Path

import docstring_parser
import pytest
from helpers import tiny_zoo

import lightning_gans
from lightning_gans.__main__ import main
from lightning_gans.cli import main as commands
from lightning_gans.cli.messages import CommandParser
from lightning_gans.cli.options import GROUPS
from lightning_gans.errors import InputError
from lightning_gans.zoo import assets
from lightning_gans.zoo.cards import Card, Result


@pytest.fixture
def released(tmp_path, monkeypatch):
    folder = tmp_path / "zoo"
    for name, model in (("gan_noise", "GAN"), ("cgan_noise", "CGAN")):
        tiny_zoo.entry(folder, name, model)
    monkeypatch.setattr(assets, "zoo", lambda: folder)
    monkeypatch.delenv("LIGHTNING_GANS_ZOO", raising=False)
    monkeypatch.chdir(tmp_path)
    return folder


def every(commands_: dict, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The words of each command."""
    found = [every(c, (*words, name)) if isinstance(c, dict) else [(*words, name)] for name, c in commands_.items()]
    return list(chain(*found))


# ---- commands of the zoo


def test_the_list_is_an_aligned_table(released, capsys):
    commands.main(["zoo", "list"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "cgan_noise", "gan_noise"]
    assert lines[2].endswith("parzen 226.5 nats (225 ± 2), fid_lenet 4.5")
    assert len({line.index(word) for line, word in zip(lines, ["PAPER", *["1406.2661"] * 2], strict=True)}) == 1


def test_show_prints_the_card_and_config_its_path(released, capsys):
    commands.main(["zoo", "show", "gan_noise"])
    out = capsys.readouterr().out
    assert out.startswith("---\nname: gan_noise\n")
    assert "Grey noise" in out and out.endswith(f"weights: {released / 'gan_noise.safetensors'}\n")
    commands.main(["zoo", "config", "gan_noise"])
    assert capsys.readouterr().out == f"{assets.config('gan_mnist')}\n"
    with pytest.raises(InputError, match="did you mean cgan_noise"):
        commands.main(["zoo", "show", "cgan_nois"])


def test_export_makes_files_and_lists_what_is_to_be_filled_in(released, capsys):
    run = str(released / "runs" / "last.ckpt")
    commands.main(["zoo", "export", run, "--output", "out", "--name", "cgan_new"])
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("out/cgan_new.safetensors (")
    assert second.startswith("out/cgan_new.md: fill in ") and "results[0].metric" in second
    commands.main(["zoo", "export", "--float32", run, "--output", "out", "--name", "cgan_exact"])
    half, exact = (Path(f"out/cgan_{name}.safetensors").stat().st_size for name in ("new", "exact"))
    assert exact > 1.5 * half


def test_verify_exits_with_1_when_a_hash_is_wrong(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(assets, "zoo", lambda: tmp_path / "zoo")
    monkeypatch.setattr(assets, "configs", lambda: tmp_path)
    monkeypatch.delenv("LIGHTNING_GANS_ZOO", raising=False)
    (tmp_path / "gan_mnist.yaml").write_text("")
    weights = tiny_zoo.entry(tmp_path / "zoo")
    commands.main(["zoo", "verify"])
    assert capsys.readouterr().out == "1 models, 0 problems\n"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(SystemExit) as status:
        commands.main(["zoo", "verify"])
    assert status.value.code == 1
    assert "SHA-256" in capsys.readouterr().out


def test_the_readme_is_rewritten(released, tmp_path, capsys):
    for options_, file in (([], "README.md"), (["--file", "OTHER.md"], "OTHER.md")):
        (tmp_path / file).write_text("<!-- zoo:begin -->\n<!-- zoo:end -->\n")
        commands.main(["zoo", "readme", *options_])
        assert (tmp_path / file).read_text().count("noise.md) |") == 2
        assert capsys.readouterr().out == f"the table of 2 models is in {file}\n"


# ---- how functions are called


def test_words_become_arguments(monkeypatch, capsys):
    called = []

    def travel(
        places: list[Path],
        *,
        to: Path,
        by_train: bool = False,
        luggage_weight: float | None = None,
        strength: str | None = None,
        seed: int = 0,
    ) -> str:
        """Go."""
        called.append((places, to, by_train, luggage_weight, strength, seed))
        return "arrived"

    monkeypatch.setitem(commands.COMMANDS, "travel", travel)
    commands.main(["travel", "a", "b", "--to", "c", "--by-train", "--luggage-weight", "1.5", "--strength", "-1,0,.5"])
    commands.main(["travel", "a", "--by_train", "--luggage_weight=2", "--to=a-b", "--strength=7", "--seed", "-3"])
    assert called == [
        ([Path("a"), Path("b")], Path("c"), True, 1.5, "-1,0,.5", 0),
        ([Path("a")], Path("a-b"), True, 2.0, "7", -3),
    ]
    assert capsys.readouterr().out == "arrived\narrived\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("fitt", "'fitt'; did you mean fit"),
        ("zoo lst", "'lst'; did you mean list"),
        ("sample", "NAME not given; lightning-gans sample --help"),
        ("zoo export last.ckpt", "--output not given; lightning-gans zoo export --help"),
        ("sample x_y --num few", "num is few; expected a whole number"),
        ("vocode x_y a b --chunk-seconds ten", "chunk_seconds is ten; expected a number"),
        ("sample x_y --nmu 3", "--nmu; did you mean --num"),
        ("sample x_y --zzzzzzzz 3", "--zzzzzzzz; lightning-gans sample --help"),
        ("zoo list extra", "extra stands without an option"),
        ("zoo export last.ckpt --output x --format tflite", "format is tflite; expected safetensors, onnx, torch"),
        ("dashboard", "--entity not given"),
    ],
)
def test_wrong_words_are_one_line_and_exit_code_2(words, told, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words.split())
    (said,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and said.startswith("lightning-gans: error: ") and told in said


@pytest.mark.parametrize(("joined", "said"), [(False, ""), (True, "lightning-gans: error: rank 1: a.wav is damaged\n")])
def test_a_second_process_says_what_it_alone_may_have_met(joined, said, monkeypatch, capsys):
    """In training; before, all processes find the same."""

    def damaged(words: list[str]) -> None:
        raise InputError("a.wav is damaged")

    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: joined)
    monkeypatch.setattr(commands, "main", damaged)
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2 and capsys.readouterr().err == said


def test_names_of_libraries_that_are_used_though_private():
    """Those of cli/messages.py."""
    parser = CommandParser()
    parser.add_class_arguments(Card, "card")
    assert parser._negative_number_matcher.match("-1,0") and not parser._negative_number_matcher.match("--num")
    assert "--card.hours" in parser._option_string_actions and parser._actions
    assert [action.dest for action in parser.groups["card"]._group_actions][:2] == ["card", "card.name"]
    action = next(action for action in parser._actions if action.dest == "card.results")
    assert action._typehint == tuple[Result, ...]
    formatter = parser._get_formatter()
    assert callable(formatter._fill_text) and callable(formatter._expand_help) and callable(formatter.add_arguments)
    assert issubclass(argparse._HelpAction, argparse.Action)


# ---- help


@pytest.mark.parametrize("words", every(commands.COMMANDS), ids=" ".join)
def test_every_option_is_explained(words, capsys):
    function = commands.COMMANDS
    for word in words:
        function = function[word]
    explained = {p.arg_name for p in docstring_parser.parse(function.__doc__).params if p.description}
    assert set(signature(function).parameters) == explained
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    out = capsys.readouterr().out
    assert not stop.value.code and out.startswith(f"usage: lightning-gans {' '.join(words)}")
    assert all(re.search(rf"^  (--)?{name} ", out, re.MULTILINE) for name in explained)


@pytest.mark.parametrize(
    ("words", "usual"),
    [("help", "--help"), ("help zoo", "zoo --help"), ("zoo help", "zoo --help"), ("help fit", "fit --help")]
    + [(f"{command} help", f"{command} --help") for command in ("fit", "sample")],
)
def test_the_word_help_is_help(words, usual, capsys):
    said = []
    for args in (words, usual):
        with suppress(SystemExit):
            main(args.split())
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != ""


def test_overviews_name_every_command(capsys):
    for words in ([], ["--help"], ["zoo"], ["zoo", "-h"]):
        main(words)
        out = capsys.readouterr().out
        expected = commands.COMMANDS["zoo"] if "zoo" in words else commands.TRAINING | commands.COMMANDS
        assert all(re.search(rf"^  {name} +\w+", out, re.MULTILINE) for name in expected)
        assert max(map(len, out.splitlines())) <= 120
    main([])
    assert set(assets.config_names()) <= set(re.findall(r"\w+", capsys.readouterr().out))


@pytest.mark.parametrize("command", commands.TRAINING)
def test_the_first_page_of_fit_is_one_screen(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    main([command, "--config", "gan_mnist", "--help"])
    out = capsys.readouterr().out
    assert len(out.splitlines()) <= 50 and max(map(len, out.splitlines())) <= 80
    assert set(assets.config_names()) <= set(re.findall(r"\w+", out))
    assert all(f"--{name}.help" in out for name in ("model", "data", *GROUPS)) and "--init_from" in out


def test_nothing_heavy_is_imported_for_help_lists_and_errors():
    script = (
        "import sys\nfrom lightning_gans.__main__ import main\n"
        f"for words in {[['--help'], ['--version'], ['zoo', 'list'], ['fit', '--help'], ['sample', '--help']]}:\n"
        "    try:\n        main(words)\n    except SystemExit as stop:\n        assert not stop.code\n"
        "heavy = {'torch', 'lightning', 'wandb', 'numpy', 'torchmetrics', 'plotly'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(lightning_gans.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"lightning-gans {lightning_gans.__version__}" in done.stdout.splitlines()
