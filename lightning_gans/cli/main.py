"""The small commands beside training. Arguments are read before anything heavy is imported."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lightning_gans import zoo
from lightning_gans.errors import InputError

SIGNED = ("--strength", "--label")


def main(argv: Sequence[str]) -> None:
    """Run ``sample ...``, ``vocode ...``, ``compare ...``, ``dashboard ...`` or ``zoo ...``.

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
        help="write a picture of generated images, or generated sounds",
        description="Write a grid of images that a trained model generates; with --interpolate a walk between them. A"
        " model of sound writes a folder of wav files with their latents and a picture of their waveforms and"
        " spectrograms; with --interpolate one wav file.",
        epilog="examples: lightning-gans sample dcgan_mnist --num 64 --seed 1 --output grid.png; lightning-gans sample"
        " controlgan_mnist --label 7 --strength -1,0,0.5,1,2; lightning-gans sample dcgan_faces --interpolate 9;"
        " lightning-gans sample dcgan_faces --arithmetic 1,2,3-4,5,6+7,8,9; lightning-gans sample RUN.ckpt --num 16"
        " --output digits; lightning-gans sample RUN.ckpt --interpolate 8 --output walk.wav",
    )
    sample.add_argument("name", metavar="NAME", help="a model of the zoo, or a .safetensors or .ckpt file")
    sample.add_argument(
        "--num",
        type=int,
        help="how many latents (default: 64 images or 16 sounds; 10 with --strength, 5 to interpolate)",
    )
    sample.add_argument("--seed", type=int, help="of the latents; the same on every device (default: 0)")
    sample.add_argument(
        "--output",
        type=Path,
        help=".png, or .gif with --interpolate (default: NAME.png); for sound a folder without sounds (default: NAME),"
        " or .wav with --interpolate (default: NAME.wav)",
    )
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
        "--interpolate", type=int, metavar="STEPS", help="walk from each latent to the next in so many images or clips"
    )
    what.add_argument(
        "--arithmetic",
        metavar="A-B+C",
        help="lists of seeds, such as 1,2,3-4,5,6+7,8,9: the means of their latents, added; rows A, B, C (the mean"
        " last), then the result and variations of it; for sound a, b, c and result.wav, of the means alone",
    )
    what.add_argument(
        "--latents",
        type=Path,
        metavar="FILE.safetensors",
        help="generate from the latents, and label rows, that an earlier call has written beside its sounds",
    )
    sample.set_defaults(run=_sample)

    vocode = commands.add_parser(
        "vocode",
        help="turn mel spectrograms, or the mels of sound files, into sound",
        description="Write the sound that a trained vocoder makes of features, or of the features of a sound file (copy"
        " synthesis), and say how fast it was.",
        epilog="examples: lightning-gans vocode melgan_ljspeech in.wav out.wav; lightning-gans vocode NAME mel.npy"
        " out.wav; lightning-gans vocode last.ckpt recordings/ vocoded/ --chunk-seconds 10",
    )
    vocode.add_argument("name", metavar="NAME", help="a vocoder of the zoo, or a .safetensors or .ckpt file")
    vocode.add_argument(
        "input",
        type=Path,
        metavar="INPUT",
        help="a sound file; features as .npy, (frames, bands) in the model's convention, not normalised; or a folder of"
        " both",
    )
    vocode.add_argument(
        "output", type=Path, metavar="OUTPUT", help=".wav, which is replaced; for a folder one without sounds"
    )
    vocode.add_argument(
        "--chunk-seconds",
        type=float,
        metavar="S",
        help="work on so much at a time, for little memory; the sound is the same (default: what is fastest)",
    )
    vocode.add_argument("--seed", type=int, default=0, help="of the noise, for models that take any (default: 0)")
    vocode.add_argument("--device", help="such as cpu or cuda:1 (default: cuda where there is one, else cpu)")
    vocode.set_defaults(run=_vocode)

    compare = commands.add_parser(
        "compare",
        help="lay runs side by side in a page for the browser",
        description="Write one HTML page with the figures, configs, curves, pictures and sounds of runs, from what they"
        " have recorded on this machine, with or without a W&B account.",
        epilog="example: lightning-gans compare runs/lightning_gans/* --output compare.html",
    )
    compare.add_argument("runs", type=Path, nargs="+", metavar="RUN_DIR", help="such as runs/lightning_gans/NAME")
    compare.add_argument(
        "--output", type=Path, default=Path("compare.html"), metavar="FILE.html", help="(default: %(default)s)"
    )
    compare.set_defaults(run=_compare)

    dashboard = commands.add_parser(
        "dashboard",
        help="make a W&B workspace that compares runs",
        description="Save a workspace in a W&B project: losses, figures of all papers, samples side by side, speed, and"
        " what the configs differ in, along generator updates.",
        epilog="example: lightning-gans dashboard --entity my_team --project lightning_gans --dry-run",
    )
    dashboard.add_argument("--entity", required=True, help="W&B user or team")
    dashboard.add_argument("--project", default="lightning_gans", help="W&B project (default: %(default)s)")
    dashboard.add_argument("--dry-run", action="store_true", help="print what would be saved; needs no account")
    dashboard.set_defaults(run=_dashboard)

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
    export = add("export", _export, "make a weights file and the skeleton of its card, or a graph for other runtimes")
    export.add_argument(
        "checkpoint",
        metavar="RUN.ckpt",
        help="a checkpoint of fit; for a graph also a model of the zoo, or a .safetensors file",
    )
    export.add_argument(
        "--format",
        choices=("safetensors", "onnx", "torch"),
        default="safetensors",
        help="safetensors: weights file and card, for this package; onnx: a graph for onnxruntime and others; torch: a"
        " .pt2 file for torch.export.load (default: safetensors)",
    )
    export.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder, made if need be")
    export.add_argument(
        "--name", help="<paper>_<dataset>, or any file name for a graph (default: the checkpoint's file name)"
    )
    export.add_argument(
        "--float32", action="store_true", help="do not store matrices and kernels as float16, as graphs never do"
    )
    importing = add(
        "import", _import, "make a weights file and the skeleton of its card from another project's checkpoint"
    )
    importing.add_argument(
        "--format",
        required=True,
        metavar="PROJECT",
        help="wavegan: TensorFlow checkpoints of WaveGAN's authors; parallel_wavegan: kan-bayashi's, MelGAN too;"
        " melgan_neurips: MelGAN's authors'; melgan_seungwonpark",
    )
    importing.add_argument(
        "--checkpoint",
        type=Path,
        required=True,
        metavar="FILE|DIR|PREFIX",
        help="the file, their folder (melgan_neurips), or what their names begin with (wavegan)",
    )
    importing.add_argument(
        "--output", type=Path, required=True, metavar="FILE|DIR", help=".safetensors file or folder, made if need be"
    )
    importing.add_argument("--name", help="<paper>_<dataset> (default: the file name of the output)")
    importing.add_argument(
        "--config",
        type=Path,
        metavar="FILE.yml",
        help="settings of the training (default for parallel_wavegan: config.yml beside the checkpoint)",
    )
    importing.add_argument(
        "--stats",
        type=Path,
        metavar="FILE",
        help="statistics of the training data: stats.h5 or stats.npy (default for parallel_wavegan: the one beside the"
        " checkpoint), or a .npz with mean and std of the 129 bins, which SpecGAN needs",
    )
    importing.add_argument("--length", type=int, help="samples of a clip, where the checkpoint leaves it open")
    importing.add_argument(
        "--sample_rate",
        type=int,
        help="in Hz, where no file tells it (default: 16000 for wavegan, 22050 for melgan_neurips)",
    )
    readme = add("readme", _readme, "write the table of results into the README")
    readme.add_argument("--file", type=Path, default=Path("README.md"), help="default: README.md")
    return parser


