"""Makes the weights of the digit classifier.

``python -m lightning_gans.metrics.classifiers.train_lenet --root DIR --output FILE``

The weights in the package were made by this command on one CPU thread (``OMP_NUM_THREADS=1``), with all 60,000 training
images. Another machine rounds differently, so a new file has a new hash, which then belongs into ``metrics/lenet.py``;
every ``fid_lenet`` that was published with the old one has to be measured again.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from lightning_gans.data import MNIST
from lightning_gans.errors import InputError
from lightning_gans.metrics.classifiers.lenet import accuracy, load_lenet, train_lenet
from lightning_gans.metrics.classifiers.stored import store


def main(arguments: list[str] | None = None) -> int:
    """Train, store, and judge what was stored; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m lightning_gans.metrics.classifiers.train_lenet", description="Train the classifier."
    )
    parser.add_argument("--root", help="folder of data sets (default: $LIGHTNING_GANS_DATA, else data)")
    parser.add_argument("--output", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        data = MNIST(options.root, validation=False)
        data.prepare_data()
        data.setup("fit")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    train, test = data.splits["train"], data.splits["test"]
    start = time.perf_counter()
    network = train_lenet(train.image, train.label, options.epochs, seed=options.seed)
    digest = store(network, options.output)
    stored = load_lenet(options.output, digest)
    print(f"test accuracy {accuracy(stored, test.image, test.label):.2%} on {len(test):,} images")
    print(f"{len(train):,} training images, {options.epochs} epochs, {time.perf_counter() - start:.0f} s")
    print(f"{options.output}: {options.output.stat().st_size:,} bytes, SHA-256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
