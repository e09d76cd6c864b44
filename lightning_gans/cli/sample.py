"""The command ``sample``: files of images or sounds that a model generates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lightning_gans import zoo
from lightning_gans.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from lightning_gans.cli.plans import Plan, Wanted
    from lightning_gans.training.adversarial_module import AdversarialModule

IMAGES, CLIPS = 64, 16
"""How many, without options."""
LATENTS, PICTURE = "latents.safetensors", "picture.png"


def sample(
    name: str,
    num: int | None = None,
    seed: int | None = None,
    output: Path | None = None,
    label: str | None = None,
    columns: int | None = None,
    device: str | None = None,
    strength: str | None = None,
    interpolate: int | None = None,
    arithmetic: str | None = None,
    latents: Path | None = None,
) -> None:
    """Write an image grid, or sound files, that a trained model generates.

    With --interpolate the grid is a walk between images. A model of sound writes a folder of wav files with their
    latents and a picture of their waveforms and spectrograms; with --interpolate one wav file.

    Examples:
        lightning-gans sample dcgan_mnist --num 64 --seed 1 --output grid.png
        lightning-gans sample controlgan_mnist --label 7 --strength -1,0,0.5,1,2
        lightning-gans sample dcgan_faces --interpolate 9 --output walk.gif
        lightning-gans sample dcgan_faces --arithmetic 1,2,3-4,5,6+7,8,9
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
        device: Such as cpu or cuda:1; cuda where there is one, else cpu, when not given.
        strength: Numbers, as -1,0,0.5, by each of which the label is multiplied; one row per number, with the same
            latents in every row.
        interpolate: Walk from each latent to the next in so many images or clips.
        arithmetic: Lists of seeds A-B+C, as 1,2,3-4,5,6+7,8,9: the means of their latents, added. Rows A, B, C (the
            mean last), then the result and variations of it; for sound a, b, c and result.wav, of the means alone.
        latents: Generate from the latents, and label rows, that an earlier call has written beside its sounds.

    Raises:
        InputError: for options that cannot be used; nothing is written then.
    """
    from lightning_gans.cli import plans
    from lightning_gans.cli.devices import usable

    for option, value in {"num": num, "columns": columns}.items():
        if value is not None and value < 1:
            raise InputError(f"--{option} is {value}; expected at least 1")
    kinds = {"strength": strength, "interpolate": interpolate, "arithmetic": arithmetic, "latents": latents}
    if len(given := [f"--{option}" for option, value in kinds.items() if value is not None]) > 1:
        raise InputError(f"{' and '.join(given)} are not allowed with each other; leave out all but one")
    if latents is not None and (num is not None or seed is not None):
        raise InputError("--latents says which latents and how many; leave out --num and --seed")
    wanted = plans.Wanted(
        num=num,
        seed=seed or 0,
        labels=plans.labels(label),
        strengths=None if strength is None else plans.numbers(strength, float, "--strength"),
        steps=interpolate,
        terms=None if arithmetic is None else plans.terms(arithmetic),
        latents=latents,
    )
    module = zoo.load(name, usable(device))
    rate: int | None = getattr(module, "sample_rate", None)
    if rate is None:
        _images(module, name, wanted, output, columns)
    elif columns is not None:
        raise InputError(f"--columns arranges images, and a {type(module).__name__} makes sound; leave it out")
    else:
        _sounds(module, rate, name, wanted, output)


# ---- images


def _images(module: AdversarialModule, name: str, wanted: Wanted, output: Path | None, columns: int | None) -> None:
    output = output or Path(f"{Path(name).stem}.png")
    if output.suffix not in ((".png",) if wanted.steps is None else (".png", ".gif")):
        raise InputError(
            f"the output is {output}; expected a file name that ends in .png, or in .gif with --interpolate"
        )
    plan = wanted.plan(module, IMAGES, in_sequence=output.suffix == ".gif")
    images = module.sample_from(plan.z, plan.rows)
    output.parent.mkdir(parents=True, exist_ok=True)
    if output.suffix == ".gif":
        _write_gif(images, output)
    else:
        from torchvision.utils import save_image

        save_image(images, output, nrow=columns or plan.columns, normalize=True, value_range=(-1, 1))
    print(f"{len(images)} images of {name} are in {output}")


def _write_gif(images: Tensor, output: Path) -> None:
    """A frame per image, without end, ten a second."""
    from torchvision.transforms.functional import to_pil_image

    frames = [to_pil_image(image) for image in ((images.cpu() + 1) / 2).clamp(0, 1)]
    frames[0].save(output, save_all=True, append_images=frames[1:], duration=100, loop=0)


# ---- sounds


def _sounds(module: AdversarialModule, rate: int, name: str, wanted: Wanted, output: Path | None) -> None:
    """A folder of clips, or a walk in one file; latents and picture beside them."""
    from lightning_gans.callbacks.media import SHOWN, clips_picture, in_sequence, write_clips

    walk = wanted.steps is not None
    output = output or Path(Path(name).stem + (".wav" if walk else ""))
    if walk and output.suffix != ".wav":
        raise InputError(f"the output is {output}; expected a file name that ends in .wav, as the walk is one sound")
    if not walk:
        _check_folder(output)
    plan = wanted.plan(module, CLIPS, in_sequence=True)
    audio = module.sample_from(plan.z, plan.rows)
    if walk:
        write_clips(output.parent, in_sequence(audio, rate)[None], rate, [output.stem])
        # A model's own file may be called NAME.safetensors.
        latents, picture = output.with_suffix(".latents.safetensors"), output.with_suffix(".png")
    else:
        write_clips(output, audio, rate, ["a", "b", "c", "result"] if wanted.terms else None)
        latents, picture = output / LATENTS, output / PICTURE
    _write_latents(latents, plan, name)
    clips_picture(audio, rate).save(picture)
    how = ", one after the other," if walk else ""
    shown = f"; {picture} shows the first {SHOWN}" if len(audio) > SHOWN else ""
    print(f"{len(audio)} clips of {name}{how} are in {output}{shown}")


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
