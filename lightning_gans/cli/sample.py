"""The command ``sample``: files of images or sounds that a model generates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lightning_gans import zoo
from lightning_gans.errors import InputError
from lightning_gans.files.writing import write_whole, written

if TYPE_CHECKING:
    from torch import Tensor

    from lightning_gans.cli.plans import Plan
    from lightning_gans.training.adversarial_module import AdversarialModule

IMAGES, CLIPS = 64, 16
"""How many, without options."""
LATENTS, PICTURE = "latents.safetensors", "picture.png"
WALK_LATENTS = ".latents.safetensors"  # a model's own file may be called NAME.safetensors


def sample(
    name: str,
    num: int | None = None,
    seed: int | None = None,
    output: Path | None = None,
    label: str | None = None,
    columns: int | None = None,
    device: str = "auto",
    strength: str | None = None,
    interpolate: int | None = None,
    arithmetic: str | None = None,
    latents: Path | None = None,
    nearest: str | None = None,
) -> None:
    """Write an image grid, or sound files, that a trained model generates.

    With --interpolate the grid is a walk between images. A model of sound writes a folder of wav files with their
    latents and a picture of their waveforms and spectrograms; with --interpolate one wav file.

    Examples:
        lightning-gans sample dcgan_mnist --num 64 --seed 1 --output grid.png
        lightning-gans sample controlgan_mnist --label 7 --strength -1,0,0.5,1,2
        lightning-gans sample dcgan_faces --interpolate 9 --output walk.gif
        lightning-gans sample dcgan_faces --arithmetic 1,2,3-4,5,6+7,8,9
        lightning-gans sample dcgan_faces --num 8 --nearest dcgan_faces
        lightning-gans sample wavegan_fsdd --num 16 --output digits

    Args:
        name: A model of the zoo, a .safetensors or .ckpt file, or the address of one.
        num: How many latents; 64 images or 16 sounds when not given, 10 with --strength, 5 to interpolate.
        seed: Of the latents, 0 when not given; the same on every device.
        output: .png, or .gif with --interpolate; for sound a folder without sounds, or .wav with --interpolate. Named
            after the model when not given.
        label: Class or attribute of conditional models, or several in turn, as 7 or 0,1,2; 20+31 sets both. All in
            turn when not given.
        columns: Images per row; about as many as rows when not given.
        device: Such as cpu or cuda:1; auto is cuda where there is one, else cpu.
        strength: Numbers, as -1,0,0.5, by each of which the label is multiplied; one row per number, with the same
            latents in every row.
        interpolate: Walk from each latent to the next in so many images or clips.
        arithmetic: Lists of seeds A-B+C, as 1,2,3-4,5,6+7,8,9: the means of their latents, added. Rows A, B, C (the
            mean last), then the result and variations of it; for sound a, b, c and result.wav, of the means alone.
        latents: Generate from the latents, and label rows, that an earlier call has written beside its sounds.
        nearest: Below each row of images those of the training set that are nearest to them, pixel by pixel: are they
            copies? A config's name, or a run's config.yaml, says which data set.

    Raises:
        InputError: for options that cannot be used; nothing is written then.
    """
    from lightning_gans.cli import plans

    for option, value in {"num": num, "columns": columns}.items():
        if value is not None and value < 1:
            raise InputError(f"--{option} is {value}; expected at least 1")
    kinds = {"strength": strength, "interpolate": interpolate, "arithmetic": arithmetic, "latents": latents}
    if len(asked := [f"--{option}" for option, value in kinds.items() if value is not None]) > 1:
        raise InputError(f"{' and '.join(asked)} are not allowed with each other; leave out all but one")
    if latents is not None and (num is not None or seed is not None):
        raise InputError("--latents says which latents and how many; leave out --num and --seed")
    labels, seed = plans.read_labels(label), seed or 0
    plans.require_seeds([seed], "--seed")
    strengths = None if strength is None else plans.read_numbers(strength, float, "--strength")
    terms = None if arithmetic is None else plans.read_terms(arithmetic)

    module = zoo.load(name, device)
    rate: int | None = getattr(module, "sample_rate", None)
    if rate is not None and columns is not None:
        raise InputError(f"--columns arranges images, and a {type(module).__name__} makes sound; leave it out")
    if nearest is not None and (rate is not None or interpolate is not None or arithmetic is not None):
        raise InputError("--nearest is for images, without --interpolate and --arithmetic; leave it out")
    walk = interpolate is not None
    ending = ".png" if rate is None else ".wav" if walk else ""
    output = output or Path(f"{Path(name).stem}{ending}")
    _check_output(output, sound=rate is not None, walk=walk)
    in_sequence = rate is not None or output.suffix == ".gif"
    if interpolate is not None:
        plan = plans.walk(module, 5 if num is None else num, seed, labels, interpolate, in_sequence)
    elif terms is not None:
        plan = plans.arithmetic(module, terms, labels, in_sequence)
    elif strengths is not None:
        plan = plans.strengthened(module, num or 10, seed, labels, strengths)
    elif latents is not None:
        plan = plans.saved(module, latents, labels)
    else:
        plan = plans.drawn(module, num or (IMAGES if rate is None else CLIPS), seed, labels)
    made = module.sample_from(plan.z, plan.rows)
    if rate is None:
        columns = columns or plan.columns
        shown = made if nearest is None else _beside_nearest(made, nearest, module, columns)
        _write_images(shown, output, columns)
        print(f"{len(made)} images of {name} are in {output}")
    else:
        names = ["a", "b", "c", "result"] if terms else None
        more = _write_sounds(made, rate, output, plan, name, walk, names)
        print(f"{len(made)} clips of {name}{', one after the other,' if walk else ''} are in {output}{more}")


def _check_output(output: Path, sound: bool, walk: bool) -> None:
    """Refuse another kind of file than what is made, and a folder in which the sounds of two calls would mix."""
    if not sound:
        if output.suffix not in ((".png", ".gif") if walk else (".png",)):
            raise InputError(
                f"the output is {output}; expected a file name that ends in .png, or in .gif with --interpolate"
            )
    elif walk:
        if output.suffix != ".wav":
            raise InputError(
                f"the output is {output}; expected a file name that ends in .wav, as the walk is one sound"
            )
        beside = [output.with_suffix(suffix) for suffix in (WALK_LATENTS, ".png")]
        if not output.exists() and (there := [path for path in beside if path.exists()]):
            raise InputError(f"{there[0]} would be replaced; move it away, or choose another --output")
    elif output.suffix in (".wav", ".png", ".gif") or output.is_file():
        raise InputError(
            f"the output is {output}; expected a folder, as each sound is a file; one file of all is made with"
            " --interpolate"
        )
    elif any(output.glob("*.wav")) or any((output / name).exists() for name in (LATENTS, PICTURE)):
        raise InputError(
            f"{output} holds sounds already, and those of two calls must not mix; move them away, or choose another"
            " folder with --output DIR"
        )


def _beside_nearest(images: Tensor, config: str, module: AdversarialModule, columns: int) -> Tensor:
    """Rows of images, each followed by the training images nearest to its own; the last one filled up with white."""
    import torch
    from tqdm import tqdm

    from lightning_gans.metrics.nearest import nearest_images
    from lightning_gans.training.compatibility import check_data
    from lightning_gans.zoo.datasets import data_of

    data = data_of(config, module)
    check_data(module, data)
    batches = tqdm(data.reference_dataloader(), desc="training images", unit="batch", disable=None)
    found = nearest_images(images, (data.on_after_batch_transfer(batch, 0)[0] for batch in batches))
    images = images.cpu().float()
    white = images.new_ones(-len(images) % columns, *images.shape[1:])
    rows = zip(torch.cat([images, white]).split(columns), torch.cat([found, white]).split(columns), strict=True)
    return torch.cat([row for pair in rows for row in pair])


def _write_images(images: Tensor, output: Path, columns: int) -> None:
    """A grid, or an animation without end of ten images a second."""
    from torchvision.transforms.functional import to_pil_image
    from torchvision.utils import save_image

    with written(output) as file:
        if output.suffix == ".gif":
            frames = [to_pil_image(image) for image in ((images.cpu() + 1) / 2).clamp(0, 1)]
            frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)
        else:
            save_image(images, file, "png", nrow=columns, normalize=True, value_range=(-1, 1))


def _write_sounds(
    audio: Tensor, rate: int, output: Path, plan: Plan, model: str, walk: bool, names: list[str] | None
) -> str:
    """A folder of clips, or a walk in one file; latents and picture beside them, of which it says what is missing."""
    from safetensors.torch import save

    from lightning_gans.callbacks.media import SHOWN, clips_picture, in_sequence, write_clips

    if walk:
        write_clips(output.parent, in_sequence(audio, rate)[None], rate, [output.stem])
        latents, picture = output.with_suffix(WALK_LATENTS), output.with_suffix(".png")
    else:
        write_clips(output, audio, rate, names)
        latents, picture = output / LATENTS, output / PICTURE
    tensors = {"z": plan.z} | ({} if plan.rows is None else {"label": plan.rows})
    write_whole(latents, save({key: value.contiguous().cpu() for key, value in tensors.items()}, {"model": model}))
    with written(picture) as file:
        clips_picture(audio, rate).save(file, "PNG")
    return f"; {picture} shows the first {SHOWN}" if len(audio) > SHOWN else ""
