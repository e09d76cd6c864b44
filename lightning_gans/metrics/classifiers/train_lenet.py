"""Makes the weights of the digit classifier.

``python -m lightning_gans.metrics.classifiers.train_lenet --output FILE [--root DIR]``

The weights in the package were made by this command on one CPU thread (``OMP_NUM_THREADS=1``), with all 60,000 training
images. Another machine rounds differently, so a new file has a new hash, which then belongs into ``lenet.py``;
every ``fid_lenet`` that was published with the old one has to be measured again.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from lightning_gans.data import MNIST
from lightning_gans.metrics.classifiers.lenet import accuracy, load_lenet, train_lenet
from lightning_gans.metrics.classifiers.stored import command, store


def main(*, output: Path, root: str | None = None, epochs: int = 10, seed: int = 0) -> None:
    """Train, store, and judge what was stored.

    Args:
        output: The .safetensors file to write.
        root: Folder of data sets; ``$LIGHTNING_GANS_DATA``, else ``data``, when not given.
        epochs: Passes over the images.
        seed: Of the initial weights, the order and the shifts.
    """
    data = MNIST(root, validation=False)
    data.prepare_data()
    data.setup("fit")
    train, test = data.splits["train"], data.splits["test"]
    start = time.perf_counter()
    network = train_lenet(train.image, train.label, epochs, seed=seed)
    digest = store(network, output)
    stored = load_lenet(output, digest)
    print(f"test accuracy {accuracy(stored, test.image, test.label):.2%} on {len(test):,} images")
    print(f"{len(train):,} training images, {epochs} epochs, {time.perf_counter() - start:.0f} s")
    print(f"{output}: {output.stat().st_size:,} bytes, SHA-256 {digest}")


if __name__ == "__main__":
    sys.exit(command(main))
