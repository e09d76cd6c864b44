"""A small classifier of MNIST digits, the eye of ``fid_lenet`` and ``label_accuracy``.

A LeNet (LeCun et al. 1998, http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf) with rectified units and max pooling.
Its weights lie in the package, made by ``python -m lightning_gans.metrics.classifiers.train_lenet``.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, max_pool2d, pad

from lightning_gans.errors import InputError
from lightning_gans.metrics.classifiers.stored import load_stored

WEIGHTS = Path(__file__).with_name("lenet_mnist.safetensors")
SHA256 = "1c9843cc9d4a3efc7a6344b8dfaf7ee143d919f5b7c9839fc01211546248559d"
"""Of the file ``WEIGHTS``; values made with other weights cannot be compared."""

MAX_SHIFT = 2


class LeNet(nn.Module):
    """Digits to logits. There is no dropout, so that training and evaluation mode are the same."""

    num_features = 128
    """Width of ``features``; torchmetrics reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.hidden = nn.Linear(50 * 5 * 5, self.num_features)
        self.output = nn.Linear(self.num_features, 10)

    def features(self, images: Tensor) -> Tensor:
        """Rectified activations (B, 128) of the layer before the logits, for images that ``forward`` takes."""
        with torch.autocast(images.device.type, enabled=False):
            x = gray_32(images)
            x = max_pool2d(self.conv1(x).relu(), 2)  # (B, 20, 14, 14)
            x = max_pool2d(self.conv2(x).relu(), 2)  # (B, 50, 5, 5)
            return self.hidden(x.flatten(1)).relu()

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 10) of images (B, C, H, W) in [-1, 1]; C is 1, or 3 which are averaged; 28x28 or 32x32 pixels.

        Raises:
            InputError: for another shape.
        """
        with torch.autocast(images.device.type, enabled=False):
            return self.output(self.features(images))


def gray_32(images: Tensor) -> Tensor:
    """Images as ``LeNet`` takes them to (B, 1, 32, 32) in [0, 1], 28x28 padded with black."""
    channels, *size = images.shape[1:] if images.dim() == 4 else (0,)
    if channels not in (1, 3) or size not in ([28, 28], [32, 32]):
        raise InputError(
            f"the digit classifier got images {tuple(images.shape)}; it takes (B, 1 or 3, 28, 28) and"
            " (B, 1 or 3, 32, 32): choose such an image size, or leave out fid_lenet and label_accuracy"
        )
    x = (images.float().mean(1, keepdim=True) + 1) / 2
    return pad(x, ((32 - size[0]) // 2,) * 4)


def load_lenet(path: Path = WEIGHTS, sha256: str | None = SHA256) -> LeNet:
    """The trained classifier in evaluation mode, without gradients; see ``load_stored``."""
    return load_stored(LeNet(), path, sha256)


def train_lenet(
    images: Tensor, labels: Tensor, epochs: int = 10, batch_size: int = 100, lr: float = 2e-3, seed: int = 0
) -> LeNet:
    """Train on shifted digits with Adam and a one-cycle rate; the seed decides everything on one machine.

    Args:
        images: (N, 1, 28, 28) uint8 in [0, 255].
        labels: (N,) in 0 to 9.
        epochs: Passes over the images.
        batch_size: Images per update; an incomplete last batch is left out.
        lr: Highest learning rate.
        seed: Of the initial weights, the order and the shifts (up to two pixels each way).
    """
    draw = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LeNet()
    optimizer = torch.optim.AdamW(network.parameters(), lr, weight_decay=0.01)
    batches = len(images) // batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, epochs * batches)
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=draw)[: batches * batch_size]
        for index in order.split(batch_size):
            x = shifted(images[index].float() / 127.5 - 1, draw)
            loss = cross_entropy(network(x), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image (B, 1, 28, 28) in [-1, 1] moved by up to two pixels in both directions, onto black (B, 1, 32, 32)."""
    border = 2 + MAX_SHIFT
    windows = pad(images, (border,) * 4, value=-1).unfold(2, 32, 1).unfold(3, 32, 1)  # (B, 1, 5, 5, 32, 32)
    rows, columns = torch.randint(2 * MAX_SHIFT + 1, (2, len(images)), generator=generator)
    return windows[torch.arange(len(images)), :, rows, columns]


@torch.no_grad()
def accuracy(network: LeNet, images: Tensor, labels: Tensor) -> float:
    """Share of images (N, 1, H, W) uint8 that the network classifies as their labels (N,)."""
    guesses = torch.cat([network(part.float() / 127.5 - 1).argmax(1) for part in images.split(1000)])
    return (guesses == labels).double().mean().item()
