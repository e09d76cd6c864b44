"""``zoo push``: a released model as a repository on the Hugging Face Hub, with a card in the Hub's form."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from lightning_gans import __version__
from lightning_gans.errors import InputError
from lightning_gans.files.fetching import fetching_errors
from lightning_gans.files.writing import write_whole, written
from lightning_gans.zoo import assets, hub, sources
from lightning_gans.zoo.cards import Card
from lightning_gans.zoo.loading import build, fetch
from lightning_gans.zoo.release import arguments
from lightning_gans.zoo.tables import VALUES, values
from lightning_gans.zoo.weights import write

if TYPE_CHECKING:
    from lightning_gans.training.adversarial_module import AdversarialModule

LICENCES = {"MIT": "mit", "CC0-1.0": "cc0-1.0", "Apache-2.0": "apache-2.0"}
LICENCES |= {f"CC BY{of} {v}": f"cc-by{of.lower()}-{v}" for of in ("", "-SA", "-NC", "-NC-SA") for v in ("3.0", "4.0")}
"""What the Hub calls those that it knows."""
TASKS = {"image": "unconditional-image-generation", "audio": "text-to-audio", "mel": "audio-to-audio"}
"""The Hub's, which come nearest."""
IMAGES, CLIPS = 64, 4
LINK = re.compile(r"\]\((\w[\w.-]*\.(?:png|csv))\)")
"""To a picture or a log beside a card."""


def push(name: str, address: str, *, dry_run: bool = False) -> str:
    """Put a released model on the Hugging Face Hub: weights, card, settings and samples.

    The Hub's own login counts (``hf auth login``, or the variable HF_TOKEN). The repository is made if need be. Others
    load it with ``zoo.load("hf://OWNER/REPO")``.

    Args:
        name: A model of the zoo.
        address: hf://OWNER/REPO.
        dry_run: Write the files into the folder REPO and send nothing.

    Returns:
        What was sent, or written.

    Raises:
        InputError: for an unknown name, another form of address, a folder that exists, and without permission.
    """
    place = hub.place(address)
    if place.file or place.revision:
        raise InputError(f"the address is {address}; expected hf://OWNER/REPO, as a model fills a repository")
    card = sources.card(name)
    if dry_run:
        folder = Path(place.repository.partition("/")[2])
        if folder.exists():
            raise InputError(f"there is a {folder} already; move it away")
        write_repository(card, address, folder)
        return "\n".join(f"{path} ({path.stat().st_size / 1e6:.2f} MB)" for path in sorted(folder.iterdir()))
    api = hub.library().HfApi()
    with TemporaryDirectory() as scratch:
        folder = Path(scratch, "repository")
        write_repository(card, address, folder)
        try:
            api.create_repo(place.repository, exist_ok=True)
            done = api.upload_folder(
                repo_id=place.repository,
                folder_path=folder,
                commit_message=f"{name}, written by lightning_gans {__version__}",
            )
        except fetching_errors() as error:
            raise hub.explained(error, address) from error
        sent = ", ".join(sorted(path.name for path in folder.iterdir()))
    return f"{sent}\nsent; load it with zoo.load({f'{address}@{done.oid}'!r})"


def write_repository(card: Card, address: str, folder: Path) -> None:
    """Make a folder with all that a repository holds."""
    weights = fetch(card.name)
    module = build(weights).eval()
    if card.weights.endswith(".safetensors"):
        write_whole(folder / card.weights, sources.locate(card).read_bytes())
    else:  # another project's
        with written(folder / f"{card.name}.safetensors") as file:
            write(replace(weights, hparams=arguments(module)), file)
    write_whole(folder / f"{card.config}.yaml", assets.config(card.config).read_bytes())
    settings = {"library_name": "lightning_gans", "model": weights.model, "version": weights.version}
    text = json.dumps(settings | {"hparams": arguments(module)}, indent=1)
    write_whole(folder / "config.json", f"{text}\n")
    shown = [card.picture] if card.picture else []
    for name in [*shown, *LINK.findall(card.text)]:
        if (beside := card.path.parent / name).is_file():
            write_whole(folder / beside.name, beside.read_bytes())
    samples = write_samples(module, folder)
    write_whole(folder / "README.md", hub_card(card, address, module, samples))


def write_samples(module: Any, folder: Path) -> list[str]:
    """What a model makes from noise, each class in turn; names of the files. A vocoder makes nothing without a mel."""
    from torchvision.utils import save_image

    from lightning_gans.audio.files import write_wav
    from lightning_gans.training.compatibility import kind_of

    kind, classes = kind_of(module), module.num_classes
    if kind == "mel":
        return []
    if kind == "image":
        columns = classes or 8
        images = module.sample(max(1, IMAGES // columns) * columns, seed=0)
        with written(folder / "samples.png") as file:
            save_image(images, file, "png", nrow=columns, normalize=True, value_range=(-1, 1))
        return ["samples.png"]
    clips = module.sample(classes or CLIPS, seed=0)
    for index, clip in enumerate(clips):
        write_wav(folder / f"sample_{index}.wav", clip, module.sample_rate)
    return [f"sample_{index}.wav" for index in range(len(clips))]


def hub_card(card: Card, address: str, module: AdversarialModule, samples: list[str]) -> str:
    """The text of README.md: the card with its results as the Hub's model index, and how to load the model."""
    from lightning_gans.training.compatibility import kind_of

    library, kind = hub.library(), kind_of(module)
    known = LICENCES.get(card.licence)
    licence: dict[str, Any] = {"license": known} if known else {"license": "other", "license_name": slug(card.licence)}
    data = library.ModelCardData(
        **licence,
        library_name="lightning_gans",
        pipeline_tag=TASKS[kind],
        tags=["generative-adversarial-network", slug(card.model), f"arxiv:{card.paper.arxiv}"],
        model_name=card.name,
        eval_results=[
            library.EvalResult(
                task_type=TASKS[kind],
                dataset_type=slug(card.data.name),
                dataset_name=card.data.name,
                metric_type=result.metric,
                metric_name=f"{result.metric}, {result.unit}" if result.unit else result.metric,
                metric_value=result.reproduced,
                metric_args={"protocol": result.protocol},
            )
            for result in card.results
        ],
    )
    use = (
        "audio = model.vocode(model.mel(sound))  # (B, 1, T)" if kind == "mel" else "samples = model.sample(4, seed=0)"
    )
    rows = [VALUES, ["---"] * len(VALUES), *map(values, card.results)]
    table = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)
    heard = "\n".join(f"![samples]({name})" if name.endswith(".png") else f"- [{name}]({name})" for name in samples)
    parts = [
        f"# {card.name}",
        f"{card.model} of [{card.paper.title}](https://arxiv.org/abs/{card.paper.arxiv}), trained on {card.data.name}"
        f" ({card.data.licence}) in {card.hours:g} hours on {card.hardware}.",
        f'```python\nfrom lightning_gans import zoo\n\nmodel = zoo.load("{address}")\n{use}\n```',
        card.text,
        *([f"## Samples\n\n{heard}"] if samples else []),
        f"## Results\n\n{table}",
        *(f"- `{result.metric}`: {result.protocol}" for result in card.results),
        f"## Training\n\n```text\n{card.command}\n```",
    ]
    body = "\n\n".join(parts)
    return str(library.ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n"))


def slug(text: str) -> str:
    """Small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
