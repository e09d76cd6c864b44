"""Training on the device ``cuda`` of a machine without one: tensors with shapes, dtypes and devices, without values.

torch's fake tensors raise where devices mix, and where the host needs a value (``.item()``, a shape that depends on
data), for which it would wait for the device.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from lightning import Callback, Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.autograd.graph import Node, get_gradient_edge

from lightning_gans.data.batches import AudioBatch, ImageBatch, MelBatch
from lightning_gans.training.adversarial_module import AdversarialModule
from lightning_gans.training.noise import NoiseStream
from lightning_gans.training.vocoder import Vocoder

DEVICE = torch.device("cuda", 0)
MODE = FakeTensorMode()
"""One for all tests: tensors that the package remembers, such as windows, belong to it."""
PRECISIONS = {"32-true": Precision, "bf16-mixed": lambda: MixedPrecision("bf16-mixed", "cuda")}


class FakeCuda(SingleDeviceStrategy):
    """The device ``cuda``, which is neither initialized nor left."""

    def __init__(self) -> None:
        super().__init__(DEVICE, CPUAccelerator())

    def setup_environment(self) -> None:
        pass

    def teardown(self) -> None:
        pass

    def model_to_device(self) -> None:
        """As ``Module.to``, which exchanges fake tensors in place where nothing else refers to them only."""
        for module in self.model.modules():
            for name, parameter in module._parameters.items():
                module._parameters[name] = None if parameter is None else nn.Parameter(parameter.detach().to(DEVICE))
            for name, buffer in module._buffers.items():
                module._buffers[name] = None if buffer is None else buffer.to(DEVICE)
        self.model._device = DEVICE


class StopAfterAll(Callback):
    """Ends training when all optimizers have made a step."""

    def on_train_batch_end(self, trainer: Trainer, module: AdversarialModule, *_: Any) -> None:
        trainer.should_stop = all(optimizer.state for optimizer in trainer.optimizers)


def fit(module: AdversarialModule, precision: str = "32-true", batch_size: int = 2) -> Trainer:
    """Train on the fake device until each network has been updated.

    What happens once in a run or an epoch, and may wait for the device, is left out: statistics of the training set,
    the first bias, schedules by epochs. So is the log, whose tensors Lightning moves with ``Module.to``, and what the
    host does with values that it has: checking labels before they are on the device, and seeding.
    """
    once = dict.fromkeys(("on_fit_start", "on_train_start", "on_train_epoch_start"))
    hooks = {name: getattr(AdversarialModule, name) for name in once}
    left_out = dict.fromkeys(("log", "log_dict", "check_batch"), lambda *_, **__: None)
    with mock.patch.multiple(type(module), **hooks, **left_out), mock.patch.object(NoiseStream, "reseed"):
        trainer = Trainer(
            strategy=FakeCuda(),
            plugins=[PRECISIONS[precision]()],
            callbacks=[StopAfterAll()],
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, (batch_for(module, batch_size) for _ in range(100)))
    return trainer


def batch_for(module: AdversarialModule, size: int) -> ImageBatch | AudioBatch | MelBatch:
    """What the loaders of the paper's kind hand over, on the host."""
    h = module.hparams
    if isinstance(module, Vocoder):
        config = module.mel_config
        frames = 4096 // config.hop_length
        mel = torch.randn(size, config.n_mels, frames + 2 * module.context)
        return MelBatch(mel, torch.randn(size, 1, frames * config.hop_length))
    if module.num_classes and h.get("labels") == "attributes":
        label = torch.zeros(size, module.num_classes)
    else:
        label = torch.zeros(size, dtype=torch.long)
    if hasattr(module, "audio_shape"):
        return AudioBatch(torch.randn(size, *module.audio_shape), label)
    return ImageBatch(torch.randn(size, *(h.get("image_shape") or (h.channels, h.image_size, h.image_size))), label)


@contextmanager
def fake_cuda() -> Iterator[None]:
    """All tensors are fake; those without a device are on the host, as always."""
    randint, sgd = torch.randint, torch.optim.SGD

    def number_on_host(*args: Any, **options: Any) -> Any:
        if args[-1] != () or "device" in options:
            return randint(*args, **options)
        with unset_fake_temporarily():  # a value that the host has, and may look at
            return randint(*args, **options).item()

    with ExitStack() as stack:
        stack.enter_context(mock.patch("torch.randint", number_on_host))
        # of a stage's first batch, once
        stack.enter_context(mock.patch("lightning_gans.training.compatibility._check_values"))
        # made once, on the host, where torchaudio looks at values
        stack.enter_context(mock.patch("lightning_gans.audio.mel.mel_matrix", lambda m, f, *_: torch.empty(f, m)))
        # torch has no fake form of the fused one
        stack.enter_context(mock.patch("torch.optim.SGD", lambda *args, fused, **options: sgd(*args, **options)))
        stack.enter_context(mock.patch("torch.autograd._engine_run_backward", run_backward))
        stack.enter_context(MODE)
        yield


def run_backward(
    outputs: tuple[Tensor, ...],
    gradients: tuple[Tensor, ...],
    keep_graph: bool,
    create_graph: bool,
    inputs: tuple[Tensor, ...],
    allow_unreachable: bool = True,
    accumulate_grad: bool = True,
) -> tuple[Tensor | None, ...]:
    """What torch's engine does, which asks for the driver of a device before it begins.

    Returns:
        The gradients of the inputs; ``.grad`` of the leaves is set instead where there are no inputs.
    """
    roots = [get_gradient_edge(output) for output in outputs]
    waiting: dict[Node, int] = defaultdict(int)  # for so many gradients
    found = {edge.node for edge in roots}
    to_visit = list(found)
    while to_visit:
        for child, _ in to_visit.pop().next_functions:
            if child is not None:
                waiting[child] += 1
                if child not in found:
                    found.add(child)
                    to_visit.append(child)
    sums: dict[Node, dict[int, Tensor]] = defaultdict(dict)

    def add(node: Node, index: int, gradient: Tensor) -> None:
        expected = node._input_metadata[index]
        gradient = gradient.sum_to_size(expected.shape).to(expected.dtype)
        sums[node][index] = sums[node][index] + gradient if index in sums[node] else gradient

    wanted = [get_gradient_edge(tensor) for tensor in inputs]
    results: list[Tensor | None] = [None] * len(wanted)
    with torch.set_grad_enabled(create_graph):
        for edge, gradient in zip(roots, gradients, strict=True):
            add(edge.node, edge.output_nr, gradient)
        ready = [node for node in found if not waiting[node]]
        while ready:
            node = ready.pop()
            given = sums.pop(node, {})
            results = [given.get(e.output_nr, r) if e.node is node else r for e, r in zip(wanted, results, strict=True)]
            if hasattr(node, "variable"):  # a leaf
                if given and accumulate_grad and not inputs:
                    leaf, gradient = node.variable, given[0]
                    leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient
                continue
            call = node if callable(node) else node.apply  # the node of a Function of Python's is no function
            made = call(*map(given.get, range(len(node._input_metadata)))) if given else None
            made = list(made) if isinstance(made, tuple | list) else [made] * len(node.next_functions)
            assert made[len(node.next_functions) :] == [None] * (len(made) - len(node.next_functions))  # of no tensors
            for (child, index), gradient in zip(node.next_functions, made, strict=False):
                if child is not None:
                    if gradient is not None:
                        add(child, index, gradient)
                    waiting[child] -= 1
                    if not waiting[child]:
                        ready.append(child)
    return tuple(results)
