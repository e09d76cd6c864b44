"""What every paper shares: the count of steps, the update, the noise, and sampling. Never the training step itself."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch
from lightning import LightningModule
from lightning.fabric.utilities.data import AttributeDict
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.nn.functional import one_hot

from lightning_gans.errors import InputError
from lightning_gans.training.compatibility import check_data
from lightning_gans.training.cpu_forms import use_cpu_forms
from lightning_gans.training.ddp import prepare
from lightning_gans.training.memory_format import channels_last
from lightning_gans.training.resume import (
    CURRENT_NETWORKS,
    GRADIENTS,
    STATISTICS,
    close_epoch,
    of_rank,
    of_ranks,
    statistics,
)

TRAINING, EVALUATION = 0, 1
"""Streams of noise: validation draws the same latents every time, whatever training has drawn before."""

SAMPLE_CHUNK = 256

LEAST_DEVIATION = 1e-4
"""A feature that changes less is constant."""

NORM_WINDOW = 8
"""Batches up to a line of the log in which gradient norms are taken: not every batch updates every key."""


@dataclass
class Update:
    """How a key is updated, and how far its next update has come.

    Attributes:
        batches: Over which gradients are accumulated.
        clip_norm: Largest gradient norm in place of the paper's, if any.
        limit: The one that holds for this update.
        pending: Batches whose gradients wait for the others.
        scale: What fp16 has multiplied those with.
        saved: Gradients of a checkpoint, by the names of the parameters.
    """

    batches: int = 1
    clip_norm: float | None = None
    limit: float | None = None
    pending: int = 0
    scale: Tensor | None = None
    saved: dict[str, Tensor] = field(default_factory=dict)


class AdversarialModule(LightningModule):
    """Base of all papers: manual optimization in which **a step is a generator update**.

    A paper writes its networks, ``prior``, ``forward``, ``generate``, ``training_step`` and ``configure_optimizers``,
    which returns one optimizer per entry of ``networks``, in that order. The first one's updates are the steps that
    ``max_steps``, checkpoint names, schedules and the ``generator_updates`` axis count; the others advance nothing.

    Noise is a pure function of the seed, the rank and the number of batches seen: it differs between ranks, and a
    resumed run goes on exactly as if it had not been interrupted, dropout included.
    """

    networks: ClassVar[dict[str, str]] = {"g": "generator", "d": "discriminator"}
    """Networks in training, the generator first: suffix of the log keys (``train/loss_g``) to attribute."""
    released_networks: ClassVar[tuple[str, ...]] = ("generator",)
    """The submodules that a zoo file holds: what ``sample`` needs."""
    untrained_networks: tuple[str, ...] = ()
    """Those that a loaded file did not hold, and which have random weights."""
    unfit_for_onnx: ClassVar[str] = ""
    """Why another runtime would make something else; such a model is not exported to ONNX."""
    linear_labels: ClassVar[bool] = False
    """Whether label rows may hold any number, so that 0.5, 2 and -1 mean something."""
    num_classes: int | None = None
    """K, for papers whose ``forward`` takes a label; None for the others."""

    if TYPE_CHECKING:
        trainer: Any  # Lightning sets several of its attributes from outside, where a type checker does not see them

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.noise_seed: int | None = None
        self.samples_seen = 0
        self.updates = {key: Update() for key in self.networks}
        self.saved_statistics: dict[str, Tensor] = {}
        self.update_order: list[str] = []
        self.register_buffer(
            "nonfinite_batch", torch.full((len(self.networks),), -1, dtype=torch.long), persistent=False
        )

    @property
    def hparams(self) -> AttributeDict:
        """The arguments that the paper's class was made with, by name."""
        return cast(AttributeDict, super().hparams)

    def optimizers(self, use_pl_optimizer: bool = True) -> list[Any]:
        """One for each network, in the order of ``networks``."""
        return cast(list[Any], super().optimizers(use_pl_optimizer))

    @property
    def twice_differentiated(self) -> tuple[str, ...]:
        """The networks whose gradients are part of a loss, as with a gradient penalty."""
        return ()

    # ---- what a paper provides

    @abstractmethod
    def prior(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw latents (num, Z), on the generator's device if one is given, else on the module's."""

    @abstractmethod
    def generate(self, batch: Any) -> Tensor:
        """Make as many fakes as the batch has examples, in [-1, 1], with the batch's conditions and fresh noise."""

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Fakes for the batch; the metrics and pictures made from them are callbacks' business."""
        return self.generate(batch)

    test_step = validation_step
    predict_step = validation_step

    # ---- the update

    @property
    def batches_seen(self) -> int:
        """Training batches so far on this rank, contiguous across epochs and resumes: the counter for ``n_critic``."""
        return self.trainer.fit_loop.total_batch_idx

    def update(self, optimizer: LightningOptimizer, loss: Tensor, clip_norm: float | None = None) -> bool:
        """One update: zero, backward, clip to ``clip_norm`` (of the optimizer's total gradient norm), step.

        Returns:
            Whether the parameters moved, which they do once in as many calls as gradients are accumulated over.
        """
        self.compute_gradients(optimizer, loss)
        return self.apply_gradients(optimizer, clip_norm)

    def compute_gradients(self, optimizer: LightningOptimizer, loss: Tensor) -> None:
        """The first half of ``update``: fresh gradients, averaged over ranks, or added to those of earlier batches."""
        key = self._key(optimizer.optimizer)
        self._remember_nonfinite(key, loss)
        update = self.updates[key]
        if update.pending:
            self._rescale(key)
        else:
            optimizer.zero_grad()
        update.pending += 1
        strategy = self.trainer.strategy
        alone = getattr(strategy, "block_backward_sync", None) if update.pending < update.batches else None
        with alone() if alone else nullcontext():
            self.manual_backward(loss / update.batches if update.batches > 1 else loss)
        update.scale = self._scale()

    def apply_gradients(self, optimizer: LightningOptimizer, clip_norm: float | None = None) -> bool:
        """The second half of ``update``, for papers that update all networks at the same parameters."""
        key = self._key(optimizer.optimizer)
        update = self.updates[key]
        if not update.pending:
            raise RuntimeError(f"no compute_gradients before apply_gradients, for {key} of {type(self).__name__}")
        if update.pending < update.batches:
            return False
        self._rescale(key)
        update.pending, update.limit = 0, update.clip_norm or clip_norm
        if key != next(iter(self.networks)):
            # Private names of Lightning, whose manual loop sets them anew for each batch; it has no public way to
            # leave an optimizer out of the count (its issue 17958). test_module.py pins the effect.
            optimizer._on_before_step = optimizer._on_after_step = _uncounted
        optimizer.step()
        return True

    def _scale(self) -> Tensor | None:
        """What fp16 multiplies losses with, on the device; None in other precisions."""
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return None if scaler is None else scaler.scale(torch.ones((), device=self.device))

    def _rescale(self, key: str) -> None:
        """Bring gradients to the present scale of fp16, which updates of the other networks may have changed."""
        update, scale = self.updates[key], self._scale()
        if scale is not None and update.scale is not None:
            torch._foreach_mul_([*self._gradients(key).values()], scale / update.scale)
            update.scale = scale

    def _gradients(self, key: str) -> dict[str, Tensor]:
        network = getattr(self, self.networks[key])
        return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip and log the norm here, after fp16 gradients were unscaled and before they are used."""
        key = self._key(optimizer)
        clip_norm = self.updates[key].limit
        window = NORM_WINDOW * max(update.batches for update in self.updates.values())
        if clip_norm is None and (self.batches_seen + window) % self.trainer.log_every_n_steps >= window:
            return
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            scaler.unscale_(optimizer)  # Lightning leaves this to fused optimizers, for which the norm would be scaled
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])
        if clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(parameters, clip_norm, norm)
        self.log(f"train/grad_norm_{key}", norm)

    def _key(self, optimizer: torch.optim.Optimizer) -> str:
        for key, candidate in zip(self.networks, self.trainer.optimizers, strict=True):
            if candidate is optimizer:
                return key
        raise RuntimeError(f"{type(optimizer).__name__} is none of the optimizers of {type(self).__name__}")

    def _remember_nonfinite(self, key: str, loss: Tensor) -> None:
        """Note on the device, without waiting for it, the first batch whose loss is not finite."""
        if key not in self.update_order:
            self.update_order.append(key)
        index = list(self.networks).index(key)
        seen = self.nonfinite_batch[index]
        self.nonfinite_batch[index] = torch.where(loss.detach().isfinite() | (seen >= 0), seen, self.batches_seen)

    # ---- statistics of the training set

    @torch.no_grad()
    def training_statistics(self, frames: Callable[[Any], Tensor]) -> tuple[Tensor, Tensor]:
        """Mean and (population) standard deviation of features over the whole training set, equal on all ranks.

        Each rank goes through its share; a progress bar appears after two seconds.

        Args:
            frames: Makes the features (N, F) of a batch.

        Returns:
            Two tensors (F,), float64. A feature that never changes has the deviation 1, since it is divided by.

        Raises:
            InputError: without a DataModule that hands out the training set in order.
        """
        from tqdm import tqdm

        data = self.trainer.datamodule
        if not hasattr(data, "reference_dataloader"):
            raise InputError(
                f"{type(self).__name__} measures its training set before it begins; train it with a DataModule of"
                " lightning_gans.data, or load weights that hold the statistics"
            )
        total: Tensor | float = 0.0
        bar = dict(desc="measuring the training set", unit="", delay=2, leave=False)
        for batch in tqdm(data.reference_dataloader(), **bar, disable=self.global_rank != 0):
            batch = data.on_after_batch_transfer(data.transfer_batch_to_device(batch, self.device, 0), 0)
            x = frames(batch).double()
            total = total + torch.stack([torch.full_like(x[0], len(x)), x.sum(0), x.square().sum(0)])
        count, first, second = self.trainer.strategy.reduce(total, reduce_op="sum")
        mean = first / count
        deviation = (second / count - mean.square()).clamp(min=0).sqrt()
        return mean, torch.where(deviation > LEAST_DEVIATION, deviation, 1.0)

    # ---- noise, counted and repeatable

    def setup(self, stage: str) -> None:
        """Compare sizes with the data, and see whether the strategy can train networks in turns."""
        check_data(self, self.trainer.datamodule)
        prepare(self.trainer.strategy)
        channels_last(self)
        use_cpu_forms(self)

    def on_fit_start(self) -> None:
        if self.noise_seed is None:
            seed = int(os.environ.get("PL_GLOBAL_SEED", torch.seed() % 2**32))
            self.noise_seed = self.trainer.strategy.broadcast(seed)
        for name, value in of_rank(self.saved_statistics, self.trainer).items():  # DDP has begun with the first rank's
            self.get_buffer(name).copy_(value)
        self.saved_statistics = {}
        for update in self.updates.values():  # Lightning begins without gradients
            update.pending = update.pending if update.saved else 0

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self.samples_seen += len(batch[0]) * self.trainer.world_size  # now: at the end, callbacks save before this hook
        self.reseed(TRAINING, self.batches_seen)
        self._take_up_gradients()

    def on_validation_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.reseed(EVALUATION, batch_idx)

    on_test_batch_start = on_validation_batch_start
    on_predict_batch_start = on_validation_batch_start

    def reseed(self, stream: int, index: int) -> None:
        """Set torch's global generators for one batch of one stream, differently on each rank."""
        seed = self.noise_seed if self.noise_seed is not None else int(os.environ.get("PL_GLOBAL_SEED", 0))
        state = np.random.SeedSequence((seed, self.global_rank, stream, index)).generate_state(1)
        if self.device.type == "cpu":  # without the other devices' generators, which take ten times as long
            torch.default_generator.manual_seed(int(state[0]))
        else:
            torch.manual_seed(int(state[0]))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if (self.batches_seen + 1) % self.trainer.log_every_n_steps == 0:
            self._log_axes()

    def _log_axes(self) -> None:
        self.log("generator_updates", float(self.global_step))
        self.log("samples_seen", float(self.samples_seen))

    def on_validation_epoch_start(self) -> None:
        """Average what batch norm has seen over the ranks, so that all evaluate, and rank 0 saves, the same network."""
        if self.trainer.world_size > 1:
            for buffer in statistics(self).values():
                buffer.copy_(self.trainer.strategy.reduce(buffer, reduce_op="mean"))

    def on_validation_epoch_end(self) -> None:
        self._log_axes()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["model"] = type(self).__name__
        checkpoint["noise_seed"], checkpoint["samples_seen"] = self.noise_seed, self.samples_seen
        self._save_gradients(checkpoint)
        if self.trainer.world_size > 1:
            checkpoint[STATISTICS] = of_ranks(statistics(self), self.trainer.strategy)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.noise_seed, self.samples_seen = checkpoint["noise_seed"], checkpoint.get("samples_seen", 0)
        for key, saved in checkpoint.get(GRADIENTS, {}).items():
            if saved["batches"] < self.updates[key].batches:  # else fewer are accumulated now
                self.updates[key].pending, self.updates[key].saved = saved["batches"], saved["gradients"]
        close_epoch(checkpoint)
        self.saved_statistics = checkpoint.get(STATISTICS, {})
        if CURRENT_NETWORKS in checkpoint and self._trainer is not None and self.trainer.state.fn == "fit":
            if not any(getattr(callback, "keeps_current_networks", False) for callback in self.trainer.callbacks):
                raise InputError(
                    "the checkpoint was trained with an average of the generator's weights; resume with the same --ema"
                    " DECAY, or start anew from the average with --init_from"
                )

    def _save_gradients(self, checkpoint: dict[str, Any]) -> None:
        """Those that wait for further batches; called on all ranks, and saved as their mean."""
        mean, saved = partial(self.trainer.strategy.reduce, reduce_op="mean"), {}
        for key, update in self.updates.items():
            if update.pending:
                self._rescale(key)
                gradients = {name: mean(value.clone()) for name, value in self._gradients(key).items()}
                saved[key] = {"batches": update.pending, "gradients": gradients}
        if saved:
            checkpoint[GRADIENTS] = saved

    def _take_up_gradients(self) -> None:
        """Go on with what ``_save_gradients`` saved. In ``on_fit_start`` would be too early: they are emptied later."""
        for key, update in self.updates.items():
            if update.saved:
                for name, parameter in getattr(self, self.networks[key]).named_parameters():
                    if name in update.saved:
                        parameter.grad = update.saved[name].to(parameter)
                update.saved = {}

    def on_validation_model_zero_grad(self) -> None:
        """Free the gradients for a validation, unless they wait for further batches."""
        if not any(update.pending for update in self.updates.values()):
            super().on_validation_model_zero_grad()

    # ---- sampling

    @torch.no_grad()
    def sample(self, num: int, label: int | Sequence[int] | Tensor | None = None, seed: int | None = None) -> Tensor:
        """Generate from fresh noise.

        Args:
            num: How many.
            label: For conditional papers: one class for all, one per sample, or (num, K) label rows. The classes in
                turn when not given.
            seed: The same seed gives the same latents on every device; None for new ones at each call.

        Returns:
            (num, C, H, W) images in [-1, 1], or (num, C, T) audio, on the module's device.

        Raises:
            InputError: for a label out of range, or one given to a paper without labels.
        """
        if num < 1:
            raise InputError(f"num is {num}; expected at least 1")
        return self.sample_from(self.latents(num, seed), self.label_rows(num, label))

    def latents(self, num: int, seed: int | None = None) -> Tensor:
        """(num, Z) latents, drawn on the CPU so that a seed means the same everywhere."""
        generator = torch.Generator()
        generator.seed() if seed is None else generator.manual_seed(seed)
        return self.prior(num, generator).to(self.device, self.dtype)

    @torch.no_grad()
    def sample_from(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Generate from given latents (B, Z) and label rows (B, K), in evaluation mode and in chunks."""
        was_training = self.training
        self.eval()
        try:
            chunks = [z.split(SAMPLE_CHUNK)] if label is None else [z.split(SAMPLE_CHUNK), label.split(SAMPLE_CHUNK)]
            return torch.cat([self(*inputs) for inputs in zip(*chunks, strict=True)])
        finally:
            self.train(was_training)

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
        return self.conditions(label).to(self.device, self.dtype)

    def conditions(self, label: Tensor) -> Tensor:
        """Class indices (B,) to one-hot rows (B, K); rows of attributes (B, K) pass through. Both as float."""
        if label.dim() == 2:
            return label.float()
        if label.is_floating_point():
            raise InputError(
                f"label {label[0].item():g} is no class; give a whole number, or a row with one number per class"
            )
        if label.device.type == "cpu":  # on an accelerator the check would wait for the device
            for wrong in label[(label < 0) | (label >= self.num_classes)][:1].tolist():
                raise InputError(
                    f"label {wrong} is out of range; this {type(self).__name__} has 0 to {self.num_classes - 1}"
                )
        return one_hot(label.long(), self.num_classes).float()


def _uncounted() -> None:
    """In place of Lightning's step counter."""
