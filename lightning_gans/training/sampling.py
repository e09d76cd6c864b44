"""Samples from latents and labels, and walks and arithmetic among latents."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lightning_gans.errors import InputError
from lightning_gans.training.lightning_private import SeesBatches
from lightning_gans.training.modes import evaluating
from lightning_gans.training.noise import seeded
from lightning_gans.training.nonfinite import require_finite

SAMPLE_CHUNK = 256


class Samples(SeesBatches):
    """A module that makes samples of latents, and of labels where it has classes."""

    linear_labels: ClassVar[bool] = False
    """Whether label rows may hold any number, so that 0.5, 2 and -1 mean something."""
    num_classes: int | None = None
    """K, for papers whose ``forward`` takes a label; None for the others."""

    @abstractmethod
    def prior(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw latents (num, Z), on the generator's device if one is given, else on the module's."""

    @torch.no_grad()
    def sample(self, num: int, label: int | Sequence[int] | Tensor | None = None, seed: int | None = None) -> Tensor:
        """Generate from fresh noise.

        Args:
            num: How many.
            label: For conditional papers: one class for all, one per sample, or (num, K) label rows. The classes in
                turn when not given.
            seed: The same seed gives the same latents on every device; None for new ones at each call.

        Returns:
            (num, C, H, W) images in [-1, 1], or (num, C, T) audio, float32 on the module's device.

        Raises:
            InputError: for a label out of range, or one given to a paper without labels.
        """
        if num < 1:
            raise InputError(f"num is {num}; expected at least 1")
        return self.sample_from(self.latents(num, seed), self.label_rows(num, label))

    def drawn(self, draw: Callable[..., Tensor], *shape: int, generator: torch.Generator | None = None) -> Tensor:
        """Random numbers in the module's precision, which are the same in any but for rounding.

        Args:
            draw: ``torch.rand`` or ``torch.randn``.
            shape: Of the result.
            generator: On whose device they are drawn; torch's own, on the module's device, when not given.
        """
        device = generator.device if generator else self.device
        return draw(*shape, generator=generator, device=device, dtype=torch.float32).to(self.dtype)

    def latents(self, num: int, seed: int | None = None) -> Tensor:
        """(num, Z) latents, drawn on the CPU so that a seed means the same everywhere."""
        return self.prior(num, seeded(seed)).to(self.device, self.dtype)

    @torch.no_grad()
    def sample_from(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Generate from given latents (B, Z) and label rows (B, K), in evaluation mode and in chunks.

        They are turned into the module's precision, and what comes out is float32 in any.

        Raises:
            InputError: for samples that are not finite, as damaged weights make them.
        """
        with evaluating(self):
            inputs = [part.to(self.dtype) for part in ([z] if label is None else [z, label])]
            chunks = zip(*(tensor.split(SAMPLE_CHUNK) for tensor in inputs), strict=True)
            return require_finite(torch.cat([self(*chunk) for chunk in chunks]).float(), self)

    def label_rows(self, num: int, label: int | Sequence[int] | Tensor | None = None) -> Tensor | None:
        """Turn what ``sample`` takes as a label into (num, K) rows; None for papers without labels."""
        name, classes = type(self).__name__, self.num_classes
        if classes is None:
            if label is not None:
                raise InputError(f"{name} takes no label; leave it out, or load a conditional model such as cgan_mnist")
            return None
        label = torch.arange(num) % classes if label is None else torch.as_tensor(label)
        if label.dim() == 0:
            label = label.expand(num)
        if label.shape != (num,) and label.shape != (num, classes):
            raise InputError(
                f"the label has shape {tuple(label.shape)}; {name} takes one class, {num} classes (one per sample),"
                f" or rows of shape {(num, classes)}"
            )
        self.check_labels(label)
        return self.conditions(label).to(self.device, self.dtype)

    def to_torchscript(self, file_path: Any = None, method: str | None = "script", *args: Any, **kwargs: Any) -> Any:
        """As Lightning's, for ``method="trace"``; scripts know less Python than these models use.

        Raises:
            InputError: for another method.
        """
        if method != "trace":
            raise InputError(
                f"a {type(self).__name__} is not scripted: TorchScript is deprecated in PyTorch; write a graph with"
                " lightning-gans zoo export FILE --format torch, or give method='trace' and example_inputs"
            )
        return super().to_torchscript(file_path, method, *args, **kwargs)

    def conditions(self, label: Tensor) -> Tensor:
        """Class indices (B,) to one-hot rows (B, K); rows of attributes (B, K) pass through. In the module's dtype."""
        return (label if label.dim() == 2 else one_hot(label.long(), self.num_classes or -1)).to(self.dtype)

    def check_labels(self, label: Tensor) -> None:
        """Refuse what is no class. On an accelerator this waits for the device."""
        if self.num_classes is None or label.dim() != 1:
            return
        if label.is_floating_point():
            raise InputError(
                f"label {label[0].item():g} is no class; give a whole number, or a row with one number per class"
            )
        for wrong in label[(label < 0) | (label >= self.num_classes)][:1].tolist():
            raise InputError(
                f"label {wrong} is out of range; this {type(self).__name__} has 0 to {self.num_classes - 1}"
                f" (num_classes is {self.num_classes})"
            )

    def check_batch(self, batch: Any) -> None:
        """Check labels before they are on an accelerator, where a wrong one ends the process."""
        label = getattr(batch, "label", None)
        if isinstance(label, Tensor) and label.device.type == "cpu":
            self.check_labels(label)


def interpolate(z0: Tensor, z1: Tensor, steps: int) -> Tensor:
    """The straight line between two latents, as in figure 4 of DCGAN (https://arxiv.org/abs/1511.06434).

    Args:
        z0: The first latent, of any shape.
        z1: The last one, of the same shape.
        steps: Points on the line, both ends included.

    Returns:
        (steps, ...) latents.

    Raises:
        InputError: for fewer than two steps or unequal shapes.
    """
    if steps < 2:
        raise InputError(f"{steps} interpolation steps were asked for; expected at least 2, which are the two ends")
    if z0.shape != z1.shape:
        raise InputError(f"latents of shapes {tuple(z0.shape)} and {tuple(z1.shape)} cannot be joined; give equal ones")
    weight = torch.linspace(0, 1, steps, dtype=z0.dtype, device=z0.device).reshape(-1, *[1] * z0.dim())
    return torch.lerp(z0.unsqueeze(0), z1.unsqueeze(0), weight)


def arithmetic(positive: Tensor, negative: Tensor, base: Tensor) -> Tensor:
    """Vector arithmetic on concepts, section 6.3.2 of DCGAN: each concept is the mean of its samples' latents.

    Args:
        positive: (N, Z) latents of samples that show the attribute (smiling women).
        negative: (N, Z) latents of samples that are alike but for it (neutral women).
        base: (N, Z) latents of samples that shall receive it (neutral men).

    Returns:
        (Z,) the latent mean(positive) - mean(negative) + mean(base).
    """
    return positive.mean(0) - negative.mean(0) + base.mean(0)