def _sample(arguments: argparse.Namespace) -> None:
    from lightning_gans.cli import sample as sampling

    arguments.device = _device(arguments.device)
    sampling.sample(arguments)


def _vocode(arguments: argparse.Namespace) -> None:
    from lightning_gans.cli import vocode as vocoding

    arguments.device = _device(arguments.device)
    vocoding.vocode(arguments)


def _compare(arguments: argparse.Namespace) -> None:
    from lightning_gans.tracking.compare import compare

    compare(arguments.runs, arguments.output)


def _dashboard(arguments: argparse.Namespace) -> None:
    from lightning_gans.tracking.dashboard import dashboard

    dashboard(entity=arguments.entity, project=arguments.project, dry_run=arguments.dry_run)


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
    if arguments.format == "safetensors":
        _report(zoo.export(arguments.checkpoint, arguments.output, arguments.name, half=not arguments.float32))
        return
    name = arguments.name or Path(arguments.checkpoint).stem
    if Path(name).name != name:
        raise InputError(f"--name is {name}; expected a file name without a folder, which --output gives")
    from lightning_gans.zoo.graphs import SUFFIXES, export_graph

    file = arguments.output / f"{name}{SUFFIXES[arguments.format]}"
    graph = export_graph(zoo.load(arguments.checkpoint), file)
    print(f"{file} ({file.stat().st_size / 1e6:.1f} MB)")
    print(graph)


def _import(arguments: argparse.Namespace) -> None:
    _report(zoo.import_entry(**{key: value for key, value in vars(arguments).items() if key != "run"}))


def _report(exported: zoo.Exported) -> None:
    weights, card, missing = exported
    print(f"{weights} ({weights.stat().st_size / 1e6:.1f} MB)")
    print(f"{card}" + (f": fill in {', '.join(missing)}" if missing else ""))


def _readme(arguments: argparse.Namespace) -> None:
    zoo.write_readme(arguments.file)
    print(f"the table of {len(zoo.names())} models is in {arguments.file}")
