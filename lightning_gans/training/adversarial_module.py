"""What every paper shares: the count of steps, the update, the noise. Never the training step itself."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Optimizer

from lightning_gans.ranges import Ranged
from lightning_gans.training import resume
from lightning_gans.training.accumulation import GradientAccumulation
from lightning_gans.training.compatibility import check_batch, check_data
from lightning_gans.training.cpu_forms import use_cpu_forms
from lightning_gans.training.ddp import prepare
from lightning_gans.training.lightning_private import count_step
from lightning_gans.training.memory_format import channels_last
from lightning_gans.training.noise import EVALUATION, TRAINING, NoiseStream
from lightning_gans.training.nonfinite import NonFiniteLosses
from lightning_gans.training.sampling import Samples


class AdversarialModule(Ranged, Samples):
    """Base of all papers: manual optimization in which **a step is a generator update**.

    A paper writes its networks, ``prior``, ``forward``, ``generate``, ``training_step`` and ``configure_optimizers``,
    which returns one optimizer per entry of ``networks``, in that order. The first one's updates are the steps that
    ``max_steps``, checkpoint names, schedules and the ``generator_updates`` axis count; the others advance nothing.
    """

    networks: ClassVar[dict[str, str]] = {"g": "generator", "d": "discriminator"}
    """Networks in training, the generator first: suffix of the log keys (``train/loss_g``) to attribute."""
    released_networks: ClassVar[tuple[str, ...]] = ("generator",)
    """The submodules that a zoo file holds: what ``sample`` needs."""
    untrained_networks: tuple[str, ...] = ()
    """Those that a loaded file did not hold, and which have random weights."""
    unfit_for_onnx: ClassVar[str] = ""
    """Why another runtime would make something else; such a model is not exported to ONNX."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.noise_stream, self.nonfinite = NoiseStream(), NonFiniteLosses()
        self.accumulation = {key: GradientAccumulation(key) for key in self.networks}
        self.saved_statistics: dict[str, Tensor] = {}
        self.samples_seen = 0

    @abstractmethod
    def generate(self, batch: Any) -> Tensor:
        """Make as many fakes as the batch has examples, in [-1, 1], with the batch's conditions and fresh noise."""

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Fakes for the batch; the metrics and pictures made from them are callbacks' business."""
        return self.generate(batch)

    test_step = validation_step
    predict_step = validation_step

    @property
    def twice_differentiated(self) -> tuple[str, ...]:
        """The networks whose gradients are part of a loss, as with a gradient penalty."""
        return ()

    def key_of(self, optimizer: Optimizer) -> str:
        """The key in ``networks`` of what an optimizer updates."""
        return list(self.networks)[self.trainer.optimizers.index(optimizer)]

    @property
    def batches_seen(self) -> int:
        """Training batches so far on this rank, contiguous across epochs and resumes: the counter for ``n_critic``."""
        return self.trainer.fit_loop.total_batch_idx

    def log_is_due(self, batches: int = 1) -> bool:
        """Whether this batch or one of the next is one of ``log_every_n_steps``; none is where that is 0."""
        every = self.trainer.log_every_n_steps
        return every > 0 and (self.batches_seen + batches) % every < batches

    def update(self, optimizer: LightningOptimizer, loss: Tensor, clip_norm: float | None = None) -> bool:
        """One update: zero, backward, clip to ``clip_norm`` (of the optimizer's total gradient norm), step.

        Returns:
            Whether the parameters moved, which they do once in as many calls as gradients are accumulated over, and not
            where fp16 has overflowed.
        """
        self.compute_gradients(optimizer, loss)
        return self.apply_gradients(optimizer, clip_norm)

    def compute_gradients(self, optimizer: LightningOptimizer, loss: Tensor) -> None:
        """The first half of ``update``: fresh gradients, averaged over ranks, or added to those of earlier batches."""
        key = self.key_of(optimizer.optimizer)
        self.nonfinite.note(key, loss, self.batches_seen)
        self.accumulation[key].backward(self, optimizer, loss)

    def apply_gradients(self, optimizer: LightningOptimizer, clip_norm: float | None = None) -> bool:
        """The second half of ``update``, for papers that update all networks at the same parameters."""
        key = self.key_of(optimizer.optimizer)
        moved = self.accumulation[key].step(self, optimizer, clip_norm)
        if moved and key == next(iter(self.networks)):
            count_step(self.trainer)
        return moved

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        self.accumulation[self.key_of(optimizer)].clip(self, optimizer)

    def setup(self, stage: str) -> None:
        """Compare sizes with the data, and see whether the strategy can train networks in turns."""
        super().setup(stage)
        check_data(self, self.trainer.datamodule)
        resume.guard(self.trainer)
        prepare(self.trainer.strategy)
        channels_last(self)
        use_cpu_forms(self)

    def on_fit_start(self) -> None:
        resume.begin(self)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        resume.count_epoch(self.trainer)
        self.samples_seen += len(batch[0]) * self.trainer.world_size  # now: at the end, callbacks save before this hook
        self.noise_stream.reseed(TRAINING, self.batches_seen, self.global_rank, self.device)
        for accumulation in self.accumulation.values():
            accumulation.take_up(self)

    def on_validation_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.noise_stream.reseed(EVALUATION, batch_idx, self.global_rank, self.device)

    on_test_batch_start = on_validation_batch_start
    on_predict_batch_start = on_validation_batch_start

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.log_is_due():
            self.on_validation_epoch_end()

    def on_validation_epoch_end(self) -> None:
        """Log the axes."""
        self.log("generator_updates", float(self.global_step))
        self.log("samples_seen", float(self.samples_seen))

    def on_validation_model_zero_grad(self) -> None:
        """Free the gradients for a validation, unless they wait for further batches."""
        if not any(accumulation.pending for accumulation in self.accumulation.values()):
            super().on_validation_model_zero_grad()

    check_first = check_batch
    on_validation_epoch_start = resume.average_statistics
    on_save_checkpoint = resume.save
    on_load_checkpoint = resume.load
