"""``zoo page``: the released models to look at and to listen to, beside real examples, in one HTML file."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_gans.errors import InputError
from lightning_gans.files.writing import write_whole
from lightning_gans.zoo import sources
from lightning_gans.zoo.cards import Card
from lightning_gans.zoo.loading import load
from lightning_gans.zoo.tables import VALUES, values

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

IMAGES, CLIPS, UTTERANCES, SECONDS = 40, 10, 2, 6
"""How many are shown of a model, and how much of an utterance."""
COLUMNS = 10


@dataclass(frozen=True)
class Examples:
    """A picture of images or of sounds, and the sounds; as addresses that hold the content."""

    title: str
    picture: str
    clips: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A model's part of the page: its figures, its samples beside real examples, and what could not be had."""

    card: Card
    figures: list[list[str]]
    examples: list[Examples]
    problems: list[str]


def page(models: list[str] | None = None, *, output: Path = Path("zoo.html")) -> str:
    """Write a page with samples of the released models to look at and to listen to, and their figures.

    Beside them are real examples, where the data set that a model was trained on is on this machine; a vocoder is
    shown on recordings of it. The page is one file that needs neither a network nor a server.

    Examples:
        lightning-gans zoo page --output zoo.html
        lightning-gans zoo page --models [dcgan_mnist,wavegan_fsdd]

    Args:
        models: Names; all when not given.
        output: A .html file, which is replaced.

    Returns:
        What was written, and what is missing in it.

    Raises:
        InputError: for an unknown name, and another ending of the output.
    """
    from jinja2 import Environment, PackageLoader
    from tqdm import tqdm

    if output.suffix != ".html":
        raise InputError(f"--output is {output}; expected a .html file")
    cards = [sources.card(name) for name in models or sources.names()]
    entries = [entry(card) for card in tqdm(cards, desc="samples", unit="model", disable=None)]
    pages = Environment(loader=PackageLoader("lightning_gans.zoo", "."), autoescape=True)
    write_whole(output, pages.get_template("gallery.html").render(entries=entries, columns=VALUES))
    problems = [f"{each.card.name}: {problem}" for each in entries for problem in each.problems]
    return "\n".join([f"{output} ({output.stat().st_size / 1e6:.1f} MB): {len(entries)} models", *problems])


def entry(card: Card) -> Entry:
    """Load a model, and let it make something; what is missing is said on the page."""
    examples: list[Examples] = []
    problems: list[str] = []
    try:
        module = load(card.name)
        examples = made(module)
        examples += real(card, module)
    except InputError as error:
        problems = [str(error)]
    return Entry(card, [values(result) for result in card.results], examples, problems)


def made(module: Any) -> list[Examples]:
    """Samples of a model that starts from noise, the classes in turn."""
    from lightning_gans.training.compatibility import kind_of

    kind, classes = kind_of(module), module.num_classes or COLUMNS
    if kind == "mel":
        return []
    num = CLIPS if kind == "audio" else IMAGES
    samples = module.sample(max(1, num // classes) * classes, seed=0)
    return [of_sounds("generated", samples, module) if kind == "audio" else of_images("generated", samples, classes)]


def real(card: Card, module: Any) -> list[Examples]:
    """Test examples of the data set that the card's config names, and for a vocoder what it makes of their mels.

    Raises:
        InputError: if the data set is not there; nothing is downloaded.
    """
    import torch

    from lightning_gans.training.compatibility import kind_of
    from lightning_gans.zoo.datasets import data_of

    data, kind = data_of(card.config, module), kind_of(module)
    if kind == "mel":
        samples = SECONDS * module.sample_rate // module.mel_config.hop_length * module.mel_config.hop_length
        shown: list[Examples] = []
        for batch in islice(data.test_dataloader(), UTTERANCES):
            mel, audio = data.on_after_batch_transfer(batch, 0)
            mel = mel[..., module.context : mel.shape[-1] - module.context]
            fake = module.vocode(mel, seed=0)[..., : audio.shape[-1]].float()
            pair = [clip[..., :samples] for clip in (fake, audio)]
            shown += [of_sounds("a recording, and what is made of its mel", torch.cat(pair[::-1]), module, columns=1)]
        return shown
    split, num = data.splits["test"], CLIPS if kind == "audio" else IMAGES
    batch = split.__getitems__([round(i * (len(split) - 1) / (num - 1)) for i in range(num)])
    examples = data.on_after_batch_transfer(batch, 0)[0]
    return [of_sounds("real", examples, module) if kind == "audio" else of_images("real", examples, COLUMNS)]


def of_images(title: str, images: Tensor, columns: int) -> Examples:
    """Images (B, C, H, W) in [-1, 1] as one grid."""
    from torchvision.transforms.functional import to_pil_image
    from torchvision.utils import make_grid

    grid = make_grid(images.float().cpu(), columns, normalize=True, value_range=(-1, 1))
    return Examples(title, png(to_pil_image((grid * 255).round().byte())))


def of_sounds(title: str, audio: Tensor, module: Any, columns: int | None = None) -> Examples:
    """Sounds (B, 1, T) in [-1, 1]: a picture of all, and each to be played."""
    import soundfile

    from lightning_gans.callbacks.media import clips_picture

    clips = []
    for clip in audio.float().cpu().clamp(-1, 1):
        file = io.BytesIO()
        soundfile.write(file, clip.T.numpy(), module.sample_rate, subtype="PCM_16", format="FLAC")
        clips.append(address(file, "audio/flac"))
    return Examples(title, png(clips_picture(audio, module.sample_rate, columns)), tuple(clips))


def png(image: Image) -> str:
    """An address that holds the picture."""
    image.save(file := io.BytesIO(), "PNG", optimize=True)
    return address(file, "image/png")


def address(file: io.BytesIO, kind: str) -> str:
    """An address that holds what was written."""
    return f"data:{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
